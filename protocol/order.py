# SPDX-License-Identifier: MIT
"""The life of an order, as two tables. The credit that moves along the way is in `books`.

Theory of operation
-------------------
Requester and worker keep the same machine: what one sends is what the other receives, so
both are in the same state, or messages are on their way. Nothing here knows which of the
two we are; an :class:`OrderLife` is told once, only to say whose fault an illegal step is.

Rule 1: what may be done next stands in `TRANSITIONS`, for both sides.
Rule 2: what may arrive besides, because it was sent before the peer knew, stands in `LATE`.
Rule 3: a step is in its table or it is an error; there is no third way.

Messages cross: a cancel meets a result, a dispute meets a pause. Honest sides never see an
error from that, and when all has arrived they are in the same state, because every pair of
steps that can cross leads to one place in either order: what ends the work wins over news
about the work, which changes nothing when it comes late; and a dispute wins over both.
A step of nobody (a clock, an owner) is not told to the peer and can leave the two apart,
but never with another idea of what was delivered and paid; each then ends by its own clock.

The states up to `DELIVERED` are about work, those after it about money. An order ends in
`REFUSED`, `LAPSED` or `CANCELLED` when no work was begun; in `SETTLED` when, by this side's
books, every item that was delivered is paid and acknowledged, or was a gift, or when this
side lets a dispute rest; in `FORFEIT` when the account was frozen on evidence. Money itself
moves no state: a cheque pays for many orders, and how much of this one is due is known to
the books alone. `OWING` is the place where a requester who vanished is waited for: paying
and closing lead out of it at any time, because an accept never expires as a right to pay.
"""

from enum import StrEnum

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.reasons import Reason


class Role(StrEnum):
    """Who does something in an order."""

    REQUESTER = "requester"
    WORKER = "worker"
    EITHER = "either"
    NOBODY = "nobody"  # time passes, or the node's owner decides


class State(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    ACCEPTED = "accepted"
    WORKING = "working"
    PAUSED = "paused"
    DELIVERED = "delivered"
    OWING = "owing"
    DISPUTED = "disputed"
    SETTLED = "settled"
    REFUSED = "refused"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    FORFEIT = "forfeit"


class Step(StrEnum):
    """What happens to an order: mostly a statement that one side sends."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    INPUTS = "inputs"  # the first input arrived: from here on work may have been done
    RESULT = "result"
    LAST_RESULT = "last_result"
    CHEQUE = "cheque"
    ACK = "ack"
    CLOSE = "close"  # nothing is due any more, or a dispute is let rest
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    DEVIATION = "deviation"  # an input was not what the order promised
    DEADLINE = "deadline"
    DISPUTE = "dispute"
    REFUND = "refund"
    FREEZE = "freeze"


BY: dict[Step, Role] = {
    Step.ACCEPT: Role.WORKER,
    Step.REFUSE: Role.WORKER,
    Step.INPUTS: Role.REQUESTER,
    Step.RESULT: Role.WORKER,
    Step.LAST_RESULT: Role.WORKER,
    Step.CHEQUE: Role.REQUESTER,
    Step.ACK: Role.WORKER,
    Step.CLOSE: Role.NOBODY,
    Step.PAUSE: Role.WORKER,
    Step.RESUME: Role.WORKER,
    Step.CANCEL: Role.EITHER,
    Step.DEVIATION: Role.WORKER,
    Step.DEADLINE: Role.NOBODY,
    Step.DISPUTE: Role.REQUESTER,
    Step.REFUND: Role.WORKER,
    Step.FREEZE: Role.NOBODY,
}

TRANSITIONS: dict[State, dict[Step, State]] = {
    State.PLACED: {
        Step.ACCEPT: State.ACCEPTED,
        Step.REFUSE: State.REFUSED,
        Step.CANCEL: State.CANCELLED,
        Step.DEADLINE: State.LAPSED,
    },
    State.ACCEPTED: {
        Step.INPUTS: State.WORKING,
        Step.CANCEL: State.CANCELLED,
        Step.DEADLINE: State.LAPSED,
    },
    State.WORKING: {
        Step.RESULT: State.WORKING,
        Step.LAST_RESULT: State.DELIVERED,
        Step.CHEQUE: State.WORKING,
        Step.ACK: State.WORKING,
        Step.PAUSE: State.PAUSED,
        Step.CANCEL: State.OWING,
        Step.DEVIATION: State.OWING,
        Step.DEADLINE: State.OWING,
        Step.DISPUTE: State.DISPUTED,
    },
    State.PAUSED: {
        Step.RESUME: State.WORKING,
        Step.RESULT: State.PAUSED,
        Step.LAST_RESULT: State.DELIVERED,
        Step.CHEQUE: State.PAUSED,
        Step.ACK: State.PAUSED,
        Step.CANCEL: State.OWING,
        Step.DEVIATION: State.OWING,
        Step.DEADLINE: State.OWING,
        Step.DISPUTE: State.DISPUTED,
    },
    State.DELIVERED: {
        Step.CHEQUE: State.DELIVERED,
        Step.ACK: State.DELIVERED,
        Step.CLOSE: State.SETTLED,
        Step.CANCEL: State.OWING,
        Step.DEADLINE: State.OWING,
        Step.DISPUTE: State.DISPUTED,
    },
    State.OWING: {
        Step.RESULT: State.OWING,
        Step.LAST_RESULT: State.OWING,
        Step.CHEQUE: State.OWING,
        Step.ACK: State.OWING,
        Step.CLOSE: State.SETTLED,
        Step.DISPUTE: State.DISPUTED,
        Step.FREEZE: State.FORFEIT,
    },
    State.DISPUTED: {
        Step.RESULT: State.DISPUTED,
        Step.LAST_RESULT: State.DISPUTED,
        Step.CHEQUE: State.DISPUTED,
        Step.ACK: State.DISPUTED,
        Step.DISPUTE: State.DISPUTED,
        Step.REFUND: State.DISPUTED,
        Step.CLOSE: State.SETTLED,
        Step.FREEZE: State.FORFEIT,
    },
    State.SETTLED: {
        Step.ACK: State.SETTLED,
        Step.REFUND: State.SETTLED,
        Step.DISPUTE: State.DISPUTED,
    },
    State.REFUSED: {},
    State.LAPSED: {},
    State.CANCELLED: {},
    State.FORFEIT: {},
}


def _stay(state: State, *steps: Step) -> dict[Step, State]:
    return dict.fromkeys(steps, state)


_NEWS = (Step.PAUSE, Step.RESUME, Step.CANCEL, Step.DEVIATION)  # of work, where work is over
_BILLS = {Step.RESULT: State.OWING, Step.LAST_RESULT: State.OWING}  # what was sent is owed
_ANSWERS = {Step.REFUSE: State.REFUSED, Step.INPUTS: State.OWING}  # after these both sides agree

# What the peer may have sent before it knew where the order stands here. It is taken, not done.
LATE: dict[State, dict[Step, State]] = {
    State.PLACED: {},
    State.ACCEPTED: {},
    State.WORKING: _stay(State.WORKING, Step.REFUND),
    State.PAUSED: _stay(State.PAUSED, Step.REFUND),
    State.DELIVERED: _stay(State.DELIVERED, Step.REFUND),
    State.OWING: _stay(State.OWING, *_NEWS, Step.REFUND),
    State.DISPUTED: _stay(State.DISPUTED, *_NEWS),
    State.SETTLED: _stay(State.SETTLED, *_NEWS, Step.CHEQUE) | _BILLS,
    State.REFUSED: _stay(State.REFUSED, Step.CANCEL),
    State.LAPSED: _stay(State.LAPSED, Step.ACCEPT, Step.CANCEL) | _ANSWERS,
    State.CANCELLED: _stay(State.CANCELLED, Step.ACCEPT, Step.CANCEL) | _ANSWERS,
    State.FORFEIT: _stay(
        State.FORFEIT,
        *_NEWS,
        *_BILLS,
        Step.CHEQUE,
        Step.ACK,
        Step.DISPUTE,
        Step.REFUND,
    ),
}


class OrderLife:
    """Where one order stands, for one of its two sides."""

    __slots__ = ("_me", "state")

    def __init__(self, me: Role, state: State = State.PLACED) -> None:
        """Begin at `placed`, or where the journal left off."""
        self._me = me
        self.state = state

    def did(self, step: Step) -> State:
        """Take a step that this side or the clock caused; an illegal one is our own bug."""
        if BY[step] not in (self._me, Role.EITHER, Role.NOBODY):
            raise LocalProtocolError(f"{step.value} is not for the {self._me.value} to do")
        after = TRANSITIONS[self.state].get(step)
        if after is None:
            raise LocalProtocolError(f"{step.value} cannot follow {self.state.value}")
        self.state = after
        return after

    def saw(self, step: Step) -> State:
        """Take a step that the peer caused; an illegal one is its fault."""
        if BY[step] in (self._me, Role.NOBODY):
            raise RemoteProtocolError(Reason.UNEXPECTED, f"{step.value} is not for the peer to do")
        after = TRANSITIONS[self.state].get(step) or LATE[self.state].get(step)
        if after is None:
            raise RemoteProtocolError(
                Reason.UNEXPECTED, f"{step.value} cannot follow {self.state.value}"
            )
        self.state = after
        return after

    @property
    def ended(self) -> bool:
        """Whether nothing more needs to happen (a settled order may still be disputed)."""
        return self.state is State.SETTLED or not TRANSITIONS[self.state]


def diagram() -> str:
    """Draw the table as a Mermaid state diagram; the docs hold exactly this text."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PLACED.value}"]
    for state, steps in TRANSITIONS.items():
        arrows: dict[State, list[str]] = {}
        for step, after in steps.items():
            arrows.setdefault(after, []).append(step.value)
        lines += [
            f"    {state.value} --> {after.value}: {', '.join(names)}"
            for after, names in arrows.items()
        ]
        if not steps:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join(lines) + "\n"
