# SPDX-License-Identifier: MIT
"""How much of a worker's results is checked, and what follows. What "equal" means is in `compare`.

Theory of operation
-------------------
A requester re-executes items after they were delivered: the worker's signed result binds it
before anybody knows which. Per worker (and family of models) it keeps one number, the
**history** W: the CU of work accepted from that worker with no failed check. A shard of
price P is checked with probability

    q = max(q_min, 1 / (1 + eps * W / P)),      eps = 0.10, q_min = 0.05

While q >= 1/2, that is while W <= P / eps, a checked shard is re-executed whole; later only
m = max(8, 5 % of its items), drawn by value. A failed check ends the relation: history 0,
and the ban's business begins elsewhere.

W counts CU, and its unit is the price of the shard in question: a long history of tiny
shards says nothing about a giant one. With that, and with m >= 2, no strategy whatever of
honest and faked shards of any sizes gets more than eps / (1 - eps) = 0.111 of its honest
value in accepted fakes on average. docs/design/checks.md has the proof and the tables.

Dice are never thrown here: `draw` is 32 bytes from the caller, fresh for each decision and
unknown to the worker.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import TypeVar

from protocol.canon import tagged_hash
from protocol.compare import EXACT, TOKENS, UNMEASURED, Deviation, broken_tolerance
from protocol.errors import LocalProtocolError, Refused
from protocol.reasons import Reason

#: Accepted fakes per honest value that a worker can reach at most: eps / (1 - eps), as 1 / 9.
EPS_NUMERATOR, EPS_DENOMINATOR = 1, 10

#: However long its history, one shard in twenty of a worker is checked.
Q_MIN_PPM = 50_000

#: Of a sampled shard at least this many items, and this share, are re-executed.
SAMPLE_ITEMS_MIN = 8
SAMPLE_PERCENT = 5

#: Others convict only when the error is this far above the tolerance: no honest machine is.
CONVICTION_FACTOR = 100

_PPM = 10**6


def check_rate_ppm(history: int, price: int) -> int:
    """Give the probability that a shard is checked, in millionths, rounded up."""
    if price < 1 or history < 0:
        raise LocalProtocolError(f"a shard of {price} CU after a history of {history} CU")
    honest, unit = history * EPS_NUMERATOR, price * EPS_DENOMINATOR
    return max(Q_MIN_PPM, -(-_PPM * unit // (unit + honest)))


def sample_size(history: int, price: int, items: int) -> int:
    """Give how many items of a checked shard are re-executed."""
    if history * EPS_NUMERATOR <= price * EPS_DENOMINATOR:
        return items
    return min(items, max(SAMPLE_ITEMS_MIN, -(-items * SAMPLE_PERCENT // 100)))


def plan_check(history: int, prices: Sequence[int], draw: bytes) -> tuple[int, ...]:
    """Choose the items of a delivered shard to re-execute, ascending; none when it is not checked.

    `prices` are those of the shard's items. An item is drawn in proportion to its price:
    whoever fakes one half of the value meets every draw with probability one half, however
    that value is spread over items.
    """
    price = sum(prices)
    dice = _Dice(draw, "check")
    if dice.below(_PPM) >= check_rate_ppm(history, price):
        return ()
    size = sample_size(history, price, len(prices))
    return tuple(sorted(_sample(prices, size, dice)))


def history_after(history: int, price: int, *, accepted: bool) -> int:
    """Give the history after a shard was accepted, checked or not, or failed its check."""
    return history + price if accepted else 0


class _Dice:
    """Numbers from a keyed hash: the same draw gives the same numbers."""

    __slots__ = ("_key", "_thrown")

    def __init__(self, draw: bytes, purpose: str) -> None:
        if len(draw) != 32:
            raise LocalProtocolError(f"a draw has 32 bytes, got {len(draw)}")
        self._key = tagged_hash(purpose, draw)
        self._thrown = 0

    def below(self, end: int) -> int:
        """Throw once; 128 bits leave no bias that anybody could measure."""
        self._thrown += 1
        number = sha256(self._key + self._thrown.to_bytes(8, "big")).digest()[:16]
        return int.from_bytes(number, "big") * end >> 128


def _sample(prices: Sequence[int], size: int, dice: _Dice) -> set[int]:
    """Draw items one after another by price, never one twice."""
    chosen: set[int] = set()
    while len(chosen) < size:
        # Points that fall on what is chosen already are thrown again; when that is half of the
        # value, it is left out, so that one giant item does not eat a million throws.
        left = [item for item in range(len(prices)) if item not in chosen]
        ends = list(accumulate(prices[item] for item in left))
        taken = 0
        while len(chosen) < size and 2 * taken < ends[-1]:
            item = left[bisect_right(ends, dice.below(ends[-1]))]
            if item not in chosen:
                chosen.add(item)
                taken += prices[item]
    return chosen


# --- evidence -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accusation:
    """What is known of an evidence whose signatures and paths hold, after re-execution.

    `known`: the model is here and allowed; nobody fetches one to judge. `public`: the
    requester let its inputs be shown. `spread` is the model's, `deviations` are those of
    the outputs of the item.
    """

    known: bool
    public: bool
    comparator: int
    tolerance: int
    spread: int
    deviations: tuple[Deviation, ...]


def convict(case: Accusation) -> None:
    """Return when the accused cheated beyond doubt, else raise Refused (not_convicted)."""
    if doubt := _doubt(case):
        raise Refused(Reason.NOT_CONVICTED, doubt)


def _doubt(case: Accusation) -> str:
    if not case.known:
        return "the model is not known here"
    if not case.public:
        return "the inputs were not meant to be shown"
    if case.comparator in {EXACT, TOKENS}:
        return "honest machines of different kinds may differ where nothing measures by how much"
    if broken := broken_tolerance(case.comparator, case.tolerance, case.spread):
        return broken
    limit = CONVICTION_FACTOR * case.tolerance
    if not all(each.form for each in case.deviations):
        return ""  # a type or shape is no matter of rounding
    # What has no measure (a class that tipped over, NaN) may tip over on an honest machine too.
    errors = [each.rel_l2 for each in case.deviations if each.rel_l2 != UNMEASURED]
    worst = max(errors, default=0)
    return "" if worst >= limit else f"an error of {worst} in 1e-9, below {limit}"


# --- replicas: for a requester that is too weak to re-execute -------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker that could repeat a shard.

    `origin` is its address range, `stranger` whether it is neither listed nor of this
    network's members, `suggested_by` the workers from which its advert came.
    """

    worker: bytes
    origin: str
    stranger: bool
    suggested_by: frozenset[bytes] = frozenset()


def choose_replica(
    chosen: Sequence[Candidate], candidates: Sequence[Candidate], draw: bytes
) -> Candidate | None:
    """Draw a worker for the next replica that is no likely accomplice of those chosen before."""
    order = sorted(candidates, key=lambda each: tagged_hash("replica", draw, each.worker))
    fitting = (each for each in order if all(_independent(each, other) for other in chosen))
    return next(fitting, None)


def _independent(one: Candidate, other: Candidate) -> bool:
    return (
        one.worker != other.worker
        and one.origin != other.origin
        and not (one.stranger and other.stranger)
        and one.worker not in other.suggested_by
        and other.worker not in one.suggested_by
    )


ResultT = TypeVar("ResultT")


def majority(
    results: Sequence[ResultT], agree: Callable[[ResultT, ResultT], bool]
) -> tuple[int, ...] | None:
    """Give the positions of the results that agree with most, themselves included, or None.

    Agreement has a direction (each is the other's reference) and must hold in both.
    """
    agreed = tuple(_agreeing(results, agree))
    return agreed or None


def _agreeing(
    results: Sequence[ResultT], agree: Callable[[ResultT, ResultT], bool]
) -> Iterator[int]:
    for place, one in enumerate(results):
        others = [other for at, other in enumerate(results) if at != place]
        friends = 1 + sum(agree(one, other) and agree(other, one) for other in others)
        if 2 * friends > len(results) and len(results) > 1:
            yield place
