# SPDX-License-Identifier: MIT
"""Bugs to be planted in the code of the node: each is one that somebody might really write.

Each function plants one, by a `MonkeyPatch` that takes it out again; its docstring says what the
bug is. As a program this file runs a scenario with one of them, for comparisons of processes.
"""

import json
import sys
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
import trio

from node.mesh import control, discovery
from node.mesh.cache import PeerCache
from node.mesh.control import measured
from node.mesh.meetings import Meetings
from node.mesh.peer import Link, Peer
from node.mesh.ticking import Ticking
from protocol.actions import Action, Dial
from protocol.bounded import remember
from protocol.directory import Directory
from protocol.exchange import Exchange, Summary
from protocol.limits import DIAL_REST_S_MIN, KEYS_REMEMBERED_MAX
from protocol.memory import Memory
from protocol.neighbours import Neighbours
from simulations.scenarios import scenarios
from simulations.simulate import simulate
from simulations.trace import written_to

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


# --- a lost timeout -------------------------------------------------------------------------------


def ping_without_deadline(patch: Patch) -> None:
    """The ping of a link waits for its answer for ever."""
    patch.setattr(control, "PONG_S", inf)


def only_the_dialler_pings(patch: Patch) -> None:
    """Only who has dialled asks whether the other one is there."""

    async def measured_by_the_dialler(link: Link, deadline_s: float) -> float:
        if link.inbound and deadline_s == control.PONG_S:
            await trio.lowlevel.checkpoint()
            return link.rtt_s or 0.1
        return await measured(link, deadline_s)

    patch.setattr(control, "measured", measured_by_the_dialler)


# --- a missing dedupe -----------------------------------------------------------------------------


def both_links_are_kept(patch: Patch) -> None:
    """When two dials cross, both connections stay for ever."""

    async def settle(_meetings: Meetings, _peer: Peer) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Meetings, "_settle", settle)


def what_is_known_is_asked_for_again(patch: Patch) -> None:
    """Of what a neighbour tells, all is asked for, whether it is known or not."""

    def on_summary(
        exchange: Exchange, key: bytes, summary: Summary, now: float
    ) -> tuple[list[Action], bool]:
        talk = exchange.talks[key]
        if not talk.summaries.take(now):
            return [], False
        talk.hear(summary.held)
        for row in summary.held:
            talk.lack(row)
        return exchange._ask(key, talk, now), True

    patch.setattr(Exchange, "on_summary", on_summary)
    patch.setattr(Exchange, "_is_worth", lambda *_: True)


# --- a leak of stale adverts ----------------------------------------------------------------------


def adverts_never_expire(patch: Patch) -> None:
    """What is over stays in the directory."""
    patch.setattr(Directory, "expire", lambda *_: None)


# --- a wrong retry --------------------------------------------------------------------------------


def no_back_off(patch: Patch) -> None:
    """Each failed dial counts as the first one: the wait before the next is never longer."""

    def rest(memory: Memory, key: bytes, now: float) -> None:
        remember(memory._rests, key, (now + DIAL_REST_S_MIN, 1), KEYS_REMEMBERED_MAX)

    patch.setattr(Memory, "rest", rest)


def no_second_try(patch: Patch) -> None:
    """Who could not be dialled once is never dialled again, and who is alone waits to be found."""
    patch.setattr(Memory, "rests", lambda memory, key, _now: key in memory._rests)
    patch.setattr(discovery, "ROUND_MAX", 0)


# --- an unbounded queue ---------------------------------------------------------------------------


def one_teller_fills_the_directory(patch: Patch) -> None:
    """Whatever comes has a place, and nothing gives way to it."""
    patch.setattr(Directory, "_victim", lambda *_: None)


# --- a lost wake-up -------------------------------------------------------------------------------


def the_tick_sleeps_on(patch: Patch) -> None:
    """When something is due sooner, nobody wakes whoever waits for the later time."""

    def wake(ticking: Ticking) -> None:
        due_s = ticking._next_at(ticking._clock.now().mono_s)
        ticking._due_s = min(ticking._due_s, due_s)

    patch.setattr(Ticking, "wake", wake)


def nobody_hears_of_a_link(patch: Patch) -> None:
    """Who waits for a hello is not woken when it is done."""
    patch.setattr(Meetings, "_arrived", lambda _meetings, _connection: None)


# --- others ---------------------------------------------------------------------------------------


def the_cache_is_not_saved(patch: Patch) -> None:
    """Whom a node knows is never written down."""

    async def save(_cache: PeerCache) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(PeerCache, "save", save)


# --- what does not follow from the seed -----------------------------------------------------------


def a_set_decides(patch: Patch) -> None:
    """Whom to dial is whoever comes first out of a set."""
    choose = Neighbours._choose

    def choose_any(around: Neighbours, now: float) -> Dial | None:
        usable = {
            (entry.known.node, entry.known.advert.addresses)
            for entry in around._directory
            if around._may_dial(entry.known.node, now)
        }
        return Dial(*next(iter(usable))) if usable else choose(around, now)

    patch.setattr(Neighbours, "_choose", choose_any)


def the_wall_decides(patch: Patch) -> None:
    """How long a node is left alone hangs on the clock on the wall."""

    def rest(memory: Memory, key: bytes, now: float) -> None:
        rest_s = DIAL_REST_S_MIN + time.time() % 1
        remember(memory._rests, key, (now + rest_s, 1), KEYS_REMEMBERED_MAX)

    patch.setattr(Memory, "rest", rest)


def main(plant: str, name: str, options: str, trace: str) -> None:
    """Run a scenario with a bug in a process of its own, and write its trace."""
    with (
        pytest.MonkeyPatch.context() as patch,
        written_to(Path(trace.removeprefix("--trace="))) as sink,
    ):
        globals()[plant](patch)
        simulate(scenarios()[name], options=json.loads(options), sink=sink)


if __name__ == "__main__":
    main(*sys.argv[1:])
