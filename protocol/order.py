# SPDX-License-Identifier: MIT
"""The life of an order, as one table. The credit that moves along the way is in `books`.

Theory of operation
-------------------
Requester and worker keep the same machine: what one sends is what the other receives, so
both are always in the same state or one message apart. Nothing here knows which of the
two we are; an :class:`OrderLife` is told once, only to say whose fault an illegal step is.

Rule 1: everything that decides what may come next stands in `TRANSITIONS`.
Rule 2: a step is either in the table or it is an error; there is no third way.

The states up to `DELIVERED` are about work, those after it about money. An order ends in
`REFUSED`, `LAPSED` or `CANCELLED` when no work was begun, in `SETTLED` when every item that
was delivered is paid or was a gift, in `FORFEIT` when the account was frozen on evidence.
`OWING` is the place where a requester who vanished is waited for: paying leads out of it
at any time, because an accept never expires as a right to pay.
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
    PAID = "paid"
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
    FULL_CHEQUE = "full_cheque"  # ... that pays everything which is due
    ACK = "ack"
    CLOSE = "close"  # nothing is due: a gift, or nothing was delivered
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
    Step.FULL_CHEQUE: Role.REQUESTER,
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
        Step.CHEQUE: State.PAUSED,
        Step.ACK: State.PAUSED,
        Step.CANCEL: State.OWING,
        Step.DEADLINE: State.OWING,
        Step.DISPUTE: State.DISPUTED,
    },
    State.DELIVERED: {
        Step.CHEQUE: State.DELIVERED,
        Step.FULL_CHEQUE: State.PAID,
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
        Step.FULL_CHEQUE: State.PAID,
        Step.ACK: State.OWING,
        Step.CLOSE: State.SETTLED,
        Step.DISPUTE: State.DISPUTED,
        Step.FREEZE: State.FORFEIT,
    },
    State.PAID: {
        Step.ACK: State.SETTLED,
        Step.DISPUTE: State.DISPUTED,
    },
    State.DISPUTED: {
        Step.RESULT: State.DISPUTED,
        Step.LAST_RESULT: State.DELIVERED,
        Step.ACK: State.DISPUTED,
        Step.REFUND: State.SETTLED,
        Step.CLOSE: State.SETTLED,
        Step.FREEZE: State.FORFEIT,
    },
    State.SETTLED: {
        Step.REFUND: State.SETTLED,
        Step.DISPUTE: State.DISPUTED,
    },
    State.REFUSED: {},
    State.LAPSED: {},
    State.CANCELLED: {},
    State.FORFEIT: {},
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
        after = TRANSITIONS[self.state].get(step)
        if after is None:
            raise RemoteProtocolError(Reason.UNEXPECTED, f"{step.value} cannot follow {self.state.value}")
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
            f"    {state.value} --> {after.value}: {', '.join(names)}" for after, names in arrows.items()
        ]
        if not steps:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join(lines) + "\n"
