# SPDX-License-Identifier: MIT
"""Blocking work on files, done aside of the daemon's loop. Computing belongs into runners.

A disk that is busy holds up whoever waits for it. The loop has links and deadlines to look
after meanwhile, so what may wait for a disk is done here, in pieces that take no second.
"""

from collections.abc import Callable
from typing import TypeVar

import trio

Given = TypeVar("Given")


async def aside(work: Callable[[], Given]) -> Given:
    """Do this in a thread. It is never left behind: a cancelled caller waits for its end."""
    return await trio.to_thread.run_sync(work)  # noqa: TID251 - the room that the rule names
