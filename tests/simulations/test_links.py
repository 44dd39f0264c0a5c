# SPDX-License-Identifier: MIT
"""What links are like: one leg after the other, and who has which."""

from random import Random

import pytest

from simulations.links import (
    ACCESSES,
    COUNTRY,
    DISTANCES,
    DSL,
    FIBRE,
    INTERCONTINENTAL,
    LAN,
    LinkTraits,
    joined,
)
from simulations.routes import Routes
from tests.simulations.made_nets import (
    ALICE,
    BOB,
    CAROL,
    IDEAL,
    TENTH,
)

# --- what several legs are together -------------------------------------------------------------


def test_legs_add_up_and_the_narrowest_says_how_much_passes() -> None:
    legs = (LinkTraits(0.1, 0.01, 5e6), LinkTraits(0.02, 0.002, 1e6), LinkTraits(0.003))
    whole = joined(legs)
    assert whole.latency_s == pytest.approx(0.123)
    assert whole.jitter_s == pytest.approx(0.012)
    assert whole.bytes_per_s == 1e6
    assert (whole.stall_probability, whole.stall_s, whole.reset_probability) == (0, 0, 0)
    assert joined([]) == LinkTraits()


def test_each_leg_may_stall_and_reset_by_its_own_chance() -> None:
    often = LinkTraits(stall_probability=0.5, stall_s=1.0, reset_probability=0.5)
    rarely = LinkTraits(stall_probability=0.1, stall_s=7.0)
    whole = joined([often, rarely, LinkTraits(reset_probability=0.5)])
    assert whole.stall_probability == pytest.approx(1 - 0.5 * 0.9)
    assert whole.stall_s == pytest.approx((0.5 * 1 + 0.1 * 7) / 0.6)
    assert whole.reset_probability == pytest.approx(0.75)


def test_between_two_hosts_lie_their_accesses_and_the_distance_of_their_groups() -> None:
    routes = Routes(Random)
    assert routes.traits(ALICE, BOB) == COUNTRY
    routes.set_access(ALICE, DSL)
    routes.set_access(BOB, FIBRE)
    assert routes.traits(ALICE, BOB) == joined([DSL.up, COUNTRY, FIBRE.down])
    assert routes.traits(BOB, ALICE) == joined([FIBRE.up, COUNTRY, DSL.down])
    routes.set_group("berlin", [ALICE])
    routes.set_group("tokyo", [BOB, CAROL])
    routes.set_distance("berlin", "tokyo", INTERCONTINENTAL)
    routes.set_distance("tokyo", "tokyo", LAN)
    assert routes.traits(BOB, ALICE) == joined([FIBRE.up, INTERCONTINENTAL, DSL.down])
    assert routes.traits(CAROL, BOB) == joined([LAN, FIBRE.down])
    routes.set_distance("berlin", "tokyo", TENTH, IDEAL)
    assert routes.traits(ALICE, CAROL) == joined([DSL.up, TENTH])
    assert routes.traits(CAROL, ALICE) == joined([IDEAL, DSL.down])


def test_a_link_that_was_set_lies_past_all_else() -> None:
    routes = Routes(Random)
    routes.set_access(ALICE, DSL)
    routes.set_group("here", [ALICE, BOB])
    routes.set_distance("here", "here", TENTH)
    routes.set_link(ALICE, BOB, LAN)
    assert routes.traits(ALICE, BOB) == routes.traits(BOB, ALICE) == LAN
    routes.set_link(BOB, ALICE, TENTH, LAN)
    assert (routes.traits(BOB, ALICE), routes.traits(ALICE, BOB)) == (TENTH, LAN)
    assert routes.traits(ALICE, CAROL) == joined([DSL.up, COUNTRY])


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency_s": -1.0},
        {"jitter_s": -1.0},
        {"bytes_per_s": 0.0},
        {"stall_probability": 1.1},
        {"reset_probability": -0.1},
    ],
)
def test_traits_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(AssertionError):
        LinkTraits(**wrong)


def test_homes_send_more_slowly_than_they_receive_and_names_are_those_of_the_profiles() -> None:
    assert all(each.up.bytes_per_s <= each.down.bytes_per_s for each in ACCESSES.values())
    assert all(name == each.name for name, each in ACCESSES.items())
    assert DISTANCES["lan"].latency_s < DISTANCES["country"].latency_s
