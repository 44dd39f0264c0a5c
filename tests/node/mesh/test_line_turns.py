# SPDX-License-Identifier: MIT
"""Who sends a burst of messages keeps none of the node's other tasks waiting until all is heard."""

from typing import Any, cast

import trio

from node.mesh.framed import Framed
from node.mesh.line import HEARD_BURST, HEARD_IN_ONE_GO, Line
from protocol.channel import NoFrame
from protocol.frames import DocumentFrame, Frame
from tests.node.executor.virtual_time import in_virtual_time


class Burst:
    """A stream on which all has arrived already: to receive never waits."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.stream = self

    async def receive(self) -> Frame | NoFrame:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.left -= 1
        return DocumentFrame(b"a") if self.left >= 0 else NoFrame.CLOSED

    async def end(self) -> None:
        await trio.lowlevel.checkpoint()


@in_virtual_time
async def test_others_have_their_turn_while_a_burst_is_heard() -> None:
    turns = 0
    heard: list[int] = []

    def dial() -> Any:
        raise AssertionError("nothing is said here")

    line = Line(bytes(32), dial, lambda _key, _frame: heard.append(turns), patient=True)

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        burst = cast("Any", Burst(HEARD_BURST))
        wire: Framed = burst  # what a line uses of it is there
        await line.serve(wire)
        nursery.cancel_scope.cancel()
    assert len(heard) == HEARD_BURST
    in_one_go = max(heard.count(turn) for turn in set(heard))
    assert in_one_go <= 2 * HEARD_IN_ONE_GO  # two turns of ours may come after one of theirs
