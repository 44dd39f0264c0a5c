# SPDX-License-Identifier: MIT
"""The same over a real Unix socket and hypercorn: streams, clients that leave, garbage."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.api.control import control_app
from node.log import Log
from tests.node.api.nodes import STATUS, WORKER, FakeNode
from tests.node.api.serving import served, short_folder

HEAD = b"%s %s HTTP/1.1\r\nHost: commons\r\n"
GRACE_S = 20


class Held(FakeNode):
    """Its doctor and its try never end by themselves, and say when they were stopped."""

    def __init__(self) -> None:
        super().__init__(doctor=self._hold, try_model=self._hold)
        self.began = trio.Event()
        self.ended = trio.Event()

    async def _hold(self, *_: object) -> Any:
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.ended.set()


@pytest.fixture
async def node() -> Held:
    return Held()


@pytest.fixture
async def socket(node: Held) -> AsyncIterator[Path]:
    with short_folder() as folder:
        path = folder / "c.sock"
        async with served(control_app(node, Log()), path):
            yield path


async def talk(socket: Path, data: bytes) -> trio.SocketStream:
    stream = await trio.open_unix_socket(str(socket))
    await stream.send_all(data)
    return stream


async def read_until(stream: trio.SocketStream, mark: bytes) -> bytes:
    data = b""
    with trio.fail_after(GRACE_S):
        while mark not in data:
            piece = await stream.receive_some()
            assert piece, data
            data += piece
    return data


def get(target: bytes) -> bytes:
    return HEAD % (b"GET", target) + b"\r\n"


def post(target: bytes, body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        HEAD % (b"POST", target)
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data)
        + data
    )


async def test_status_is_answered(socket: Path) -> None:
    async with await talk(socket, get(b"/v1/status")) as stream:
        said = await read_until(stream, b"one yet.")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert STATUS.peer.encode() in said


@pytest.mark.parametrize(
    "request_of",
    [
        get(b"/v1/doctor"),
        post(b"/v1/try", {"peer": WORKER, "model": "/m.onnx"}),
    ],
    ids=["doctor", "try"],
)
async def test_a_client_that_leaves_stops_its_work(
    socket: Path, node: Held, request_of: bytes
) -> None:
    """As ctrl-C does, or `kill -9`: the socket is closed, and nothing is said."""
    stream = await talk(socket, request_of)
    with trio.fail_after(GRACE_S):
        await node.began.wait()
        await stream.aclose()
        await node.ended.wait()


async def test_one_who_follows_gets_events_as_they_happen(socket: Path, node: Held) -> None:
    node.happenings.post("peer_met", peer=WORKER)
    async with await talk(socket, get(b"/v1/events?follow=1")) as stream:
        await read_until(stream, b'"number":1')
        node.happenings.post("peer_left")
        await read_until(stream, b"peer_left")


async def test_followers_that_left_leave_nothing(socket: Path) -> None:
    await wait_all_tasks_blocked()  # the server has come up
    before = trio.lowlevel.current_statistics().tasks_living
    for _ in range(10):
        stream = await talk(socket, get(b"/v1/events?follow=1"))
        await read_until(stream, b"\r\n\r\n")
        await stream.aclose()
    with trio.fail_after(GRACE_S):
        while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - nothing says when a server's task has ended
            await trio.sleep(0.005)


async def test_many_events_at_once_reach_one_who_reads_slowly(socket: Path, node: Held) -> None:
    async with await talk(socket, get(b"/v1/events?follow=1")) as stream:
        await read_until(stream, b"\r\n\r\n")
        for number in range(500):
            node.happenings.post("peer_met", number=number, text="x" * 300)
        await read_until(stream, b'"number":500')


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/pause HTTP/1.1\r\nHost: commons\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/pause HTTP/1.1\r\nHost: commons\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000,
    ],
)
async def test_garbage_gets_no_service_and_the_next_one_does(socket: Path, garbage: bytes) -> None:
    async with await talk(socket, garbage) as stream:
        await stream.send_eof()
        with trio.fail_after(GRACE_S):
            said = await stream.receive_some()
    assert b" 200 " not in said
    async with await talk(socket, get(b"/v1/status")) as stream:
        assert b" 200 " in await read_until(stream, b"one yet.")
