# SPDX-License-Identifier: MIT
"""Adverts that are forged, old, or of a crowd: no false one is believed, and of others few."""

from pathlib import Path

import pytest

from protocol.limits import DIRECTORY_MAX, SOURCE_SHARE
from simulations.attacks.offers import (
    EXPIRED,
    FALSE_SIGNATURE,
    FUTURE,
    OTHER_NETWORK,
    Flood,
    Forge,
    Replay,
)
from tests.simulations.attacks.mobs import a_mob, chosen, in_a_seeded_world, known


@pytest.mark.parametrize("kind", [FALSE_SIGNATURE, OTHER_NETWORK])
def test_whoever_sends_a_forged_advert_is_banned_by_those_who_got_it(
    tmp_path: Path, kind: str
) -> None:
    @in_a_seeded_world
    async def run() -> None:
        async with a_mob(tmp_path) as mob:
            await mob.start_honest(6)
            forge = Forge(kind)
            eve = await mob.start("eve", forge)
            await mob.passes(200)
            assert forge.did["sent"] > 0
            assert len(mob.banned_by(eve)) >= 2
            assert all(eve.key not in chosen(each) for each in mob.honest)
            assert all(
                known(each) <= {one.key for one in (*mob.honest, eve)} for each in mob.honest
            )
            assert mob.is_whole()

    run()


@pytest.mark.parametrize("kind", [FUTURE, EXPIRED])
def test_an_advert_of_another_time_is_not_kept_and_costs_its_teller_nothing(
    tmp_path: Path, kind: str
) -> None:
    @in_a_seeded_world
    async def run() -> None:
        async with a_mob(tmp_path) as mob:
            await mob.start_honest(6)
            forge = Forge(kind)
            eve = await mob.start("eve", forge)
            await mob.passes(200)
            assert forge.did["sent"] >= 4
            assert all(
                known(each) <= {one.key for one in (*mob.honest, eve)} for each in mob.honest
            )
            assert mob.banned_by(eve) == []
            await mob.settles(eve)

    run()


@in_a_seeded_world
async def test_a_forger_that_turns_honest_is_taken_back_when_its_bans_are_over(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        eve = await mob.start("eve", Forge())
        await mob.passes(60)
        assert mob.banned_by(eve)
        await mob.settles(eve, within_s=4 * 3600)


@in_a_seeded_world
async def test_old_adverts_take_nothing_back(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        replay = Replay()
        eve = await mob.start("eve", replay)
        await mob.passes(420)  # everybody has described itself anew by then
        newest = {each.key: each.member.description.current() for each in mob.honest}
        await mob.passes(300)
        assert replay.did["sent"] > 0
        for each in mob.honest:
            held = {one.node: one.wire for one in each.member.viewing.adverts()}
            assert {key: held.get(key) for key in newest if key != each.key} == {
                key: wire for key, wire in newest.items() if key != each.key
            }
        await mob.settles(eve)


@in_a_seeded_world
async def test_a_node_that_is_gone_is_gone_though_somebody_goes_on_offering_it(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(5)
        await mob.start("eve", Replay())
        await mob.passes(420)
        gone = mob.honest.pop()
        gone.crash()
        await gone.over.wait()
        await mob.passes(3600 + 120)
        assert all(gone.key not in known(each) for each in mob.honest)


@in_a_seeded_world
async def test_a_crowd_of_good_adverts_fills_a_share_and_pushes_nobody_honest_out(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        flood = Flood(120)
        eve = await mob.start("eve", flood)
        await mob.passes(120)
        assert flood.did["sent"] > 100
        crowd = DIRECTORY_MAX // SOURCE_SHARE
        assert any(len(known(each)) > 40 for each in mob.honest)
        for each in mob.honest:
            assert each.member.viewing.view.directory.held_of(eve.key) <= crowd
            neighbours = each.member.viewing.neighbours
            assert {one.key for one in mob.honest} & neighbours
        assert mob.is_whole()
        await mob.settles(eve)
