# SPDX-License-Identifier: MIT
"""Tasks that run beside a block and end with it. What they do is elsewhere."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[trio.Nursery]:
    """Run these, and what is started later, until the block ends.

    An error of the block comes out as it is, not in a group.
    """
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery
            failed = error
        finally:
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
