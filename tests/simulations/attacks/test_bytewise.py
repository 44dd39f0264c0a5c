# SPDX-License-Identifier: MIT
"""Nodes that are cut off, slow, silent or unreadable: it costs themselves, and nobody else."""

from pathlib import Path

import pytest

from simulations.attacks.bytewise import ALL, Delay, Drop, Silent, Tamper
from tests.simulations.attacks.mobs import a_mob, in_a_seeded_world, known


@in_a_seeded_world
async def test_nothing_leaves_a_node_that_drops_all_and_later_it_is_there_again(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        drop = Drop()
        eve = await mob.start("eve", drop)
        await mob.passes(200)
        assert drop.did["stalled"] > 0
        assert all(eve.key not in known(each) for each in mob.honest)
        assert mob.is_whole()
        await mob.settles(eve)


@in_a_seeded_world
async def test_a_member_whose_words_stop_leaving_is_let_go_and_comes_back(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        drop = Drop(is_on=False)
        eve = await mob.start("eve", drop)
        await mob.until(lambda: mob.is_whole(eve))
        drop.is_on = True
        await mob.until(lambda: all(eve.key not in each.member.mesh.peers for each in mob.honest))
        assert drop.did["stalled"] > 0
        await mob.settles(eve)


@in_a_seeded_world
async def test_nodes_that_lose_half_of_their_streams_take_nothing_from_the_others(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        eves = [await mob.start(f"eve-{n}", Drop(0.5)) for n in range(3)]
        await mob.passes(300)
        assert mob.is_whole()
        await mob.settles(*eves)


@in_a_seeded_world
async def test_a_slow_node_is_known_and_knows_all_if_later(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        delay = Delay(0.5, 1.5)
        eve = await mob.start("eve", delay)
        await mob.until(lambda: mob.is_whole(eve))
        await mob.passes(60)
        assert delay.did["delayed"] > 10
        assert mob.banned_by(eve) == []


@in_a_seeded_world
async def test_who_says_changed_bytes_is_blamed_and_nobody_believes_them(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        tamper = Tamper(0.3)
        eve = await mob.start("eve", tamper)
        await mob.passes(600)
        assert tamper.did["tampered"] > 0
        assert mob.blamed_by(eve)
        assert mob.is_whole()


@pytest.mark.parametrize("protocols", [ALL, None])
def test_a_silent_node_is_not_waited_for(tmp_path: Path, protocols: tuple[str, ...] | None) -> None:
    @in_a_seeded_world
    async def run() -> None:
        async with a_mob(tmp_path) as mob:
            await mob.start_honest(6)
            silent = Silent(protocols) if protocols else Silent()
            eve = await mob.start("eve", silent)
            await mob.passes(300)
            assert silent.did["swallowed"] > 0
            assert mob.is_whole()
            newcomer = await mob.start("newcomer", by=mob.honest[1])
            await mob.until(mob.is_whole)
            assert newcomer in mob.honest
            await mob.settles(eve)

    run()
