# SPDX-License-Identifier: MIT
"""Blocking work on files, done aside of the daemon's loop. Computing belongs into runners.

A disk that is busy holds up whoever waits for it. The loop has links and deadlines to look
after meanwhile, so what may wait for a disk is done here, in pieces that take no second.

In a made world nothing may depend on when a thread is done. There the work is small and is
done at once, in the loop: :func:`at_once` says so, to all that is started inside its block.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import trio

Given = TypeVar("Given")

_is_at_once = ContextVar("is_at_once", default=False)


async def aside(work: Callable[[], Given]) -> Given:
    """Do this in a thread. It is never left behind: a cancelled caller waits for its end."""
    if _is_at_once.get():
        await trio.lowlevel.checkpoint()
        return work()
    return await trio.to_thread.run_sync(work)  # noqa: TID251 - the room that the rule names


async def glance(look: Callable[[], Given]) -> Given:
    """Do the same for what only looks, and leave it behind when the caller is cancelled.

    A disk of the network may keep a look waiting for ever. This is for commands, which end soon:
    a daemon would collect such threads.
    """
    if _is_at_once.get():
        return await aside(look)
    run: Callable[..., Awaitable[Given]] = trio.to_thread.run_sync  # noqa: TID251 - as above
    return await run(look, abandon_on_cancel=True)  # the stubs know its name of before


@contextmanager
def at_once() -> Iterator[None]:
    """Use no thread inside the block, nor in the tasks that it starts: for made worlds."""
    token = _is_at_once.set(True)
    try:
        yield
    finally:
        _is_at_once.reset(token)
