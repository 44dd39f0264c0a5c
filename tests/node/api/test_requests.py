# SPDX-License-Identifier: MIT
"""Work ends when its client leaves; lines come as they are made, and bound what they hold."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node.api import control
from node.api.control import control_app
from node.api.documents import Progress
from node.api.requests import STALL_S_MAX, WORK_S_MAX
from node.api.streams import STEPS_MAX, TRY_S_MAX
from node.errors import NotFound
from node.happenings import KEPT_MAX
from node.log import Log
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.api.asking import Asking, ask
from tests.node.api.nodes import STATUS, TRIED, WORKER, FakeNode

TRY = {"peer": WORKER, "model": "/m.onnx"}


class Work:
    """Work without end, that says whether it began and whether it was stopped."""

    def __init__(self) -> None:
        self.began = trio.Event()
        self.stopped = trio.Event()

    async def __call__(self, *_: object) -> Any:
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.stopped.set()


METHODS = {"network": "networks", "try": "try_model"}
WAITING = [
    (method, name)
    for method, name in control.ENDPOINTS
    # nothing is waited for at its end, and events have a test of their own
    if name not in {"stop", "events"} and (method, name) != ("POST", "limits")
]
BODIES: dict[str, object] = {
    "join": {"text": "x"},
    "found": {"name": "x"},
    "use": {"network": "home"},
    "retire": {"version": 1},
    "ban": {"peer": WORKER},
    "unban": {"peer": WORKER},
    "try": TRY,
}


@pytest.mark.parametrize(("method", "name"), WAITING)
async def test_a_client_that_leaves_stops_its_work(method: str, name: str) -> None:
    work = Work()
    app = control_app(FakeNode(**{METHODS.get(name, name): work}), Log())
    asking = Asking(app, method, f"/v1/{name}", BODIES.get(name) if method == "POST" else None)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.run)
            await work.began.wait()
            asking.leave()
        assert work.stopped.is_set()


async def test_a_client_that_stays_gets_its_answer_within_the_bound(
    autojump_clock: MockClock,
) -> None:
    async def slow() -> object:
        await trio.sleep(WORK_S_MAX - 1)
        return STATUS

    app = control_app(FakeNode(status=slow), Log())
    assert (await Asking(app, "GET", "/v1/status").run()).status == 200
    assert autojump_clock.current_time() >= WORK_S_MAX - 1


async def test_work_that_does_not_end_is_stopped_and_said_to_be_late(
    autojump_clock: MockClock,
) -> None:
    work = Work()
    app = control_app(FakeNode(doctor=work), Log())
    answer = await Asking(app, "GET", "/v1/doctor").run()
    assert (answer.status, answer.document["error"]["reason"]) == (504, "deadline")
    assert autojump_clock.current_time() >= WORK_S_MAX
    assert work.stopped.is_set()


async def test_an_end_of_the_daemon_ends_its_requests() -> None:
    work = Work()
    app = control_app(FakeNode(status=work), Log())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Asking(app, "GET", "/v1/status").run)
        await work.began.wait()
        nursery.cancel_scope.cancel()
    assert work.stopped.is_set()


async def test_events_come_once_and_end() -> None:
    node = FakeNode()
    for _ in range(3):
        node.happenings.post("peer_met", peer=WORKER)
    answer = await ask(control_app(node, Log()), "GET", "/v1/events?since=1")
    assert [line["number"] for line in answer.lines] == [2, 3]
    assert answer.lines[0]["fields"] == {"peer": WORKER}
    assert answer.ended


async def test_a_reader_who_asks_for_what_is_gone_is_told_of_the_gap() -> None:
    node = FakeNode()
    for _ in range(KEPT_MAX + 5):
        node.happenings.post("peer_met")
    answer = await ask(control_app(node, Log()), "GET", "/v1/events")
    assert (answer.lines[0]["event"], answer.lines[0]["fields"]) == ("gap", {"missed": 5})
    assert len(answer.lines) == KEPT_MAX + 1


async def test_one_who_follows_gets_each_event_as_it_happens_until_he_leaves() -> None:
    node = FakeNode()
    node.happenings.post("peer_met")
    asking = Asking(control_app(node, Log()), "GET", "/v1/events?follow=1")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.run)
            while len(asking.answer.lines) < 1:
                await asking.changed.wait()
            node.happenings.post("peer_left")
            while len(asking.answer.lines) < 2:
                await asking.changed.wait()
            asking.leave()
    assert [line["event"] for line in asking.answer.lines] == ["peer_met", "peer_left"]
    assert not asking.answer.ended


async def test_a_reader_who_reads_no_more_is_let_go_after_a_while(
    autojump_clock: MockClock,
) -> None:
    node = FakeNode()
    node.happenings.post("peer_met")
    asking = Asking(control_app(node, Log()), "GET", "/v1/events?follow=1")

    async def stuck(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await trio.sleep_forever()

    asking._send = stuck  # type: ignore[method-assign]  # a client whose window is full
    began = autojump_clock.current_time()
    await asking.run()
    assert autojump_clock.current_time() - began == STALL_S_MAX


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused(Reason.CREDIT_LINE, "1,200 CU"), "credit_line"),
        (NotFound("it is not known."), "not_found"),
        (ValueError("my-private-prompt"), "misuse"),
    ],
)
async def test_a_try_that_fails_says_so_in_its_last_line(error: Exception, reason: str) -> None:
    async def fail(*_: object) -> None:
        raise error

    answer = await ask(control_app(FakeNode(try_model=fail), Log()), "POST", "/v1/try", TRY)
    assert answer.status == 200
    assert [next(iter(line.keys() - {"v"})) for line in answer.lines[:-1]] == ["progress"] * 2
    assert answer.lines[-1]["error"]["reason"] == reason
    assert "private" not in answer.body.decode()
    assert answer.ended


async def test_a_try_without_end_is_stopped(autojump_clock: MockClock) -> None:
    work = Work()
    began = autojump_clock.current_time()
    answer = await Asking(
        control_app(FakeNode(try_model=work), Log()), "POST", "/v1/try", TRY
    ).run()
    assert answer.lines[-1]["error"]["reason"] == "deadline"
    assert autojump_clock.current_time() - began == TRY_S_MAX
    assert work.stopped.is_set()


async def test_steps_that_nobody_reads_in_time_are_left_out_and_the_result_never() -> None:
    class Hasty(FakeNode):
        async def try_model(self, *asked: Any) -> Any:
            for number in range(STEPS_MAX * 10):
                asked[-1](Progress("inputs_sent", "Sent items", number, STEPS_MAX * 10))
            return TRIED

    answer = await ask(control_app(Hasty(), Log()), "POST", "/v1/try", TRY)
    assert len(answer.lines) == STEPS_MAX + 1
    assert "tried" in answer.lines[-1]
