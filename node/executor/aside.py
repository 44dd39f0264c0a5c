# SPDX-License-Identifier: MIT
"""Blocking work on files, done aside of the daemon's loop. Computing belongs into runners.

A disk that is busy holds up whoever waits for it. The loop has links and deadlines to look
after meanwhile, so what may wait for a disk is done here, in pieces that take no second.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

Given = TypeVar("Given")


async def aside(work: Callable[[], Given]) -> Given:
    """Do this in a thread. It is never left behind: a cancelled caller waits for its end."""
    return await trio.to_thread.run_sync(work)  # noqa: TID251 - the room that the rule names


async def glance(look: Callable[[], Given]) -> Given:
    """Do the same for what only looks, and leave it behind when the caller is cancelled.

    A disk of the network may keep a look waiting for ever. This is for commands, which end soon:
    a daemon would collect such threads.
    """
    run: Callable[..., Awaitable[Given]] = trio.to_thread.run_sync  # noqa: TID251 - as above
    return await run(look, abandon_on_cancel=True)  # the stubs know its name of before
