# SPDX-License-Identifier: MIT
"""Pages in a browser and other hosts get nothing from the control API, and a flood gets no more."""

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.api.control import control_app
from node.api.guard import AT_ONCE_MAX
from node.log import Log
from tests.node.api.asking import HEADERS, Asking, ask
from tests.node.api.nodes import STATUS, FakeNode


@pytest.mark.parametrize(
    "headers",
    [
        [("host", "commons"), ("origin", "https://example.com")],
        [("host", "commons"), ("origin", "null")],
        [("host", "commons"), ("referer", "http://commons/")],
        [("host", "example.com")],
        [("host", "commons.example.com")],
        [("host", "commons:80")],
        [("host", "")],
        [],
        [("host", "commons"), ("host", "example.com")],
    ],
)
async def test_a_request_of_a_page_or_to_another_host_is_refused(
    headers: list[tuple[str, str]],
) -> None:
    node = FakeNode()
    for method, target in (("GET", "/v1/status"), ("POST", "/v1/stop"), ("GET", "/nothing")):
        answer = await ask(control_app(node, Log()), method, target, headers=headers)
        assert answer.status == 403
        assert answer.document["error"]["reason"] == "wrong_party"
    assert node.asked == []
    assert not node.stopped


@pytest.mark.parametrize("host", ["commons", "localhost", "Commons"])
async def test_the_owner_names_this_host(host: str) -> None:
    headers = {**HEADERS, "host": host}
    answer = await ask(control_app(FakeNode(), Log()), "GET", "/v1/status", headers=headers)
    assert answer.status == 200


async def test_answers_are_for_nobody_to_keep_and_no_page_may_read_them() -> None:
    answer = await ask(control_app(FakeNode(), Log()), "GET", "/v1/status")
    assert answer.headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control") for name in answer.headers)


async def test_a_websocket_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await control_app(FakeNode(), Log())({"type": "websocket"}, None, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_more_requests_than_a_person_makes_are_refused_until_some_are_done() -> None:
    waits = trio.Event()

    async def slow() -> object:
        await waits.wait()
        return STATUS

    app = control_app(FakeNode(status=slow), Log())
    asked = [Asking(app, "GET", "/v1/status") for _ in range(AT_ONCE_MAX)]
    async with trio.open_nursery() as nursery:
        for each in asked:
            nursery.start_soon(each.run)
        await wait_all_tasks_blocked()
        answer = await ask(app, "GET", "/v1/status")
        assert (answer.status, answer.document["error"]["reason"]) == (503, "busy")
        waits.set()
    assert {each.answer.status for each in asked} == {200}
    assert (await ask(app, "GET", "/v1/status")).status == 200
