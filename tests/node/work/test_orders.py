# SPDX-License-Identifier: MIT
"""A whole order between two honest nodes."""

from pathlib import Path

from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import items
from tests.node.work.pair import a_world


@in_virtual_time
async def test_an_order_is_computed_checked_and_paid(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        placed = await ann.requester.place(bob.public, ann.model(), items(3))
        assert placed.wrong is None
        assert placed.checked == 3
        assert placed.acked
        assert placed.paid == placed.price > 0
        assert await world.agree() == (placed.price, 0)
