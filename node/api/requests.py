# SPDX-License-Identifier: MIT
"""How a request is worked on: until it is done, or until its client has left. What, is elsewhere.

A person who presses ctrl-C must not leave an order running. On hypercorn's trio worker
`Request.is_disconnected()` never turns true, and a plain endpoint runs to its end for nobody;
a task that waits for the message `http.disconnect` notices at once. So everything that does
work goes through :func:`run_until_disconnect`, answers in lines too.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial, wraps
from typing import TypeVar

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from node.api.failures import (
    API_VERSION,
    LEFT,
    UNFORESEEN,
    Answer,
    BadRequest,
    ClientLeft,
    answer_to,
)
from node.log import Log
from protocol.reasons import Reason

Given = TypeVar("Given")
Work = Callable[[], Awaitable[Given]]
Endpoint = Callable[[Request], Awaitable[Response]]
Say = Callable[[Mapping[str, object]], Awaitable[None]]

#: Nothing that is answered with one document should take longer; an invite or a join may dial.
WORK_S_MAX = 60.0

#: A reader of lines who takes none for so long has forgotten it; nothing is kept for him.
STALL_S_MAX = 600.0

NO_STORE = {"cache-control": "no-store"}


async def run_until_disconnect(request: Request, work: Work[Given]) -> Given:
    """Do the work; ClientLeft, with the work cancelled, when its client leaves before it ends.

    The body must have been read before. What the work raises comes out as it is, in no group.
    """
    given: list[Given] = []
    raised: list[Exception] = []

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            given.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery's group
            raised.append(error)
        nursery.cancel_scope.cancel()
    if raised:
        raise raised[0]
    if not given:
        raise ClientLeft
    return given[0]


async def answer(request: Request, work: Work[Mapping[str, object]]) -> Response:
    """Answer with the one document that this work gives, in bounded time."""
    with trio.move_on_after(WORK_S_MAX):
        return document(await run_until_disconnect(request, work))
    raise BadRequest(
        Reason.DEADLINE,
        f"it took more than {WORK_S_MAX:.0f} s and was stopped",
        "Try again; `commons doctor` may know what is slow.",
        status=504,
    )


def document(parts: Mapping[str, object], status: int = 200) -> Response:
    """Make the answer of one document; an answer of JSON knows no infinity."""
    return JSONResponse({"v": API_VERSION, **parts}, status, NO_STORE)


def failed(answer: Answer) -> Response:
    """Make the answer of a failure."""
    status, parts = answer
    return JSONResponse(parts, status, NO_STORE)


def endpoint(log: Log, work: Endpoint) -> Endpoint:
    """Let nothing out of an endpoint but an answer; what nobody foresaw goes to the log."""

    @wraps(work)
    async def guarded(request: Request) -> Response:
        try:
            return await work(request)
        except ClientLeft:
            return Response(status_code=LEFT)
        except Exception as error:  # noqa: BLE001 - it is answered or logged, and the daemon lives
            return failed(answer_or_log(log, error, request.url.path))

    return guarded


def answer_or_log(log: Log, error: Exception, where: str) -> Answer:
    """Say how the failure that is handled now is answered; log one that nobody foresaw."""
    found = answer_to(error)
    if found is None:
        log.exception("api_failed", path=where)  # noqa: LOG004 - whoever calls this handles it
    return found or UNFORESEEN


class Lines(Response):
    """An answer of JSON documents, one on each line, as they come: while the client reads.

    The work is given a function that sends one line. What goes wrong on the way becomes the
    last line, since the status is long sent.
    """

    media_type = "application/jsonl"

    def __init__(self, work: Callable[[Say], Awaitable[None]], log: Log) -> None:
        """Take what makes the lines, and where mistakes of ours are told."""
        super().__init__(headers=NO_STORE)
        del self.headers["content-length"]
        self._work = work
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them all, or stop when the client has left or reads no more."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        with trio.CancelScope() as reading, suppress(ClientLeft):
            say = partial(_say, send, reading)
            work = partial(self._tell, say, scope["path"])
            await run_until_disconnect(Request(scope, receive), work)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, say: Say, path: str) -> None:
        try:
            await self._work(say)
        except Exception as error:  # noqa: BLE001 - it becomes the last line, or is logged
            await say(answer_or_log(self._log, error, path)[1])


async def _say(send: Send, reading: trio.CancelScope, parts: Mapping[str, object]) -> None:
    written = json.dumps({"v": API_VERSION, **parts}, allow_nan=False, separators=(",", ":"))
    line = written.encode() + b"\n"
    with trio.move_on_after(STALL_S_MAX) as sending:
        await send({"type": "http.response.body", "body": line, "more_body": True})
    if sending.cancelled_caught:
        reading.cancel()
        await trio.lowlevel.checkpoint()
