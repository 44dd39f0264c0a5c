# SPDX-License-Identifier: MIT
"""All that every transport promises, as checks for any implementation; each takes a scene.

They are in five files, by what they are about. Nothing here waits for a while, except where
nothing must happen, and where a transport does something by itself and tells nobody.
"""

from collections.abc import Awaitable, Callable

import trio

from tests.node.mesh import ending_promises as endings
from tests.node.mesh import leaving_promises as leaving
from tests.node.mesh import meeting_promises as meeting
from tests.node.mesh import parting_promises as parting
from tests.node.mesh import stream_promises as streams
from tests.node.mesh.scene import Scene

Promise = Callable[[Scene], Awaitable[None]]

PROMISES: tuple[Promise, ...] = (
    *streams.PROMISES,
    *endings.PROMISES,
    *parting.PROMISES,
    *leaving.PROMISES,
    *meeting.PROMISES,
)

#: These take seconds where time is real.
LONG: tuple[Promise, ...] = (parting.a_peer_that_stands_still_is_given_up_in_time,)

#: More than any promise takes; who waits for ever has broken it.
LIMIT_S = 40.0


async def kept(promise: Promise, scene: Scene) -> None:
    """Try a promise, and not for ever."""
    with trio.fail_after(LIMIT_S):
        await promise(scene)
