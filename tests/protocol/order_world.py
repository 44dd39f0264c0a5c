# SPDX-License-Identifier: MIT
"""Two honest sides of one order and the messages between them: every world they can come into."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from protocol.order import BY, LATE, TRANSITIONS, OrderLife, Role, State, Step

RESULTS = (Step.RESULT, Step.LAST_RESULT)
ITEMS_MAX = 2
DISPUTES_MAX = 2

Message = tuple[Step, int]
"""A step, and how far it goes: items delivered, paid or acknowledged."""


@dataclass(frozen=True, slots=True)
class Side:
    """Where one side stands, and what its books say of the order."""

    role: Role
    state: State = State.PLACED
    delivered: int = 0
    paid: int = 0
    acked: int = 0
    last: bool = False
    disputes: int = 0
    refunded: bool = False

    def nothing_due(self, price: int) -> bool:
        """Whether everything is paid, and acknowledged."""
        return self.delivered * price == self.paid == self.acked

    def books_after(self, step: Step, upto: int) -> "Side":
        """Write down what a step says; a number that is known says nothing."""
        match step:
            case Step.RESULT | Step.LAST_RESULT:
                last = self.last or step is Step.LAST_RESULT
                return replace(self, delivered=max(self.delivered, upto), last=last)
            case Step.CHEQUE:
                return replace(self, paid=max(self.paid, upto))
            case Step.ACK:
                return replace(self, acked=max(self.acked, upto))
            case Step.DISPUTE:
                return replace(self, disputes=self.disputes + 1)
            case Step.REFUND:
                return replace(self, refunded=True)
            case _:
                return self

    def did(self, step: Step, upto: int) -> "Side":
        """Do a step."""
        state = OrderLife(self.role, self.state).did(step)
        return replace(self.books_after(step, upto), state=state)

    def saw(self, step: Step, upto: int) -> "Side":
        """Receive a step."""
        state = OrderLife(self.role, self.state).saw(step)
        return replace(self.books_after(step, upto), state=state)


def moves(side: Side, price: int, *, alone: bool = True) -> Iterator[Message]:
    """Every step that an honest node may do: the table allows it and its books give a reason."""
    for step in TRANSITIONS[side.state]:
        if BY[step] is Role.NOBODY and not alone:
            continue
        if BY[step] in {side.role, Role.EITHER, Role.NOBODY}:
            yield from ((step, upto) for upto in reaches(side, step, price))


def reaches(side: Side, step: Step, price: int) -> range | tuple[int, ...]:
    """How far a step may go now, by the books of the side that does it."""
    match step:
        case Step.RESULT | Step.LAST_RESULT if side.last or side.delivered == ITEMS_MAX:
            corrects = side.state is State.DISPUTED
            return (side.delivered,) if corrects else ()
        case Step.RESULT | Step.LAST_RESULT:
            return (side.delivered + 1,)
        case Step.CHEQUE:
            return range(side.paid + 1, side.delivered * price + 1)
        case Step.ACK:
            return range(side.acked + 1, side.paid + 1)
        case Step.DISPUTE:
            return (0,) if side.delivered and side.disputes < DISPUTES_MAX else ()
        case Step.REFUND:
            return (0,) if side.paid and not side.refunded else ()
        case Step.CLOSE:
            rests = side.state is State.DISPUTED
            return (0,) if rests or side.nothing_due(price) else ()
        case _:
            return (0,)


@dataclass(frozen=True, slots=True)
class World:
    """Both sides, and what is on its way to each of them."""

    requester: Side = Side(Role.REQUESTER)
    worker: Side = Side(Role.WORKER)
    to_requester: tuple[Message, ...] = ()
    to_worker: tuple[Message, ...] = ()

    def does(self, role: Role, step: Step, upto: int) -> "World":
        """One side does a step; unless nobody says it, its peer will hear of it."""
        said = () if BY[step] is Role.NOBODY else ((step, upto),)
        if role is Role.REQUESTER:
            side = self.requester.did(step, upto)
            return replace(self, requester=side, to_worker=self.to_worker + said)
        side = self.worker.did(step, upto)
        return replace(self, worker=side, to_requester=self.to_requester + said)

    def arrives(self, role: Role) -> "World":
        """The oldest message for one side arrives."""
        if role is Role.REQUESTER:
            (first, *rest) = self.to_requester
            return replace(self, requester=self.requester.saw(*first), to_requester=tuple(rest))
        (first, *rest) = self.to_worker
        return replace(self, worker=self.worker.saw(*first), to_worker=tuple(rest))

    def side(self, role: Role) -> Side:
        """The side of that role."""
        return self.requester if role is Role.REQUESTER else self.worker

    def inbox(self, role: Role) -> tuple[Message, ...]:
        """What is on its way to that role."""
        return self.to_requester if role is Role.REQUESTER else self.to_worker

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        return not self.to_requester and not self.to_worker


PARTIES = (Role.REQUESTER, Role.WORKER)


def drained(world: World) -> World:
    """Let everything arrive."""
    for role in PARTIES:
        while world.inbox(role):
            world = world.arrives(role)
    return world


def explore(
    price: int, crossing: int, *, alone: bool
) -> tuple[set[World], set[tuple[State, Step]]]:
    """Every world with at most so many messages on their way to each side, and what came late."""
    seen = {World()}
    late = set()
    todo = deque(seen)
    while todo:
        world = todo.popleft()
        after = []
        for role, peer in zip(PARTIES, PARTIES[::-1], strict=True):
            side, inbox = world.side(role), world.inbox(role)
            for step, upto in moves(side, price, alone=alone):
                if BY[step] is Role.NOBODY or len(world.inbox(peer)) < crossing:
                    after.append(world.does(role, step, upto))
            if inbox:
                after.append(world.arrives(role))
                if inbox[0][0] not in TRANSITIONS[side.state]:
                    late.add((side.state, inbox[0][0]))
        new = [each for each in dict.fromkeys(after) if each not in seen]
        seen.update(new)
        todo.extend(new)
    return seen, late


def rows_of_late() -> set[tuple[State, Step]]:
    """Every entry of the table of what may come late."""
    return {(state, step) for state, steps in LATE.items() for step in steps}
