# SPDX-License-Identifier: MIT
"""Tasks that run beside a block and end with it. What they do is elsewhere."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from node.log import Log
from node.nurseries import plain_nursery

log = Log()


async def alone(task: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Do one thing of many. What nobody foresaw is logged, and ends no other and not the node.

    A disk that takes nothing just now, or a bug that one peer's order has found, is no reason to
    end the work for all.
    """
    try:
        await task(*arguments)
    except* Exception:
        log.exception("work_failed", task=getattr(task, "__qualname__", ""))


@asynccontextmanager
async def beside(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[trio.Nursery]:
    """Run these, and what is started later, until the block ends.

    An error of the block comes out as it is, not in a group.
    """
    async with plain_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()
