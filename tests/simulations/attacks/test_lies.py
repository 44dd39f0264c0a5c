# SPDX-License-Identifier: MIT
"""Nodes that lie about themselves, give nothing, or compute wrongly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from protocol.errors import Refused
from protocol.reasons import Reason
from simulations.attacks.lies import (
    Equivocate,
    FreeRide,
    LieAboutHardware,
    LieAboutModels,
    WrongResults,
)
from simulations.node import MadeNode
from tests.node.whole_nodes import (
    began,
    give_model,
    order,
    said,
    some_nodes,
    until,
)
from tests.node.work.made_model import BODY, DIGEST
from tests.simulations.attacks.mobs import a_mob, in_a_seeded_world, known


def adverts_of(node: MadeNode, others: list[MadeNode]) -> set[bytes]:
    """The different adverts of a node that others believe."""
    return {
        one.wire for each in others for one in each.member.viewing.adverts() if one.node == node.key
    }


async def serve_model(node: MadeNode) -> None:
    """Put the made model on the shelf of a node, for others."""
    await give_model(node)
    await node.desk.ground.library.add(BODY, origin="", ours=True, served=True)


@in_a_seeded_world
async def test_different_adverts_of_one_version_stay_apart_until_the_next_version(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        equivocate = Equivocate()
        eve = await mob.start("eve", equivocate)
        # The first version has come to one, who has told it to all; the second comes to many.
        await mob.passes(420)
        assert mob.is_whole(eve)
        assert equivocate.did["equivocated"] > 1
        assert len(adverts_of(eve, mob.honest)) > 1
        await mob.settles(eve)
        # Its next version is one for all: it is half an hour until then at most.
        await mob.until(lambda: len(adverts_of(eve, mob.honest)) == 1, within_s=2000)


@in_a_seeded_world
async def test_a_third_of_free_riders_keeps_nobody_from_knowing_everybody(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(2)
        rides = [FreeRide() for _ in range(3)]
        eves = [await mob.start(f"eve-{n}", ride) for n, ride in enumerate(rides)]
        await mob.start_honest(4)
        await mob.passes(60)
        assert mob.is_whole()
        assert sum(ride.did["kept_advert"] for ride in rides) > 0
        await mob.settles(*eves)


@in_a_seeded_world
async def test_a_search_finds_honest_nodes_beside_one_that_claims_every_model(
    tmp_path: Path,
) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(6)
        lie = LieAboutModels([DIGEST])
        eve = await mob.start("eve", lie)
        rare = mob.honest[4]
        await serve_model(rare)
        rare.member.viewing.renew_soon()
        await mob.until(lambda: mob.is_whole(eve))
        await mob.passes(700)
        asker = mob.honest[1]
        found = await asker.member.viewing.search(most=4, model=DIGEST)
        assert lie.did["claimed"] > 0
        assert {each.node for each in found.adverts} == {rare.key, eve.key}


@in_a_seeded_world
async def test_a_boast_about_hardware_is_told_and_taken_back(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(5)
        lie = LieAboutHardware(100)
        eve = await mob.start("eve", lie)
        await mob.until(lambda: mob.is_whole(eve))

        def speeds() -> set[int]:
            return {
                one.advert.fp32_mflops
                for each in mob.honest
                for one in each.member.viewing.adverts()
                if one.node == eve.key
            }

        true = mob.honest[0].machine.hardware.fp32_mflops
        assert lie.did["boasted"] > 0
        assert speeds() == {100 * true}
        await mob.settles(eve)
        await mob.until(lambda: speeds() == {true}, within_s=2000)


@asynccontextmanager
async def ann_and_a_cheat(folder: Path) -> AsyncIterator[tuple[MadeNode, MadeNode, WrongResults]]:
    """Two friends with a model, one of whom computes wrongly."""
    async with some_nodes(folder) as nodes:
        cheat = WrongResults()
        ann = await began(nodes, "ann")
        eve = await began(nodes, "eve", attacks=(cheat,))
        await said(ann, "POST", "found", {"name": "friends", "private": True})
        await until(lambda: len(ann.readies) == 2)
        invited = await said(ann, "POST", "invite", {})
        await said(eve, "POST", "join", {"text": invited["text"]})
        await until(lambda: len(eve.readies) == 2)
        await until(lambda: eve.key in known(ann))
        yield ann, eve, cheat
        assert ann.failures == []


@in_a_seeded_world
async def test_wrong_results_are_found_and_not_paid_for(tmp_path: Path) -> None:
    async with ann_and_a_cheat(tmp_path) as (ann, eve, cheat):
        placed = await order(ann, eve)
        assert cheat.did["cheated"] > 0
        assert placed.wrong is Reason.RESULT_WRONG
        assert placed.paid == 0
        # Evidence stands: whatever it does from now on, nothing more is paid to it.
        cheat.is_on = False
        with pytest.raises(Refused) as refused:
            await order(ann, eve, seed=1)
        assert refused.value.reason is Reason.PAIR_FROZEN


@in_a_seeded_world
async def test_a_worker_that_will_not_be_paid_is_not_asked_to_work(tmp_path: Path) -> None:
    async with ann_and_a_cheat(tmp_path) as (ann, eve, cheat):
        await order(ann, eve)
        done = cheat.did["cheated"]
        with suppress(Refused):
            await order(ann, eve, seed=1)
        assert cheat.did["cheated"] == done
