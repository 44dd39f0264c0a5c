# SPDX-License-Identifier: MIT
"""Pings on the control stream: who asks when. That a frozen peer is noticed is tested elsewhere."""

import trio

from node.mesh.control import PING_S, TURN_S
from node.mesh.hello import HELLO
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.made_mesh import made_mesh

ROUNDS = 20


@in_virtual_time
async def test_the_two_sides_of_a_link_take_turns_to_ping() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(lambda: second.key in first.known)
        await trio.sleep(2 * PING_S)
        tallies = [each.mesh.tallies.of(HELLO) for each in (first, second)]
        before = [each.sent_frames for each in tallies]
        await trio.sleep(ROUNDS * TURN_S)
        said = [tally.sent_frames - was for tally, was in zip(tallies, before, strict=True)]
        # A ping and its answer are two frames; each side says one of both in each round.
        assert all(ROUNDS - 2 <= count <= ROUNDS + 2 for count in said), said
        for mine, theirs in ((first, second), (second, first)):
            link = mine.mesh.peers[theirs.key].link
            assert link.rtt_s is not None
            assert trio.current_time() - link.answered_s <= 2 * TURN_S + 1
