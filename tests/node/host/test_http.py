# SPDX-License-Identifier: MIT
"""The door for the owner's programs: who may open it, what comes in, and how it ends."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.errors import ConfigError
from node.host import http
from node.host.http import BODY_BYTES_MAX, serve
from tests.node.host.promises import app

GET = b"GET /v1/x HTTP/1.1\r\nHost: node\r\n\r\n"
WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: n\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def is_there(path: Path) -> bool:
    return path.exists()


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def remove(path: Path) -> None:
    path.unlink()


def precious(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[trio.SocketStream]:
    async with await trio.open_unix_socket(str(path)) as stream:
        yield stream


async def ask(path: Path, request: bytes) -> bytes:
    """Everything that comes for a request until the server closes, or a whole short answer."""
    async with client(path) as stream:
        with suppress(trio.BrokenResourceError):  # it may be refused before it is all sent
            await stream.send_all(request)
        return await answer(stream)


async def answer(stream: trio.SocketStream) -> bytes:
    got = b""
    with trio.fail_after(5):
        while not (got.endswith((b"here", b"0\r\n\r\n")) or b"connection: close" in got):
            more = await stream.receive_some(65536)
            if not more:
                break
            got += more
    return got


async def test_who_connects_in_the_block_is_answered(path: Path) -> None:
    async with serve(app, path):
        got = await ask(path, GET)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"here" in got
    assert b"hypercorn" not in got
    assert not is_there(path)


async def test_only_this_user_can_open_it(path: Path) -> None:
    before = os.umask(0)
    try:
        async with serve(app, path):
            assert rights(path) == 0o600
            assert rights(path.parent) == 0o700
    finally:
        os.umask(before)


async def test_the_socket_of_a_dead_node_is_replaced(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve(app, path):
        assert b"200" in await ask(path, GET)


async def test_a_socket_that_answers_is_left_alone(path: Path) -> None:
    """Even if who serves it holds no lock of ours."""
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen(1)
        with pytest.raises(ConfigError, match="another node is running here"):
            async with serve(app, path):
                pass
        assert is_there(path)


async def test_the_lock_alone_keeps_a_second_node_away(path: Path) -> None:
    """Between bind and listen a socket does not answer yet; somebody may have removed it, too."""
    async with serve(app, path):
        remove(path)
        with pytest.raises(ConfigError, match="another node is running here"):
            async with serve(app, path):
                pass


async def test_a_mistake_in_the_server_ends_one_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_given: object) -> None:
        await trio.lowlevel.checkpoint()
        raise ExceptionGroup("a nursery", [IndexError("a mistake")])

    async with serve(app, path):
        with monkeypatch.context() as patched:
            patched.setattr(http, "TCPServer", breaks)
            with suppress(trio.BrokenResourceError):
                assert await ask(path, GET) == b""
        assert b"here" in await ask(path, GET)


async def test_a_file_in_its_place_is_not_removed(path: Path) -> None:
    precious(path)
    with pytest.raises(ConfigError, match="move it away"):
        async with serve(app, path):
            pass
    assert is_there(path)


async def test_a_path_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bytes, and the system takes at most"):
        async with serve(app, tmp_path / ("x" * 100) / "control.sock"):
            pass


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (
            b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
            b"413",
        ),
        (b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 99999999999999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nHost: n\r\nX: " + b"x" * 400_000 + b"\r\n\r\n", b"431"),
        (b"no such thing\r\n\r\n", b"400"),
        (WEBSOCKET, b"403"),
    ],
)
async def test_what_is_too_big_or_of_another_kind_is_refused(
    path: Path, request_bytes: bytes, status: bytes
) -> None:
    async def untouched(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("it was passed on")

    async with serve(untouched, path):
        assert (await ask(path, request_bytes)).split()[1] == status


async def test_http_2_whose_bodies_need_no_length_is_not_spoken(path: Path) -> None:
    called = False

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        nonlocal called
        called = True
        await app(scope, receive, send)

    async with serve(noted, path):
        upgrade = (
            b"GET / HTTP/1.1\r\nHost: n\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        async with client(path) as stream:
            await stream.send_all(upgrade)
            with trio.fail_after(5):
                await stream.receive_some(65536)
            await wait_all_tasks_blocked()
    assert not called


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_ends_its_connection_and_nothing_else(path: Path, seed: int) -> None:
    import random

    dice = random.Random(seed)
    async with serve(app, path):
        async with client(path) as stream:
            garbage = dice.randbytes(dice.randrange(1, 3000))
            heads = (b"", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GET)
            await stream.send_all(dice.choice(heads) + garbage)
            await wait_all_tasks_blocked()
        assert b"here" in await ask(path, GET)


async def test_an_app_that_fails_ends_its_request_and_nothing_else(path: Path) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/bad":
            raise RuntimeError("a mistake")
        if scope["path"] == "/two":
            raise BaseExceptionGroup("both", [RuntimeError("one"), ValueError("two")])
        await app(scope, receive, send)

    async with serve(fails, path):
        for name in (b"/bad", b"/two"):
            await ask(path, b"GET " + name + b" HTTP/1.1\r\nHost: n\r\n\r\n")
        assert b"here" in await ask(path, GET)


async def test_an_app_hears_that_its_client_has_left(path: Path) -> None:
    left = trio.Event()

    async def waits(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with serve(waits, path):
        async with client(path) as stream:
            await stream.send_all(GET)
            await wait_all_tasks_blocked()
        with trio.fail_after(5):
            await left.wait()


async def test_a_request_in_work_is_answered_before_the_end(path: Path) -> None:
    begun, end = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await end.wait()
        await app(scope, receive, send)

    async with trio.open_nursery() as nursery:
        async with serve(slow, path):
            stream = await trio.open_unix_socket(str(path))
            await stream.send_all(GET)
            await begun.wait()
            nursery.start_soon(_set_soon, end)
        async with stream:
            assert b"here" in await answer(stream)


async def _set_soon(event: trio.Event) -> None:
    await wait_all_tasks_blocked()
    event.set()


@pytest.mark.slow
async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(path: Path) -> None:
    """hypercorn sends under a shield: the end waited for this client for ever."""
    sending = trio.Event()

    async def floods(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        sending.set()
        while True:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})

    with trio.fail_after(10):
        async with serve(floods, path, grace_s=0.1):
            stream = await trio.open_unix_socket(str(path))
            await stream.send_all(GET)
            await sending.wait()
            await wait_all_tasks_blocked()
        await stream.aclose()


async def test_a_client_that_reads_nothing_for_long_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "STALL_S", 0.02)
    given_up = trio.Event()

    async def floods(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_flood, send)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()
        given_up.set()

    async with serve(floods, path, grace_s=0.1), client(path) as stream:
        await stream.send_all(GET)
        with trio.fail_after(5):
            await given_up.wait()


async def _flood(send: Any) -> None:
    while True:
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})


async def test_the_end_is_quick_when_nobody_is_there_but_idle_clients(path: Path) -> None:
    with trio.fail_after(1):
        async with serve(app, path, grace_s=60):
            stream = await trio.open_unix_socket(str(path))
            await stream.send_all(GET)
            assert b"here" in await answer(stream)
        await stream.aclose()


async def test_connections_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 2)
    async with serve(app, path), client(path), client(path):
        await wait_all_tasks_blocked()
        with suppress(trio.BrokenResourceError):  # closed with or without a reset
            assert await ask(path, GET) == b""
