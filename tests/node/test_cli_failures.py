# SPDX-License-Identifier: MIT
"""A command that fails ends with a sentence and an exit code, our own mistake with a traceback."""

import errno
import os
import subprocess
import sys

import pytest
import trio

from node.cli import failures, version
from node.cli.main import main
from node.errors import ConfigError
from node.exits import ExitCode
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.reasons import Reason
from tests.tree import ROOT

NEXT_STEP = Reason.MODEL_REFUSED.next_step
REFUSED = Refused(Reason.MODEL_REFUSED, "the graph has a Loop")
CONFIG = ConfigError("config.toml, line 3: no.\nconfig.toml, line 5: no.")


def missing() -> OSError:
    return FileNotFoundError(errno.ENOENT, "No such file or directory", "model.onnx")


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """How `commons` ends when a command raises this."""

    def fail(_: object) -> ExitCode:
        raise error

    monkeypatch.setattr(version, "run", fail)
    return main(["version"])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            REFUSED,
            ExitCode.REFUSED,
            f"commons: model_refused: the graph has a Loop\ncommons: {NEXT_STEP}\n",
        ),
        (
            Refused(Reason.BUSY),
            ExitCode.REFUSED,
            f"commons: busy: {Reason.BUSY.sentence}\ncommons: {Reason.BUSY.next_step}\n",
        ),
        (
            RemoteProtocolError(Reason.MALFORMED, "byte 3"),
            ExitCode.FAILED,
            f"commons: malformed: byte 3\ncommons: {Reason.MALFORMED.next_step}\n",
        ),
        (
            CONFIG,
            ExitCode.CONFIG,
            "commons: config.toml, line 3: no.\ncommons: config.toml, line 5: no.\n",
        ),
        (missing(), ExitCode.NOT_FOUND, "commons: model.onnx: No such file or directory.\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", b"/a/b"),
            ExitCode.FAILED,
            "commons: /a/b: Permission denied.\n",
        ),
        (
            OSError(errno.EADDRINUSE, "Address already in use"),
            ExitCode.TAKEN,
            "commons: Address already in use.\n",
        ),
        (
            ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
            ExitCode.FAILED,
            "commons: Connection reset by peer.\n",
        ),
        (OSError("no number"), ExitCode.FAILED, "commons: no number.\n"),
        (OSError(), ExitCode.FAILED, "commons: OSError.\n"),
        (
            BrokenPipeError(errno.EPIPE, "Broken pipe"),
            ExitCode.FAILED,
            "commons: Broken pipe.\n",
        ),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, ""),
    ],
)
def test_what_may_happen_is_told_and_has_its_exit_code(
    error: BaseException,
    code: ExitCode,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert ends_with(error, monkeypatch) == code
    printed = capfd.readouterr()
    assert printed.err == says
    assert printed.out == ""


@pytest.mark.parametrize("error", [ValueError("ours"), AssertionError(), KeyError("x")])
def test_a_mistake_of_ours_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)) as raised:
        ends_with(error, monkeypatch)
    assert raised.value is error


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("a nursery", [ExceptionGroup("within another", list(errors))])


def test_a_failure_out_of_a_nursery_is_told_as_if_it_were_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(group(REFUSED), monkeypatch) == ExitCode.REFUSED
    assert "model_refused: the graph has a Loop" in capsys.readouterr().err


def test_of_several_failures_the_first_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(group(CONFIG, missing()), monkeypatch) == ExitCode.CONFIG
    assert "model.onnx" not in capsys.readouterr().err


def test_a_mistake_of_ours_among_several_failures_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ExceptionGroup):
        ends_with(group(REFUSED, ValueError("ours")), monkeypatch)


def test_an_interrupt_out_of_a_nursery_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = BaseExceptionGroup("a nursery", [KeyboardInterrupt(), ValueError("by it")])
    assert ends_with(interrupted, monkeypatch) == ExitCode.INTERRUPTED


def test_a_real_nursery_raises_what_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse() -> None:
        raise LocalProtocolError("twice")

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)

    def run(_: object) -> ExitCode:
        trio.run(work)
        return ExitCode.OK

    monkeypatch.setattr(version, "run", run)
    assert main(["version"]) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith("commons: misuse: twice\n")


def test_a_text_of_a_stranger_in_a_failure_has_no_power_over_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(Refused(Reason.MODEL_REFUSED, "the op is \x1b[2J\nnot"), monkeypatch)
    assert "the op is \\x1b[2J\\nnot\n" in capsys.readouterr().err


def test_every_number_of_a_full_disk_is_told_as_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dropped: list[bool] = []
    monkeypatch.setattr(failures, "_drop_what_is_buffered", lambda: dropped.append(True))
    for number in failures.DISK_TROUBLES:
        assert ends_with(OSError(number, os.strerror(number)), monkeypatch) == ExitCode.FAILED
        assert "the output was not written" in capsys.readouterr().err
    assert len(dropped) == len(failures.DISK_TROUBLES)


def run_program(program: str, **streams: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, text=True, check=False, **streams)  # type: ignore[call-overload,no-any-return]  # the streams are those of subprocess


PROGRAM = """
import sys
from node.cli import version
from node.cli.main import main
from node.exits import ExitCode

def run(parsed):
    {body}
    return ExitCode.OK

version.run = run
sys.exit(main(["version"]))
"""


@pytest.mark.parametrize(
    "body", ["print('x' * 1_000_000)", "print('x')", "print('x' * 9000); print('x' * 9000)"]
)
def test_a_reader_that_left_is_no_failure_however_much_is_printed(body: str) -> None:
    """More than a buffer holds fails in the middle of the command; less, when it is over."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = run_program(PROGRAM.format(body=body), stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def test_a_pipe_to_somebody_else_that_breaks_is_a_failure() -> None:
    body = "import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')"
    done = run_program(PROGRAM.format(body=body), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == "commons: Broken pipe.\n"


@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_nobody_to_complain_to_changes_no_exit_code(where: str) -> None:
    """And the complaint does not end up among the results."""
    command = f'"$0" -m node.cli.main explain no_such_reason 2{where}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (ExitCode.NOT_FOUND, "")
