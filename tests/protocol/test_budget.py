# SPDX-License-Identifier: MIT
"""The bucket, the lines, the classes and the queue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.budget import (
    STRANGER,
    Bucket,
    BudgetRules,
    Exposure,
    OrderClass,
    Standing,
    Waiting,
    admit,
    admit_gift,
    lend,
    next_in_queue,
    rank_workers,
)
from protocol.errors import Refused
from protocol.limits import REFILL_S_MAX
from protocol.reasons import Reason

RULES = BudgetRules(size_cu=1000, refill_cu_per_s=3, stranger_line_cu=100)


def refusal(
    exposure: Exposure, price: int, standing: Standing = STRANGER, tokens: int = 1000
) -> Reason:
    bucket = Bucket(RULES, 0)
    bucket.tokens = tokens
    with pytest.raises(Refused) as caught:
        admit(exposure, standing, bucket, price)
    return caught.value.reason


def test_the_default_budget_is_a_quarter_of_a_day_refilled_at_one_percent() -> None:
    """The defaults of the design, and never a budget that is not refilled at all."""
    rules = BudgetRules.for_capacity(100_000)
    assert (rules.size_cu, rules.refill_cu_per_s) == (100_000 * 86_400 // 4, 1_000)
    assert BudgetRules.for_capacity(5).refill_cu_per_s == 1


def test_what_i_owe_is_honoured_before_any_other_rule_but_a_freeze() -> None:
    """Class A needs no tokens, no line and no window; evidence stops it all the same."""
    owed = Exposure(net_cu=-50, unpaid_orders=3, open_orders=9)
    empty = Bucket(RULES, 0)
    empty.tokens = 0
    assert admit(owed, STRANGER, empty, 50) is OrderClass.REDEEMS
    assert refusal(Exposure(net_cu=-50, frozen=True), 50) is Reason.PAIR_FROZEN


def test_only_the_part_beyond_what_is_owed_takes_tokens() -> None:
    """An order of 50 from a peer that is owed 30 lends it 20."""
    assert Exposure(net_cu=-30).need_cu(50) == 20
    assert Exposure(net_cu=30).need_cu(50) == 50
    assert Exposure(net_cu=30, uncharged_cu=30).need_cu(50) == 50
    assert Exposure(net_cu=-30, uncharged_cu=-30).need_cu(50) == 50


def test_an_unpaid_order_blocks_new_ones() -> None:
    assert refusal(Exposure(net_cu=10, unpaid_orders=1, earned_cu=99), 5) is Reason.UNPAID


@pytest.mark.parametrize(("earned", "most"), [(0, 1), (99, 1), (100, 4)])
def test_strangers_have_one_open_order_and_known_peers_four(earned: int, most: int) -> None:
    bucket = Bucket(RULES, 0)
    assert admit(Exposure(open_orders=most - 1, earned_cu=earned), STRANGER, bucket, 5)
    assert refusal(Exposure(open_orders=most, earned_cu=earned), 5) is Reason.WINDOW_FULL


def test_the_line_is_the_strangers_line_plus_trust_plus_half_of_what_was_earned() -> None:
    """Each of the three raises the limit by its own amount and not by one more."""
    bucket = Bucket(RULES, 0)
    for standing, earned, limit in (
        (STRANGER, 0, 100),
        (STRANGER, 40, 120),
        (Standing(line_cu=7), 0, 107),
        (Standing(listed=True), 0, 350),
        (Standing(member=True), 0, 350),
        (Standing(member=True, line_cu=0), 0, 100),
    ):
        exposure = Exposure(net_cu=60, earned_cu=earned)
        assert lend(exposure, standing, bucket, limit - 60) in (
            OrderClass.KNOWN,
            OrderClass.STRANGER,
        )
        assert refusal(exposure, limit - 59, standing) is Reason.CREDIT_LINE


def test_strangers_may_use_half_of_the_bucket_and_known_peers_all_of_it() -> None:
    bucket = Bucket(RULES, 0)
    bucket.tokens = 520
    assert admit(Exposure(), STRANGER, bucket, 20) is OrderClass.STRANGER
    assert refusal(Exposure(), 21, tokens=520) is Reason.STRANGERS_EXHAUSTED
    assert admit(Exposure(earned_cu=100), STRANGER, bucket, 21) is OrderClass.KNOWN
    assert refusal(Exposure(earned_cu=100), 21, tokens=20) is Reason.BUDGET_EXHAUSTED
    assert refusal(Exposure(earned_cu=99), 21, tokens=520) is Reason.STRANGERS_EXHAUSTED


def test_gifts_go_to_whom_the_owner_says_and_only_when_idle() -> None:
    member = Standing(member=True)
    assert admit_gift(Exposure(), member, 1, idle=True) is OrderClass.GIFT
    assert admit_gift(Exposure(), Standing(listed=True), 1, idle=True) is OrderClass.GIFT
    assert admit_gift(Exposure(), STRANGER, 2, idle=True) is OrderClass.GIFT
    for exposure, standing, policy, idle, reason in (
        (Exposure(), member, 0, True, Reason.GIFTS_CLOSED),
        (Exposure(), STRANGER, 1, True, Reason.GIFTS_CLOSED),
        (Exposure(), member, 1, False, Reason.BUSY),
        (Exposure(open_orders=4), member, 1, True, Reason.WINDOW_FULL),
        (Exposure(frozen=True), member, 1, True, Reason.PAIR_FROZEN),
    ):
        with pytest.raises(Refused) as caught:
            admit_gift(exposure, standing, policy, idle=idle)
        assert caught.value.reason is reason


@given(st.lists(st.integers(0, 5_000), max_size=30))
def test_refill_does_not_depend_on_how_often_it_is_asked(steps_ms: list[int]) -> None:
    """Replaying a journal refills at other moments than living did."""
    often, once = Bucket(RULES, 0), Bucket(RULES, 0)
    often.tokens = once.tokens = 0
    now_ms = 0
    for step in steps_ms:
        now_ms += step
        often.refill(now_ms / 1000)
    once.refill(now_ms / 1000)
    assert often.tokens == once.tokens <= RULES.size_cu


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = Bucket(RULES, 100)
    bucket.tokens = 5
    bucket.refill(50)
    assert bucket.tokens == 5
    bucket.refill(101)
    assert bucket.tokens == 8


def test_a_restart_credits_at_most_one_day() -> None:
    """A node that was off for a month lent nothing, and gets back what a day gives."""
    rules = BudgetRules(size_cu=10**9, refill_cu_per_s=3)
    bucket = Bucket(rules, 10**6)
    bucket.tokens = 0
    bucket.restart(7.0, 30 * 86_400, restored=False)
    assert bucket.tokens == 3 * REFILL_S_MAX
    bucket.restart(7.0, -5, restored=False)
    assert bucket.tokens == 3 * REFILL_S_MAX


def test_restored_books_begin_with_no_tokens() -> None:
    """They may have forgotten what was lent since."""
    bucket = Bucket(RULES, 0)
    bucket.restart(0, 86_400, restored=True)
    assert bucket.tokens == 0


def test_tokens_follow_what_is_lent_and_never_exceed_the_bucket() -> None:
    bucket = Bucket(RULES, 0)
    bucket.move(0, 400)
    assert bucket.tokens == 600
    bucket.move(400, 100)
    assert bucket.tokens == 900
    bucket.move(900, 0)
    assert bucket.tokens == 1000
    with pytest.raises(AssertionError, match="with only 1000 tokens"):
        bucket.move(0, 1001)


def test_the_queue_serves_redeemers_then_known_then_strangers_by_lot_then_gifts() -> None:
    queue = [
        Waiting(OrderClass.GIFT, "a"),
        Waiting(OrderClass.STRANGER, "b"),
        Waiting(OrderClass.STRANGER, "c"),
        Waiting(OrderClass.KNOWN, "d"),
        Waiting(OrderClass.REDEEMS, "e"),
    ]
    assert next_in_queue(queue, [], 0) == 4
    assert next_in_queue(queue[:4], [], 0) == 3
    assert next_in_queue(queue[:3], [], 0) == 1
    assert next_in_queue(queue[:3], [], 1) == 2
    assert next_in_queue(queue[:1], [], 5) == 0
    assert next_in_queue([], [], 5) is None


def test_one_address_range_has_one_stranger_running_at_a_time() -> None:
    """Queueing from a hundred addresses of one network gains nothing."""
    queue = [Waiting(OrderClass.STRANGER, "b"), Waiting(OrderClass.STRANGER, "b")]
    assert next_in_queue(queue, ["b"], 0) is None
    assert next_in_queue([*queue, Waiting(OrderClass.STRANGER, "c")], ["b"], 7) == 2


def test_a_requester_goes_to_its_debtors_first_and_to_its_creditors_last() -> None:
    assert rank_workers([0, -5, 9, 0], [2, 0, 0, 1]) == [2, 3, 0, 1]
