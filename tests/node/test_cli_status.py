# SPDX-License-Identifier: MIT
"""`commons status`: one sentence, one page, quick; and what every command says without a node."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.cli import control
from node.cli.main import main
from node.exits import ExitCode
from tests.node.api.nodes import ME, PAUSED, STATUS, FakeNode
from tests.node.running_nodes import home, running
from tests.tree import ROOT

HEAVY = {
    *("trio", "libp2p", "onnxruntime", "onnx", "numpy", "structlog", "starlette", "hypercorn"),
    *("cryptography", "msgpack", "asyncio", "psutil", "rich"),
}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        yield node


@pytest.mark.usefixtures("node")
def test_the_first_line_says_whether_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == STATUS.standing.sentence
    assert printed.err == ""


@pytest.mark.usefixtures("node")
def test_the_page_names_what_a_person_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["status"])
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[3:] if line
    )
    assert lines["node"] == ME
    assert lines["version"] == "0.1.0, up for 2 h 1 min"
    assert lines["network"] == "home (private)"
    assert lines["addresses"] == "/ip4/192.0.2.7/tcp/4001"
    assert lines["peers"] == "2 connected, 1 member among them; 14 known"
    assert lines["work"] == (
        "1 running, 312 done, 2 failed, 5 refused; earned 4,000,000 CU since the start"
    )
    assert lines["credit"] == "balance 6,500,000 CU; earned 9,000,000 CU, spent 2,500,000 CU"
    assert lines["lent"] == "100,000 CU of 2,000,000,000 CU"
    assert lines["No"] == "other node has dialled this one yet."


@pytest.mark.usefixtures("node")
def test_as_json_it_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert document["standing"]["works"] is True
    assert document["credit"]["balance_cu"] == STATUS.credit.balance_cu


def test_a_node_that_rests_says_why_and_until_when_and_one_without_network_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    async def status() -> object:
        return replace(STATUS, standing=PAUSED, network=None, addresses=(), notes=())

    with running(FakeNode(status=status), monkeypatch):
        assert main(["status"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert printed.startswith("It rests: its owner paused it. It goes on in 2 h.\n")
    assert "`commons join`" in printed
    assert "nobody can dial this node" in printed


COMMANDS = [
    ["status"],
    ["peers"],
    ["peers", "ban", "x"],
    ["invite"],
    ["pause"],
    ["resume"],
    ["limits"],
    ["log"],
    ["try", "x", str(ROOT / "README.md")],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_node_the_command_says_how_to_start_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with home(monkeypatch):
        assert main(words) == ExitCode.NOT_RUNNING
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"commons: {control.NOT_RUNNING}\n"


def bound(folder: str) -> socket.socket:
    """A socket at the place of the node's, with nobody who accepts."""
    path = Path(folder) / "runtime" / "control.sock"
    path.parent.mkdir()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    return made


def test_the_socket_of_a_dead_node_is_no_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with home(monkeypatch) as folder:
        bound(folder).close()
        assert main(["status"]) == ExitCode.NOT_RUNNING
    assert capsys.readouterr().err == f"commons: {control.NOT_RUNNING}\n"


def test_a_path_that_no_socket_can_have_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path / ("x" * 120)))
    assert main(["status"]) == ExitCode.CONFIG


def answering(*said: bytes) -> Callable[[socket.socket], None]:
    """Serve one client: read its request, say this, and close."""

    def serve(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with client:
            client.recv(65536)
            for each in said:
                client.sendall(each)

    return serve


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", control.ENDED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", control.ENDED),
        (b"\x00\x01garbage\r\n\r\n", control.STRANGE),
        (http(b"[]"), control.STRANGE),
        (http(b"{"), control.STRANGE),
        (http(b"{}"), control.STRANGE),
        (http(b'{"v": 2}'), control.STRANGE),
        (http(b'{"v": 1, "standing": {}}'), control.STRANGE),
        (http(b"oops", b"500 Oops"), control.STRANGE),
        (http(b'{"v": 1}', b"500 Oops"), control.STRANGE),
        (http(b'{"v": 1, "error": 5}', b"500 Oops"), control.STRANGE),
    ],
)
def test_a_node_that_answers_strangely_is_a_failure_and_one_sentence(
    said: bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with home(monkeypatch) as folder, bound(folder) as listening:
        listening.listen()
        thread = threading.Thread(target=answering(said), args=[listening])
        thread.start()
        assert main(["status"]) == ExitCode.FAILED
        thread.join(20)
    assert capsys.readouterr().err == f"commons: {told}\n"


def test_a_node_that_hangs_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    with home(monkeypatch) as folder, bound(folder) as listening:
        listening.listen()
        assert main(["status"]) == ExitCode.FAILED
    assert capsys.readouterr().err == f"commons: {control.NO_ANSWER}\n"


def test_a_node_that_accepts_nobody_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with home(monkeypatch) as folder, bound(folder) as listening, ExitStack() as waiting:
        listening.listen(0)
        while True:  # until no place is left before its door
            one = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            one.setblocking(False)
            try:
                one.connect(listening.getsockname())
            except BlockingIOError:
                break
        assert main(["status"]) == ExitCode.FAILED
    assert capsys.readouterr().err == f"commons: {control.NO_ANSWER}\n"


def test_an_answer_without_end_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "ANSWER_BYTES_MAX", 1000)
    with home(monkeypatch) as folder, bound(folder) as listening:
        listening.listen()
        body = b'{"v": 1, "x": "' + b"x" * 2000 + b'"}'
        thread = threading.Thread(target=answering(http(body)), args=[listening])
        thread.start()
        assert main(["status"]) == ExitCode.FAILED
        thread.join(20)
    assert capsys.readouterr().err == f"commons: {control.STRANGE}\n"


@pytest.mark.parametrize("words", [["status"], ["peers"], ["pause"]], ids=" ".join)
@pytest.mark.usefixtures("node")
def test_a_question_to_the_node_imports_nothing_heavy(words: list[str]) -> None:
    """It must answer before a person notices."""
    program = f"""
import sys
from node.cli.main import main
code = main({words!r})
print(code, *({HEAVY!r} & sys.modules.keys()), file=sys.stderr)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr.split() == ["0"]
