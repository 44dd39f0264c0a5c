# SPDX-License-Identifier: MIT
"""How much is checked: no strategy of a cheat pays; and what follows from a failed check."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from math import comb
from operator import le

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.check import (
    CONVICTION_FACTOR,
    Q_MIN_PPM,
    SAMPLE_ITEMS_MIN,
    Accusation,
    Candidate,
    check_rate_ppm,
    choose_replica,
    convict,
    history_after,
    majority,
    plan_check,
    sample_size,
)
from protocol.compare import EXACT, F32, FLOORS, HALF, TOKENS, Deviation
from protocol.errors import LocalProtocolError, Refused
from protocol.limits import PRICE_MAX
from protocol.reasons import Reason
from tests.tables.accepted_fakes import PAGE, ratio, with_block

PRICES = st.integers(1, PRICE_MAX)
BOUND = Fraction(1, 9)


def draws(count: int, name: str = "") -> list[bytes]:
    return [sha256(f"{name}{place}".encode()).digest() for place in range(count)]


# --- how often ------------------------------------------------------------------------------------


@given(st.integers(0, 2**63), PRICES)
def test_the_rate_is_the_formula_rounded_up(history: int, price: int) -> None:
    exact = max(Fraction(1, 20), 1 / (1 + Fraction(1, 10) * Fraction(history, price)))
    assert 0 <= check_rate_ppm(history, price) - exact * 10**6 < 1


def test_the_rate_falls_from_always_to_one_in_twenty() -> None:
    rates = [check_rate_ppm(history * 100, 100) for history in (0, 10, 90, 190, 10**6)]
    assert rates == [1_000_000, 500_000, 100_000, Q_MIN_PPM, Q_MIN_PPM]


@pytest.mark.parametrize(("history", "price"), [(-1, 1), (0, 0)])
def test_a_rate_of_nothing_is_our_mistake(history: int, price: int) -> None:
    with pytest.raises(LocalProtocolError):
        check_rate_ppm(history, price)


@pytest.mark.parametrize(
    ("history", "items", "expected"),
    [
        (0, 1000, 1000),
        (1000, 1000, 1000),  # the rate is one half: still the whole shard
        (1001, 1000, 50),
        (1001, 1001, 51),
        (1001, 100, 8),
        (1001, 8, 8),
        (1001, 3, 3),
    ],
)
def test_a_checked_shard_is_executed_whole_until_the_rate_falls_below_one_half(
    history: int, items: int, expected: int
) -> None:
    assert sample_size(history, 100, items) == expected


def test_a_failed_check_costs_all_of_the_history() -> None:
    assert history_after(700, 30, accepted=True) == 730
    assert history_after(700, 30, accepted=False) == 0


# --- which items ----------------------------------------------------------------------------------


@given(
    st.integers(0, 10**9),
    st.lists(PRICES, min_size=1, max_size=60),
    st.binary(min_size=32, max_size=32),
)
def test_a_plan_names_items_of_the_shard_once_and_as_many_as_the_rule_says(
    history: int, prices: list[int], draw: bytes
) -> None:
    plan = plan_check(history, prices, draw)
    assert plan == plan_check(history, prices, draw)
    assert list(plan) == sorted(set(plan))
    assert set(plan) <= set(range(len(prices)))
    assert len(plan) in {0, sample_size(history, sum(prices), len(prices))}


def test_the_first_shard_is_always_executed_whole() -> None:
    assert all(plan_check(0, [5, 1, 1], draw) == (0, 1, 2) for draw in draws(50))


def test_a_shard_is_sampled_as_often_as_its_rate_says() -> None:
    sampled = sum(bool(plan_check(9000, [10] * 10, draw)) for draw in draws(2000))
    assert sampled == pytest.approx(2000 * check_rate_ppm(9000, 100) / 10**6, rel=0.15)


def test_items_of_equal_price_are_drawn_equally_often() -> None:
    plans = [plan_check(2000, [5] * 20, draw) for draw in draws(3000)]
    counts = Counter(item for plan in plans for item in plan)
    expected = sum(map(len, plans)) / 20
    assert all(abs(counts[item] - expected) < 0.2 * expected for item in range(20))


def test_a_dear_item_cannot_hide_among_cheap_ones() -> None:
    prices = [1] * 499 + [10**6]
    plans = [plan_check(20 * 10**6, prices, draw) for draw in draws(300)]
    checked = [plan for plan in plans if plan]
    assert len(checked) > 50
    assert all(499 in plan and len(plan) == 25 for plan in checked)


@pytest.mark.parametrize("faked", [range(2), range(10), range(0, 40, 4), range(35, 40)])
def test_a_faked_share_of_the_value_is_met_at_least_as_often_as_by_that_many_throws(
    faked: range,
) -> None:
    prices = [1 + place**2 for place in range(40)]
    history = 12 * sum(prices)
    share = sum(prices[item] for item in faked) / sum(prices)
    checked = [plan for draw in draws(1500) if (plan := plan_check(history, prices, draw))]
    met = sum(not set(plan).isdisjoint(faked) for plan in checked) / len(checked)
    assert met >= 1 - (1 - share) ** SAMPLE_ITEMS_MIN - 0.06


def test_a_draw_has_32_bytes() -> None:
    with pytest.raises(LocalProtocolError):
        plan_check(0, [1], bytes(31))


# --- what a cheat gets ----------------------------------------------------------------------------


def expected_gain(steps: Sequence[tuple[int, int, int]]) -> tuple[Fraction, Fraction]:
    """Expect, exactly, faked and honest value; a shard is (price of an item, items, faked)."""
    uncaught, fakes, honest, history = Fraction(1), Fraction(0), Fraction(0), 0
    for item_price, items, faked in steps:
        price = item_price * items
        size = sample_size(history, price, items)
        missed = Fraction(comb(items - faked, size), comb(items, size))
        uncaught *= 1 - Fraction(check_rate_ppm(history, price), 10**6) * (1 - missed)
        fakes += uncaught * item_price * faked
        honest += uncaught * item_price * (items - faked)
        history = history_after(history, price, accepted=True)
    return fakes, honest


@st.composite
def shards(draw: st.DrawFn) -> tuple[int, int, int]:
    items = draw(st.sampled_from([1, 2, 8, 9, 20, 100, 300]))
    faked = draw(st.one_of(st.just(0), st.integers(0, items), st.just(items)))
    return draw(st.sampled_from([1, 3, 100, 10**4])), items, faked


@given(st.lists(st.tuples(shards(), st.integers(1, 25)), max_size=8))
def test_no_strategy_gets_more_than_a_ninth_of_its_honest_value_in_fakes(
    plan: list[tuple[tuple[int, int, int], int]],
) -> None:
    fakes, honest = expected_gain([shard for shard, times in plan for _ in range(times)])
    assert fakes <= BOUND * honest


def test_the_bound_is_reached_by_honest_work_followed_by_nothing_but_fakes() -> None:
    fakes, honest = expected_gain([(1, 1, 0)] * 60 + [(1, 1, 1)] * 130)
    assert Fraction(11, 100) < fakes / honest <= BOUND


def test_a_history_of_tiny_shards_does_not_buy_a_giant_fake() -> None:
    fakes, honest = expected_gain([(1, 1, 0)] * 1000 + [(10**6, 1, 1)])
    assert fakes / honest < Fraction(1, 10)
    assert check_rate_ppm(1000, 10**6) > 999_000


def test_the_tables_of_the_documentation_are_what_the_rules_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_block(page) == page, ".venv/bin/python -m tests.tables.accepted_fakes writes them"


def test_throwing_the_dice_agrees_with_the_table() -> None:
    items, faked, start, runs = 20, 10, 20, 600
    fakes = honest = 0.0
    for run in range(runs):
        history, prices = start * items, [1] * items
        honest += start
        for draw in draws(400, f"run {run} "):
            if any(item < faked for item in plan_check(history, prices, draw)):
                break
            history = history_after(history, items, accepted=True)
            fakes += faked / items
            honest += 1 - faked / items
    assert fakes / honest == pytest.approx(ratio(items, faked, start), rel=0.15)


# --- evidence -------------------------------------------------------------------------------------

LIMIT = CONVICTION_FACTOR * FLOORS[F32]


def off(error: int) -> Deviation:
    return Deviation(form=True, same=False, rel_l2=error, max_rel=error)


def case(
    *deviations: Deviation,
    known: bool = True,
    public: bool = True,
    comparator: int = F32,
    tolerance: int = FLOORS[F32],
    spread: int = 10**9,
) -> Accusation:
    return Accusation(known, public, comparator, tolerance, spread, deviations)


@pytest.mark.parametrize(
    "accusation",
    [
        case(off(LIMIT)),
        case(off(0), off(LIMIT)),
        case(off(10**12)),
        case(Deviation(form=False, same=False)),
        case(off(CONVICTION_FACTOR * FLOORS[HALF]), comparator=HALF, tolerance=FLOORS[HALF]),
    ],
)
def test_an_error_far_beyond_the_tolerance_convicts(accusation: Accusation) -> None:
    """It returns; and only the error does it, so without one nobody is convicted."""
    convict(accusation)
    with pytest.raises(Refused, match="an error of 0"):
        convict(replace(accusation, deviations=()))


@pytest.mark.parametrize(
    ("accusation", "detail"),
    [
        (case(off(LIMIT - 1)), "below 2000000"),
        (case(), "below 2000000"),
        (case(Deviation(form=True, same=True, rel_l2=0)), "an error of 0"),
        (case(Deviation(form=True, same=False)), "an error of 0"),  # a label that tipped over
        (case(Deviation(form=True, same=False, finite=False)), "an error of 0"),
        (case(off(LIMIT), known=False), "not known"),
        (case(off(LIMIT), public=False), "not meant to be shown"),
        (case(off(LIMIT), spread=20 * FLOORS[F32] - 1), "not calibrated"),
        (case(off(LIMIT), tolerance=FLOORS[F32] - 1), "tolerance"),
        (case(Deviation(form=False, same=False), comparator=EXACT, tolerance=0), "differ"),
        (case(off(10**9), comparator=TOKENS, tolerance=FLOORS[TOKENS]), "differ"),
    ],
)
def test_what_leaves_a_doubt_convicts_nobody(accusation: Accusation, detail: str) -> None:
    with pytest.raises(Refused, match=detail) as caught:
        convict(accusation)
    assert caught.value.reason is Reason.NOT_CONVICTED


# --- replicas -------------------------------------------------------------------------------------


def close(one: float, other: float) -> bool:
    return abs(one - other) <= 1


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([1.0, 1.5, 9.0], (0, 1)),
        ([9.0, 1.0, 1.5], (1, 2)),
        ([1.0, 1.0, 1.0], (0, 1, 2)),
        ([1.0, 5.0, 9.0], None),
        ([1.0, 1.9, 2.8], (0, 1, 2)),  # the middle one vouches for both
        ([1.0, 1.0], (0, 1)),
        ([1.0, 9.0], None),
        ([1.0], None),  # nobody is a majority of one
        ([], None),
    ],
)
def test_the_results_that_agree_with_most_count(
    results: list[float], expected: tuple[int, ...] | None
) -> None:
    assert majority(results, close) == expected


def test_agreement_has_to_hold_in_both_directions() -> None:
    assert majority([1.0, 2.0, 3.0], le) is None


def worker(
    name: int, origin: str, *, stranger: bool = False, by: tuple[int, ...] = ()
) -> Candidate:
    return Candidate(bytes([name]) * 32, origin, stranger, frozenset(bytes([n]) * 32 for n in by))


FIRST = worker(1, "10.1.1", stranger=True, by=(9,))


@pytest.mark.parametrize(
    "accomplice",
    [
        worker(1, "10.2.2"),  # the same worker
        worker(2, "10.1.1"),  # the same address range
        worker(2, "10.2.2", stranger=True),  # both strangers
        worker(2, "10.2.2", by=(1,)),  # suggested by the first
        worker(9, "10.2.2"),  # suggested the first
    ],
)
def test_a_likely_accomplice_never_makes_the_replica(accomplice: Candidate) -> None:
    honest = worker(3, "10.3.3", by=(7,))
    for draw in draws(20):
        assert choose_replica([FIRST], [accomplice, honest], draw) is honest
        assert choose_replica([FIRST], [accomplice], draw) is None


def test_a_third_replica_is_independent_of_both_before_it() -> None:
    second, third = worker(2, "10.2.2"), worker(3, "10.3.3")
    neighbour = worker(4, "10.2.2")
    for draw in draws(20):
        assert choose_replica([FIRST, second], [neighbour, third], draw) is third


def test_every_fitting_worker_is_drawn_equally_often_in_whatever_order_they_are_listed() -> None:
    candidates = [worker(name, f"10.{name}.0") for name in range(2, 7)]
    drawn = [choose_replica([FIRST], candidates, draw) for draw in draws(1000)]
    assert drawn == [choose_replica([FIRST], candidates[::-1], draw) for draw in draws(1000)]
    counts = Counter(each.worker for each in drawn if each)
    assert len(counts) == 5
    assert all(150 < count < 250 for count in counts.values())
