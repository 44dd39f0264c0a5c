# SPDX-License-Identifier: MIT
"""A nursery around a block that raises what it raises. What runs in it is the caller's affair."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def plain_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery; an error of the block comes out as it is, not in a group.

    The tasks are waited for first, as always: whoever leaves the block ends them there.
    """
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery
            failed = error
    if failed is not None:
        raise failed
