# SPDX-License-Identifier: MIT
"""What must hold in a world: always, or at last. A check is a function that says what is wrong.

::

    def nobody_is_richer(sim: Sim) -> str:
        return "" if ... else "node-3 has more than it earned"

Its name is what a report calls it. Checks of safety hold at any moment, whatever the trouble;
those of `EVENTUALLY` hold again when the trouble is over and some time has passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations import invariants
from simulations.lasting import (
    dials_back_off,
    nobody_believes_in_the_gone,
    one_link_each,
    quiet_is_quiet,
)
from simulations.node import MadeNode

if TYPE_CHECKING:
    from simulations.sim import Sim

Check = Callable[["Sim"], str]
"""Gives what is wrong, as a sentence, or nothing."""

#: A report of a thousand nodes that all miss somebody names the first few.
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Trouble:
    """A check that does not hold."""

    check: str
    what: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.check.replace('_', ' ')}: {self.what}"


class CheckFailedError(AssertionError):
    """Some checks do not hold, though they should by now."""

    def __init__(self, *troubles: Trouble, after_s: float | None = None) -> None:
        """`after_s` says how long they were given."""
        within = "" if after_s is None else f" (not within {after_s:g} s)"
        super().__init__("; ".join(map(str, troubles)) + within)
        self.troubles = troubles


def failing(sim: "Sim", checks: Sequence[Check]) -> list[Trouble]:
    """Give those that do not hold now, and why."""
    told = [(check.__name__, check(sim)) for check in checks]
    return [Trouble(name, what) for name, what in told if what]


# --- always -----------------------------------------------------------------------------------


def nothing_failed(sim: "Sim") -> str:
    """No handler, task or node of anybody honest has failed."""
    return invariants.nothing_failed(sim.honest) or invariants.nobody_crashed(sim.honest)


def bounds_hold(sim: "Sim") -> str:
    """What a node keeps of others has a bound, whatever they do."""
    return invariants.directories_bounded(sim.honest) or invariants.places_bounded(sim.honest)


def adverts_are_true(sim: "Sim") -> str:
    """Nobody honest believes an advert that its node has not made."""
    return invariants.no_forged_adverts(sim.honest, sim.nodes)


# --- at last ------------------------------------------------------------------------------------


def everybody_knows_everybody(sim: "Sim") -> str:
    """Each node has the advert of each other one, as far as its directory has room."""
    return _strangers(sim.up)


def honest_know_each_other(sim: "Sim") -> str:
    """Each honest node has the advert of each other honest one."""
    return _strangers([each for each in sim.up if not each.attacks])


def _strangers(up: Sequence[MadeNode]) -> str:
    keys = {each.key: each.name for each in up}
    lacking: list[str] = []
    for each in up:
        room = min(len(keys) - 1, each.member.viewing.view.directory.room)
        known = len(keys.keys() & known_to(each)) - (each.key in known_to(each))
        if known < room:
            lacking.append(f"{each.name} knows {known} of {room}")
    return _some(lacking)


def nobody_is_alone(sim: "Sim") -> str:
    """Each node has a neighbour, and one can go from each to each over neighbours."""
    up = {each.key: each for each in sim.up}
    if len(up) < 2:
        return ""
    near = {
        key: set(each.member.viewing.view.neighbours.linked) & up.keys() for key, each in up.items()
    }
    begin = next(iter(up))
    reached, todo = {begin}, [begin]
    while todo:
        new = near[todo.pop()] - reached
        reached |= new
        todo += sorted(new)
    return _some([f"{each.name} is apart" for key, each in up.items() if key not in reached])


def adverts_expire(sim: "Sim") -> str:
    """Nobody keeps an advert that is over."""
    return invariants.adverts_expire(sim.honest)


# --- checks that are made -----------------------------------------------------------------------


def nobody_knows(gone: Sequence[MadeNode]) -> Check:
    """Check that nobody who is up has an advert of one of these."""
    keys = {each.key: each.name for each in gone}

    def gone_are_forgotten(sim: "Sim") -> str:
        return _some(
            [
                f"{each.name} still knows {keys[key]}"
                for each in sim.up
                for key in sorted(known_to(each) & keys.keys())
            ]
        )

    return gone_are_forgotten


def not_for_long(check: Check, seconds: float) -> Check:
    """Check that another check is not broken for longer than this, as often as one looks."""
    since_s: float | None = None

    def held_again_soon(sim: "Sim") -> str:
        nonlocal since_s
        trouble = check(sim)
        if not trouble:
            since_s = None
            return ""
        since_s = sim.now_s if since_s is None else since_s
        return trouble if sim.now_s - since_s > seconds else ""

    held_again_soon.__name__ = f"{check.__name__}_for_long"
    return held_again_soon


SAFE: tuple[Check, ...] = (
    *(nothing_failed, bounds_hold, adverts_are_true),
    *(nobody_believes_in_the_gone, one_link_each, dials_back_off, quiet_is_quiet),
)
EVENTUALLY: tuple[Check, ...] = (everybody_knows_everybody, nobody_is_alone, adverts_expire)


def known_to(node: MadeNode) -> "frozenset[bytes]":
    """Give the keys of those whose adverts a node has, expired ones among them."""
    return frozenset(node.member.viewing.view.directory.entries)


def _some(what: Sequence[str]) -> str:
    more = f", and {len(what) - NAMED_MAX} more" if len(what) > NAMED_MAX else ""
    return ", ".join(what[:NAMED_MAX]) + more
