# SPDX-License-Identifier: MIT
"""Every endpoint asks the node for the right thing, and says what it answered."""

from pathlib import Path
from typing import Any

import pytest
import trio

from node.api.control import ENDPOINTS, control_app
from node.errors import ConfigError, NotFound
from node.log import Log
from node.mesh.transport import Unreachable
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.reasons import Reason
from tests.node.api.asking import ask
from tests.node.api.nodes import LIMITS, OTHER, STATUS, WORKER, WORKER_KEY, FakeNode


class Heard(Log):
    """A log that remembers the mistakes of ours."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def exception(self, event: str, **_: object) -> None:
        import sys

        self.mistakes.append(f"{event}: {sys.exception()!r}")


def app_of(node: FakeNode, log: Log | None = None) -> Any:
    return control_app(node, log or Log())


async def test_status_is_one_document_with_the_version_of_its_form() -> None:
    answer = await ask(app_of(FakeNode()), "GET", "/v1/status")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.document["v"] == 1
    assert answer.document["peer"] == STATUS.peer
    assert answer.document["standing"]["works"] is True
    assert answer.document["network"]["secret_versions"] == [1, 2]


async def test_peers_are_those_connected_and_with_all_also_those_known_and_banned() -> None:
    app = app_of(FakeNode())
    assert set((await ask(app, "GET", "/v1/peers")).document) == {"v", "peers"}
    told = (await ask(app, "GET", "/v1/peers?all=1")).document
    assert [each["peer"] for each in told["peers"]] == [WORKER, OTHER]
    assert [each["cores"] for each in told["adverts"]] == [8]
    assert [each["peer"] for each in told["bans"]] == [OTHER]


@pytest.mark.parametrize(
    ("name", "body", "asked"),
    [
        ("invite", {"for_s": 3600}, ("invite", 3600.0)),
        ("invite", {}, ("invite", 7 * 86400.0)),
        ("join", {"text": "commons://abc"}, ("join", "commons://abc")),
        ("leave", {"network": "home"}, ("leave", "home")),
        ("leave", None, ("leave", "")),
        ("found", {"name": "club", "private": True}, ("found", "club", True)),
        ("found", {"name": "club"}, ("found", "club", False)),
        ("use", {"network": "home"}, ("use", "home")),
        ("rotate", None, ("rotate",)),
        ("retire", {"version": 1}, ("retire", 1)),
        ("pause", {"for_s": 7200}, ("pause", 7200.0)),
        ("pause", {"for_s": None}, ("pause", None)),
        ("pause", None, ("pause", None)),
        ("resume", {}, ("resume",)),
        ("ban", {"peer": WORKER, "for_s": 60}, ("ban", WORKER_KEY, 60.0, "")),
        ("ban", {"peer": WORKER, "detail": "x"}, ("ban", WORKER_KEY, 86400.0, "x")),
    ],
)
async def test_what_is_sent_arrives_at_the_node(
    name: str, body: object, asked: tuple[object, ...]
) -> None:
    node = FakeNode()
    answer = await ask(app_of(node), "POST", f"/v1/{name}", body)
    assert answer.status == 200, answer.body
    assert node.asked == [asked]


async def test_stop_begins_the_end_and_answers() -> None:
    node = FakeNode()
    answer = await ask(app_of(node), "POST", "/v1/stop")
    assert (answer.status, answer.document) == (200, {"v": 1})
    assert node.stopped


async def test_limits_are_changed_by_the_rules_of_their_keys() -> None:
    node = FakeNode()
    changes = {"executor.threads": 4, "governor.hours": ["sat-sun 00:00-24:00"]}
    answer = await ask(app_of(node), "POST", "/v1/limits", {"changes": changes})
    assert answer.status == 200, answer.body
    assert node.asked[-1] == (
        "set_limits",
        {"executor.threads": 4, "governor.hours": ("sat-sun 00:00-24:00",)},
    )
    now = (await ask(app_of(node), "GET", "/v1/limits")).document["limits"]
    assert now["executor.threads"] == 4
    assert now.keys() == LIMITS.keys()


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"executor.threads": 0}, 422, "takes a whole number from 1 to 256"),
        ({"executor.threads": True}, 422, "takes a whole number"),
        ({"governor.hours": ["late"]}, 422, "times such as"),
        ({"executor.thread": 2}, 404, "Did you mean `executor.threads`?"),
        ({"mesh.connections": 9}, 404, "Write it into the config"),
        ({"x" * 500: 1}, 404, "`commons limits` lists them"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_and_nothing_is_changed(
    changes: dict[str, object], status: int, words: str
) -> None:
    node = FakeNode()
    changes = {"governor.only_idle": True, **changes}
    answer = await ask(app_of(node), "POST", "/v1/limits", {"changes": changes})
    assert answer.status == status
    assert words in str(answer.document["error"])
    assert node.asked == [("limits",)]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Refused(Reason.PAUSED), 409, "paused"),
        (RemoteProtocolError(Reason.EXPIRED, "the invite ended"), 502, "expired"),
        (Unreachable("nobody at 192.0.2.9"), 502, "unreachable"),
        (trio.TooSlowError(), 504, "deadline"),
        (NotFound("there is no network `x`."), 404, "not_found"),
        (ConfigError("the two do not fit."), 422, "out_of_range"),
        (FileNotFoundError(2, "No such file or directory", "/a.onnx"), 404, "not_found"),
        (PermissionError(13, "Permission denied", "/a.onnx"), 422, "not_found"),
        (ExceptionGroup("a nursery", [Refused(Reason.BUSY), NotFound("x")]), 409, "busy"),
    ],
)
async def test_what_may_happen_has_its_status_and_its_reason(
    error: Exception, status: int, reason: str
) -> None:
    async def fail(*_: object) -> None:
        raise error

    log = Heard()
    answer = await ask(app_of(FakeNode(join=fail), log), "POST", "/v1/join", {"text": "c"})
    assert answer.status == status
    assert answer.document["error"]["reason"] == reason
    assert answer.document["error"].keys() == {"status", "reason", "detail", "next"}
    assert log.mistakes == []


@pytest.mark.parametrize(
    "error",
    [
        ValueError("my-private-prompt"),
        LocalProtocolError("my-private-prompt"),
        OSError(28, "my-private-prompt"),
        KeyError("my-private-prompt"),
        ExceptionGroup("of both", [Refused(Reason.BUSY), ValueError("my-private-prompt")]),
    ],
)
async def test_a_mistake_of_ours_is_told_in_constant_words_and_logged_and_the_api_lives(
    error: Exception,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    log = Heard()
    app = app_of(FakeNode(status=fail), log)
    answer = await ask(app, "GET", "/v1/status")
    assert answer.status == 500
    assert answer.document["error"]["reason"] == "misuse"
    assert "private" not in answer.body.decode()
    assert len(log.mistakes) == 1
    assert "private" in log.mistakes[0]
    assert (await ask(app, "GET", "/v1/peers")).status == 200


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/v2/status", 404),
        ("GET", "/v1/stop", 405),
        ("DELETE", "/v1/status", 405),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(
    method: str, target: str, status: int
) -> None:
    node = FakeNode()
    answer = await ask(app_of(node), method, target)
    assert answer.status == status
    assert "GET /v1/status" in answer.document["error"]["next"]
    assert node.asked == []
    assert not node.stopped


async def test_every_endpoint_answers() -> None:
    """With an empty body, or as the line that says what is missing."""
    for method, name in ENDPOINTS:
        answer = await ask(
            app_of(FakeNode()), method, f"/v1/{name}", {} if method == "POST" else None
        )
        assert answer.status in {200, 400}, (method, name, answer.body)


async def test_the_model_of_a_try_is_named_by_its_path(tmp_path: Path) -> None:
    node = FakeNode()
    body = {"peer": WORKER, "model": str(tmp_path / "m.onnx"), "items": 2, "sizes": {"rows": 4}}
    answer = await ask(app_of(node), "POST", "/v1/try", body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/jsonl"
    assert node.asked == [("try_model", WORKER_KEY, tmp_path / "m.onnx", 2, {"rows": 4})]
    steps, last = answer.lines[:-1], answer.lines[-1]
    assert [each["progress"]["step"] for each in steps] == ["accepted", "inputs_sent"]
    assert last["tried"]["paid_cu"] == 1_200
    assert all(line["v"] == 1 for line in answer.lines)
