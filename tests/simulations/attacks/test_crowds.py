# SPDX-License-Identifier: MIT
"""Many keys against few nodes: the half of the view that a node chooses itself stays honest."""

from pathlib import Path

import pytest

from simulations import invariants
from simulations.attacks.crowds import Eclipse, Garbage, Lurk
from tests.simulations.attacks.mobs import a_mob, chosen, in_a_seeded_world, known


@pytest.mark.slow
@in_a_seeded_world
async def test_a_ring_that_wants_all_places_of_a_node_does_not_get_those_that_it_chooses(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(7)
        await mob.passes(120)
        victim = mob.honest[4]
        eclipse = Eclipse([victim], keys=10)
        eve = await mob.start("eve", eclipse)
        await mob.passes(420)
        assert eclipse.did["met"] >= 10
        assert eclipse.did["praised"] > 100
        ring = set(eclipse.ring)
        assert ring & known(victim)
        honest = {each.key for each in mob.honest}
        assert len(set(chosen(victim)) & honest) * 2 >= len(chosen(victim))
        assert invariants.keeps_honest_company(mob.honest, 0.5) == ""
        assert honest - {victim.key} <= known(victim)
        await mob.settles(eve)


@pytest.mark.soak
@in_a_seeded_world
async def test_a_newcomer_in_the_middle_of_an_eclipse_knows_honest_nodes_and_meets_them_later(
    tmp_path: Path,
) -> None:
    """Its chosen places may all be of the ring, as docs/design/view.md says of floods."""
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        eclipse = Eclipse(keys=10)
        eve = await mob.start("eve", eclipse)
        await mob.passes(60)
        newcomer = await mob.start("newcomer")
        await mob.passes(120)
        honest = {each.key for each in mob.honest}
        assert set(eclipse.ring) & set(chosen(newcomer))
        assert len(known(newcomer) & honest) >= 3
        await mob.settles(eve)
        await mob.until(lambda: bool(set(chosen(newcomer)) & honest))


@in_a_seeded_world
async def test_garbage_on_every_protocol_ends_nothing_but_its_own_connection(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(5)
        garbage = Garbage()
        await mob.start("eve", garbage)
        await mob.passes(150)
        assert garbage.did["sent"] > 100
        assert mob.is_whole()


@in_a_seeded_world
async def test_connections_that_never_say_a_word_keep_nobody_out(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(4)
        lurk = Lurk([mob.honest[0]], keys=120)
        await mob.start("eve", lurk)
        await mob.passes(40)
        assert lurk.did["connected"] > 100
        assert lurk.did["sent_away"] > 100
        await mob.start("newcomer")
        await mob.until(mob.is_whole)
