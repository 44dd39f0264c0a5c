# SPDX-License-Identifier: MIT
"""Each invariant holds in a quiet world, and says what is wrong where somebody breaks it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import trio

from node.mesh.line import Line
from node.supervised import Health
from protocol.entry import Entry
from protocol.frames import DocumentFrame
from protocol.keys import Keypair
from protocol.known import Known, known_from, read_advert
from protocol.limits import ADVERT_INTERVAL_S_MIN
from protocol.neighbours import Neighbour
from protocol.reasons import Reason
from protocol.sealed import seal
from simulations import invariants
from simulations.attacks.offers import made_up
from simulations.hearing import Line as Said
from simulations.node import MadeNode
from tests.simulations.attacks.mobs import Mob, a_mob, in_a_seeded_world

Breaks = Callable[[MadeNode, MadeNode], None]


@asynccontextmanager
async def a_quiet_world(folder: Path) -> AsyncIterator[Mob]:
    """Three nodes that know each other. What a test breaks is gone with them."""
    async with a_mob(folder) as mob:
        await mob.start_honest(3)
        await trio.sleep(60)
        assert mob.trouble() == ""
        yield mob
        mob.honest.clear()
        mob.nodes.by_name.clear()


def entry_of(node: MadeNode, other: MadeNode) -> Entry:
    return node.member.viewing.view.directory.entries[other.key]


def put(node: MadeNode, known: Known) -> None:
    """Put an advert into a directory, past all rules."""
    directory = node.member.viewing.view.directory
    directory.entries[known.node] = Entry(known, b"somebody", 1, vouched=False)


def strangers(node: MadeNode, count: int, address: str = "") -> list[Known]:
    """Make good adverts of nodes that nobody runs."""
    like = node.member.viewing.view.exchange.own
    assert like
    found = []
    for number in range(count):
        wire = made_up(like.advert, node.member.network.id, Random(number))
        known = read_advert(wire, node.member.network.id)
        if address:
            known = known_from(wire, replace(known.advert, addresses=(address,)))
        found.append(known)
    return found


def forge(node: MadeNode, other: MadeNode) -> None:
    entry = entry_of(node, other)
    entry.known = known_from(entry.known.wire, replace(entry.known.advert, memory_mib=1))


def sign_falsely(node: MadeNode, other: MadeNode) -> None:
    known = entry_of(node, other).known
    wire = bytes(64) + known.wire[64:]
    entry_of(node, other).known = known_from(wire, known.advert)


def keep_what_is_over(node: MadeNode, other: MadeNode) -> None:
    advert = entry_of(node, other).known.advert
    old = replace(advert, issued_at_s=advert.issued_at_s - 7200)
    entry_of(node, other).known = known_from(b"", old)


def keep_what_has_not_begun(node: MadeNode, other: MadeNode) -> None:
    advert = entry_of(node, other).known.advert
    entry_of(node, other).known = known_from(b"", replace(advert, issued_at_s=2_000_000_000))


def keep_too_many(node: MadeNode, _other: MadeNode) -> None:
    for known in strangers(node, 400):
        put(node, known)


def keep_too_many_of_one_source(node: MadeNode, _other: MadeNode) -> None:
    for known in strangers(node, 50):
        put(node, known)


def keep_too_many_of_one_range(node: MadeNode, _other: MadeNode) -> None:
    for known in strangers(node, 5, "/ip4/8.8.8.8/tcp/1"):
        put(node, known)


def wish_for_too_much(node: MadeNode, _other: MadeNode) -> None:
    talk = next(iter(node.member.viewing.view.exchange.talks.values()))
    talk.wanted.update((bytes([n]) * 32, False) for n in range(33))


def have_too_many_neighbours(node: MadeNode, _other: MadeNode) -> None:
    around = node.member.viewing.view.neighbours
    for n in range(7):
        around.linked[bytes([n]) * 32] = Neighbour(bytes([n]) * 32, 0.0, inbound=True)


def queue_too_much(node: MadeNode, _other: MadeNode) -> None:
    lines: dict[bytes, Line] = node.member.viewing._lines
    line = next(iter(lines.values()))
    line._waiting.extend([DocumentFrame(b"x")] * 81)


def crash_a_task(node: MadeNode, _other: MadeNode) -> None:
    healths = node.desk.ground.supervised.healths
    healths["view"] = Health("view", crashes=1, last="ValueError: no")


def end_badly(node: MadeNode, _other: MadeNode) -> None:
    node.error = ValueError("no")


def fail_inside(node: MadeNode, _other: MadeNode) -> None:
    node.said.hear(Said(1.0, "error", "stream_failed", "no"), has_failed=True)


def ban(node: MadeNode, other: MadeNode) -> None:
    node.member.mesh.blame(other.key, Reason.BAD_SIGNATURE, "no")


BROKEN: tuple[tuple[Breaks, str], ...] = (
    (forge, "what it believes is not what was sealed"),
    (sign_falsely, "bad_signature"),
    (keep_what_is_over, "over for"),
    (keep_what_has_not_begun, "s from now"),
    (keep_too_many, "adverts, and may have 384"),
    (keep_too_many_of_one_source, "adverts of one source, and may have 48"),
    (keep_too_many_of_one_range, "adverts of one range, and may have 4"),
    (wish_for_too_much, "wishes in one talk, and may have 32"),
    (have_too_many_neighbours, "neighbours that came, and may have 6"),
    (queue_too_much, "frames waiting, and may have 80"),
    (crash_a_task, "the task view crashed with ValueError: no"),
    (end_badly, "ended with ValueError('no')"),
    (fail_inside, "stream_failed"),
    (ban, "has banned"),
)


@pytest.mark.parametrize(
    ("breaks", "words"), BROKEN, ids=lambda each: getattr(each, "__name__", "")
)
def test_who_breaks_an_invariant_is_named_with_what_is_wrong(
    tmp_path: Path, breaks: Breaks, words: str
) -> None:
    @in_a_seeded_world
    async def run() -> None:
        async with a_quiet_world(tmp_path) as mob:
            breaks(mob.honest[1], mob.honest[0])
            trouble = trouble_of(mob)
            assert words in trouble
            assert "honest-2" in trouble

    run()


def trouble_of(mob: Mob) -> str:
    """Say what does not hold; a broken signature stands behind what it makes impossible."""
    late = invariants.adverts_expire(mob.honest) or invariants.adverts_have_begun(mob.honest)
    bounded = invariants.directories_bounded(mob.honest)
    return late or bounded or mob.trouble()


@in_a_seeded_world
async def test_two_adverts_of_one_version_of_an_honest_node_are_told(tmp_path: Path) -> None:
    async with a_quiet_world(tmp_path) as mob:
        first, second, _ = mob.honest
        own = first.member.viewing.view.exchange.own
        assert own
        keypair: Keypair = first.desk.ground.identity.keypair
        other = replace(own.advert, memory_mib=own.advert.memory_mib + 1)
        network = first.member.network.id
        wire = seal(keypair, network, other).wire
        entry_of(second, first).known = read_advert(wire, network)
        assert "another advert" in mob.trouble()
        older = replace(other, issued_at_s=own.advert.issued_at_s - ADVERT_INTERVAL_S_MIN)
        wire = seal(keypair, network, older).wire
        entry_of(second, first).known = read_advert(wire, network)
        assert mob.trouble() == ""


@in_a_seeded_world
async def test_company_is_honest_to_the_share_that_is_asked_for(tmp_path: Path) -> None:
    async with a_quiet_world(tmp_path) as mob:
        assert invariants.keeps_honest_company(mob.honest, 1.0) == ""
        around = mob.honest[2].member.viewing.view.neighbours
        del around.linked[mob.honest[0].key]
        assert invariants.keeps_honest_company(mob.honest, 0.5) == ""
        trouble = invariants.keeps_honest_company(mob.honest, 0.6)
        assert trouble == "honest-3 has 1 honest neighbours, and seeks 2"


@in_a_seeded_world
async def test_nodes_that_are_down_have_nothing_to_be_looked_at(tmp_path: Path) -> None:
    async with a_quiet_world(tmp_path) as mob:
        mob.honest[1].crash()
        await mob.honest[1].over.wait()
        assert mob.trouble() == ""
