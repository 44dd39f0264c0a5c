# SPDX-License-Identifier: MIT
"""Answers that come line by line: what happens, and how a try goes on. Sending is in `requests`."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import trio

from node.api.documents import Progress, Tried, as_document
from node.api.failures import BadRequest
from node.api.node import Node
from node.api.requests import Say
from node.happenings import Happenings
from protocol.reasons import Reason

#: Steps that a reader may be behind; what comes after is left out, the result never.
STEPS_MAX = 64

#: An order by hand: to fetch a large model and to run it on a slow machine.
TRY_S_MAX = 3600.0


async def tell_events(happenings: Happenings, say: Say, *, since: int, follow: bool) -> None:
    """Say what happened after this number; then, for one who follows, what happens."""
    if follow:
        async for each in happenings.follow(since):
            await say(each.as_document())
    for each in happenings.since(since):
        await say(each.as_document())


async def tell_try(
    node: Node, say: Say, *, peer: bytes, model: Path, items: int, sizes: Mapping[str, int]
) -> None:
    """Say each step of an order, and its result in the last line."""
    steps, taken = trio.open_memory_channel[Progress](STEPS_MAX)

    def tell(step: Progress) -> None:
        with suppress(trio.WouldBlock, trio.ClosedResourceError):
            steps.send_nowait(step)

    async def say_steps() -> None:
        async for step in taken:
            await say({"progress": as_document(step)})

    result: Tried | None = None
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_steps)
        with steps, trio.move_on_after(TRY_S_MAX):
            try:
                result = await node.try_model(peer, model, items, sizes, tell)
            except Exception as error:  # noqa: BLE001 - raised below, when the steps before it are said
                raised = error
    if raised is not None:
        raise raised
    if result is None:
        raise BadRequest(
            Reason.DEADLINE,
            f"it took more than {TRY_S_MAX:.0f} s and was stopped",
            "Try fewer items, or another worker.",
            status=504,
        )
    await say({"tried": as_document(result)})
