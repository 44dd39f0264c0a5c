# SPDX-License-Identifier: MIT
"""The life of an order: the tables are whole, and honest sides that talk at once never quarrel."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.order import BY, LATE, TRANSITIONS, OrderLife, Role, State, Step, diagram
from protocol.reasons import Reason
from tests.protocol.order_world import PARTIES, World, drained, explore, moves, rows_of_late

ENDS = {State.REFUSED, State.LAPSED, State.CANCELLED, State.FORFEIT, State.SETTLED}
FOR_EVERY_STATE = pytest.mark.parametrize("state", State)
FOR_EVERY_PARTY = pytest.mark.parametrize("me", PARTIES)


def other(me: Role) -> Role:
    return Role.WORKER if me is Role.REQUESTER else Role.REQUESTER


# --- the tables -----------------------------------------------------------------------------------


def test_every_state_has_a_row_in_both_tables() -> None:
    assert list(TRANSITIONS) == list(State)
    assert list(LATE) == list(State)


def test_every_step_has_somebody_who_does_it_and_a_place_where_it_is_done() -> None:
    assert list(BY) == list(Step)
    assert {step for steps in TRANSITIONS.values() for step in steps} == set(Step)


def test_every_state_can_be_reached_by_what_may_be_done() -> None:
    found: set[State] = set()
    new = {State.PLACED}
    while new:
        found |= new
        new = {after for state in new for after in TRANSITIONS[state].values()} - found
    assert found == set(State)


def test_from_every_state_an_end_can_be_reached() -> None:
    sure = set(ENDS)
    for _ in State:
        sure |= {state for state in State if sure & set(TRANSITIONS[state].values())}
    assert sure == set(State)


def test_what_may_be_done_is_never_listed_as_late_too() -> None:
    assert [(a, b) for a, b in rows_of_late() if b in TRANSITIONS[a]] == []


def test_nobody_is_late_with_what_nobody_says() -> None:
    assert [step for _, step in rows_of_late() if BY[step] is Role.NOBODY] == []


def test_nobody_reaches_a_paid_end_before_work_has_begun() -> None:
    before = {State.PLACED, State.ACCEPTED}
    for state in before:
        assert set(TRANSITIONS[state].values()) <= {
            *before,
            State.WORKING,
            State.REFUSED,
            State.LAPSED,
            State.CANCELLED,
        }


@FOR_EVERY_STATE
def test_an_order_has_ended_where_nothing_more_needs_to_happen(state: State) -> None:
    assert OrderLife(Role.WORKER, state).ended == (state in ENDS)


def test_an_order_begins_as_placed() -> None:
    assert OrderLife(Role.WORKER).state is State.PLACED


def test_a_plain_order_lives_as_the_specification_tells_it() -> None:
    requester, worker = OrderLife(Role.REQUESTER), OrderLife(Role.WORKER)
    story = [
        (worker, Step.ACCEPT, State.ACCEPTED),
        (requester, Step.INPUTS, State.WORKING),
        (worker, Step.PAUSE, State.PAUSED),
        (worker, Step.RESUME, State.WORKING),
        (worker, Step.RESULT, State.WORKING),
        (worker, Step.LAST_RESULT, State.DELIVERED),
        (requester, Step.CHEQUE, State.DELIVERED),
        (worker, Step.ACK, State.DELIVERED),
    ]
    for doer, step, after in story:
        seer = worker if doer is requester else requester
        assert doer.did(step) is seer.saw(step) is after
    assert requester.did(Step.CLOSE) is worker.did(Step.CLOSE) is State.SETTLED


def test_a_requester_who_vanished_can_still_pay_after_the_deadline() -> None:
    worker = OrderLife(Role.WORKER, State.DELIVERED)
    assert worker.did(Step.DEADLINE) is State.OWING
    assert worker.saw(Step.CHEQUE) is State.OWING
    assert worker.did(Step.ACK) is State.OWING
    assert worker.did(Step.CLOSE) is State.SETTLED


# --- whose fault ----------------------------------------------------------------------------------


@FOR_EVERY_PARTY
@FOR_EVERY_STATE
@pytest.mark.parametrize("step", Step)
def test_what_is_done_stands_in_the_table_or_is_our_own_fault(
    me: Role, state: State, step: Step
) -> None:
    life = OrderLife(me, state)
    mine = BY[step] in {me, Role.EITHER, Role.NOBODY}
    if mine and step in TRANSITIONS[state]:
        assert life.did(step) is life.state is TRANSITIONS[state][step]
        return
    with pytest.raises(LocalProtocolError, match=step.value) as caught:
        life.did(step)
    assert life.state is state
    assert (state.value if mine else me.value) in caught.value.detail


@FOR_EVERY_PARTY
@FOR_EVERY_STATE
@pytest.mark.parametrize("step", Step)
def test_what_arrives_stands_in_a_table_or_is_the_fault_of_the_peer(
    me: Role, state: State, step: Step
) -> None:
    life = OrderLife(me, state)
    theirs = BY[step] in {other(me), Role.EITHER}
    known = TRANSITIONS[state] | LATE[state]
    if theirs and step in known:
        assert life.saw(step) is life.state is known[step]
        return
    with pytest.raises(RemoteProtocolError, match=step.value) as caught:
        life.saw(step)
    assert caught.value.reason is Reason.UNEXPECTED
    assert life.state is state
    assert (state.value if theirs else "peer") in caught.value.detail


# --- messages that cross --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("price", [0, 1])
def test_after_all_crossings_of_two_messages_each_way_both_sides_are_in_the_same_state(
    price: int,
) -> None:
    worlds, _ = explore(price, 2, alone=False)
    for world in worlds:
        if world.quiet:
            assert world.requester.state is world.worker.state


@pytest.mark.slow
def test_whatever_clocks_and_owners_do_alone_no_crossing_is_an_error_and_the_money_agrees() -> None:
    worlds, late = explore(1, 1, alone=True)
    for world in worlds:
        if world.quiet:
            requester, worker = world.requester, world.worker
            assert requester.delivered == worker.delivered
            assert requester.paid == worker.paid
            assert requester.acked == worker.acked
    assert late == rows_of_late()  # each entry is there because honest messages do come so late


@pytest.mark.parametrize(
    ("here", "there", "joined"),
    [
        ([Step.CANCEL], [Step.RESULT], State.OWING),
        ([Step.CANCEL], [Step.LAST_RESULT], State.OWING),
        ([Step.CANCEL], [Step.PAUSE, Step.RESUME], State.OWING),
        ([Step.CANCEL], [Step.CANCEL], State.OWING),
        ([Step.CANCEL], [Step.DEVIATION], State.OWING),
        ([Step.CHEQUE, Step.CANCEL], [Step.RESULT], State.OWING),
        ([Step.DISPUTE], [Step.LAST_RESULT], State.DISPUTED),
        ([Step.DISPUTE], [Step.CANCEL], State.DISPUTED),
        ([Step.CHEQUE, Step.DISPUTE], [Step.PAUSE], State.DISPUTED),
    ],
)
def test_known_crossings_lead_to_one_state(
    here: list[Step], there: list[Step], joined: State
) -> None:
    requester = OrderLife(Role.REQUESTER, State.WORKING)
    worker = OrderLife(Role.WORKER, State.WORKING)
    for step in here:
        requester.did(step)
    for step in there:
        worker.did(step)
        requester.saw(step)
    for step in here:
        worker.saw(step)
    assert requester.state is worker.state is joined


def test_an_accept_that_crosses_a_cancel_does_not_wake_the_order() -> None:
    requester, worker = OrderLife(Role.REQUESTER), OrderLife(Role.WORKER)
    requester.did(Step.CANCEL)
    worker.did(Step.ACCEPT)
    assert requester.saw(Step.ACCEPT) is worker.saw(Step.CANCEL) is State.CANCELLED


def test_a_result_that_comes_after_the_end_is_still_owed() -> None:
    requester = OrderLife(Role.REQUESTER, State.WORKING)
    assert requester.did(Step.DEADLINE) is State.OWING
    assert requester.did(Step.CLOSE) is State.SETTLED
    assert requester.saw(Step.RESULT) is State.OWING


def test_a_result_that_was_on_its_way_does_not_end_a_dispute() -> None:
    requester = OrderLife(Role.REQUESTER, State.DISPUTED)
    assert requester.saw(Step.LAST_RESULT) is State.DISPUTED


class TwoSides(RuleBasedStateMachine):
    """Two lives of one order, joined by queues that lose and reorder nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.price = 1
        self.moved_alone = False
        self.frozen = False

    @precondition(lambda self: self.world == World())
    @rule(price=st.integers(0, 1))
    def choose_a_gift_or_a_price(self, price: int) -> None:
        self.price = price

    @rule(role=st.sampled_from(PARTIES), data=st.data())
    def do(self, role: Role, data: st.DataObject) -> None:
        options = list(moves(self.world.side(role), self.price))
        if options:
            self.go(role, *data.draw(st.sampled_from(options)))

    @rule(role=st.sampled_from(PARTIES))
    def arrive(self, role: Role) -> None:
        if self.world.inbox(role):
            self.world = self.world.arrives(role)

    @invariant()
    def nobody_paid_for_what_was_not_delivered(self) -> None:
        requester, worker = self.world.requester, self.world.worker
        assert worker.delivered >= requester.delivered >= requester.paid
        assert requester.paid >= worker.paid >= worker.acked >= requester.acked

    def go(self, role: Role, step: Step, upto: int) -> None:
        self.world = self.world.does(role, step, upto)
        self.moved_alone |= BY[step] is Role.NOBODY
        self.frozen |= step is Step.FREEZE

    def teardown(self) -> None:
        """Let all arrive, then let clocks run out and bills be paid, until nothing moves."""
        self.world = drained(self.world)
        requester, worker = self.world.requester, self.world.worker
        assert requester.state is worker.state or self.moved_alone
        assert (requester.delivered, requester.paid) == (worker.delivered, worker.paid)
        while step := self.next_to_wind_up():
            self.go(*step)
            self.world = drained(self.world)
        for role in PARTIES:
            assert OrderLife(role, self.world.side(role).state).ended or self.frozen

    def next_to_wind_up(self) -> tuple[Role, Step, int] | None:
        wanted = (Step.CHEQUE, Step.ACK, Step.DEADLINE, Step.CLOSE)
        for role in PARTIES:
            for step, upto in moves(self.world.side(role), self.price):
                if step in wanted:
                    return role, step, upto
        return None


TestTwoSides = TwoSides.TestCase


# --- the drawing ----------------------------------------------------------------------------------


def test_the_drawing_has_every_arrow_of_the_table_once() -> None:
    drawn = [
        (state, step, after)
        for line in diagram().splitlines()[2:]
        if (state := line.split(" --> ")[0].strip()) and "[*]" not in line
        for after, steps in [line.split(" --> ")[1].split(": ")]
        for step in steps.split(", ")
    ]
    assert sorted(drawn) == sorted(
        (state.value, step.value, after.value)
        for state, steps in TRANSITIONS.items()
        for step, after in steps.items()
    )


def test_the_drawing_begins_with_placed_and_ends_where_nothing_leads_on() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> placed"]
    ends = {line.split(" --> ")[0].strip() for line in lines if line.endswith("--> [*]")}
    assert ends == {state.value for state in ENDS - {State.SETTLED}}
