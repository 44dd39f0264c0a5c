# SPDX-License-Identifier: MIT
"""How much unsecured credit a worker lends, to whom, and in which order. Debts are in `account`.

Theory of operation
-------------------
A worker has **one** bucket of tokens for everybody together. Lending takes tokens out,
repayment puts them back, time refills them slowly, and the bucket never holds more than
its size Q. New identities bring no tokens, so whatever any number of fake ones can take
in time t is at most `Q + r*t`: the bound does not know how many keys there are.

Refill is the only forgiveness of bad debt: it *is* the write-off. The right to spend comes
from this bucket alone. History and lines decide who may draw on it and who is served
first; they never add to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from protocol.errors import Refused
from protocol.limits import KNOWN_WINDOW_MAX, REFILL_S_MAX, STRANGER_WINDOW
from protocol.reasons import Reason

# Two shards of one second on a machine of a tenth of the reference speed: enough to try a worker,
# too little to live on. Fixed in CU, so that nobody grows it by naming a large shard.
STRANGER_LINE_CU = 200_000


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What the owner lends: bucket size, refill, and the line of a node that nobody knows."""

    size_cu: int
    refill_cu_per_s: int
    stranger_line_cu: int = STRANGER_LINE_CU

    @classmethod
    def for_capacity(cls, capacity_cu_per_s: int) -> "BudgetRules":
        """The default: a quarter of one day of own capacity, refilled at one percent of it."""
        return cls(capacity_cu_per_s * 86_400 // 4, max(1, capacity_cu_per_s // 100))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the owner and the network say about a peer."""

    listed: bool = False
    member: bool = False
    line_cu: int | None = None

    def line(self, rules: BudgetRules) -> int:
        """The trust line: the owner's explicit word, else a quarter of the budget for friends."""
        if self.line_cu is not None:
            return self.line_cu
        return rules.size_cu // 4 if self.listed or self.member else 0


STRANGER = Standing()


class OrderClass(IntEnum):
    """Who goes first; a lower number is served before a higher one."""

    REDEEMS = 0  # A: uses up what this worker owes; always honoured
    KNOWN = 1  # B: has worked for this node, or has a line
    STRANGER = 2  # C: neither
    GIFT = 3  # idle time, price 0, preempted by anything paid


@dataclass(frozen=True, slots=True)
class Exposure:
    """What admission needs to know about one peer; `account` fills it in.

    `net_cu` is what the peer owes in all, holds included. `uncharged_cu` is the part of its
    debt that no tokens were taken for, because it was never lent as work: a refund from it,
    or a cheque for work of which these books know nothing. `earned_cu` is what the peer was
    paid for work that it did for this node.
    """

    net_cu: int = 0
    uncharged_cu: int = 0
    earned_cu: int = 0
    open_orders: int = 0
    unpaid_orders: int = 0
    frozen: bool = False

    @property
    def lent_cu(self) -> int:
        """The credit that is out with this peer: what tokens were taken for."""
        return max(0, self.net_cu - self.uncharged_cu)

    def need_cu(self, price_cu: int) -> int:
        """How much more would be lent if work of this price were taken on."""
        return max(0, self.net_cu + price_cu - self.uncharged_cu) - self.lent_cu


class Bucket:
    """The tokens. All integers; time comes from outside and only ever counts forward."""

    __slots__ = ("_at_ms", "_carry", "rules", "tokens")

    def __init__(self, rules: BudgetRules, now_s: float) -> None:
        """Begin full."""
        self.rules = rules
        self.tokens = rules.size_cu
        self._at_ms = int(now_s * 1000)
        self._carry = 0

    def refill(self, now_s: float) -> None:
        """Add what time has earned since the last call, at most one day's worth."""
        elapsed_ms = int(now_s * 1000) - self._at_ms
        if elapsed_ms <= 0:
            return
        self._at_ms += elapsed_ms
        earned = self.rules.refill_cu_per_s * elapsed_ms + self._carry
        self._carry = earned % 1000
        self.tokens = min(self.rules.size_cu, self.tokens + earned // 1000)

    def move(self, lent_before: int, lent_after: int) -> None:
        """Follow a change of what is lent: a rise takes tokens, a fall gives them back."""
        rise = lent_after - lent_before
        assert rise <= self.tokens, f"lent {rise} with only {self.tokens} tokens"
        self.tokens = min(self.rules.size_cu, self.tokens - rise)

    def restart(self, now_s: float, off_s: float, *, restored: bool) -> None:
        """Go on in a new process whose clock begins anew; restored books begin with no tokens."""
        off_s = 0.0 if restored else min(max(0.0, off_s), REFILL_S_MAX)
        if restored:
            self.tokens = 0
        self._at_ms = int((now_s - off_s) * 1000)
        self._carry = 0
        self.refill(now_s)


def admit(exposure: Exposure, standing: Standing, bucket: Bucket, price_cu: int) -> OrderClass:
    """Decide on a paid order, in the order of the rules; Refused says which one said no."""
    if exposure.frozen:
        raise Refused(Reason.PAIR_FROZEN)
    if exposure.need_cu(price_cu) == 0:
        return OrderClass.REDEEMS
    if exposure.unpaid_orders:
        raise Refused(Reason.UNPAID, f"{exposure.unpaid_orders} orders are delivered and not paid")
    window = KNOWN_WINDOW_MAX if _known(exposure, standing, bucket.rules) else STRANGER_WINDOW
    if exposure.open_orders >= window:
        raise Refused(
            Reason.WINDOW_FULL, f"{exposure.open_orders} orders are open, at most {window}"
        )
    return lend(exposure, standing, bucket, price_cu)


def lend(exposure: Exposure, standing: Standing, bucket: Bucket, price_cu: int) -> OrderClass:
    """Decide whether the budget covers work of this price; it takes no tokens yet."""
    need = exposure.need_cu(price_cu)
    if need == 0:
        return OrderClass.REDEEMS
    known = _known(exposure, standing, bucket.rules)
    limit = standing.line(bucket.rules) + bucket.rules.stranger_line_cu + exposure.earned_cu // 2
    if exposure.net_cu + price_cu > limit:
        would = exposure.net_cu + price_cu
        raise Refused(Reason.CREDIT_LINE, f"would owe {would} CU, at most {limit}")
    if bucket.tokens < need:
        raise Refused(Reason.BUDGET_EXHAUSTED, f"needs {need} CU, {bucket.tokens} are left")
    if not known and bucket.tokens - need < bucket.rules.size_cu // 2:
        raise Refused(Reason.STRANGERS_EXHAUSTED, "the half that strangers may use is lent")
    return OrderClass.KNOWN if known else OrderClass.STRANGER


def _known(exposure: Exposure, standing: Standing, rules: BudgetRules) -> bool:
    # One CU of work must not open the half that is kept from strangers.
    return exposure.earned_cu >= rules.stranger_line_cu or standing.line(rules) > 0


def admit_gift(exposure: Exposure, standing: Standing, policy: int, *, idle: bool) -> OrderClass:
    """Decide whether idle time is given away; `policy` is the advert's: none, members or anyone."""
    if exposure.frozen:
        raise Refused(Reason.PAIR_FROZEN)
    if policy == 0 or (policy == 1 and not (standing.member or standing.listed)):
        raise Refused(Reason.GIFTS_CLOSED)
    if not idle:
        raise Refused(Reason.BUSY, "gifts are served from idle time only")
    if exposure.open_orders >= KNOWN_WINDOW_MAX:
        raise Refused(Reason.WINDOW_FULL, f"{exposure.open_orders} orders are open")
    return OrderClass.GIFT


@dataclass(frozen=True, slots=True)
class Waiting:
    """An accepted order in the worker's queue; `address_range` is the /24 or /48 it came from."""

    order_class: OrderClass
    address_range: str


def next_in_queue(queue: Sequence[Waiting], running_ranges: Sequence[str], draw: int) -> int | None:
    """Choose whom to serve next; `queue` is in order of arrival, `draw` any number from the dice.

    Strangers are drawn by lot, with one of each address range running at a time: queueing
    early or often gains nothing.
    """
    for order_class in (OrderClass.REDEEMS, OrderClass.KNOWN):
        for index, waiting in enumerate(queue):
            if waiting.order_class is order_class:
                return index
    strangers = [
        index
        for index, waiting in enumerate(queue)
        if waiting.order_class is OrderClass.STRANGER
        and waiting.address_range not in running_ranges
    ]
    if strangers:
        return strangers[draw % len(strangers)]
    gifts = (index for index, waiting in enumerate(queue) if waiting.order_class is OrderClass.GIFT)
    return next(gifts, None)


def rank_workers(owed_to_me: Sequence[int], draws: Sequence[int]) -> list[int]:
    """Order candidates for a requester: debtors first, then strangers, then those I owe.

    Spending first what others owe me keeps all accounts near zero; `draws` breaks ties.
    """
    return sorted(range(len(owed_to_me)), key=lambda index: (-owed_to_me[index], draws[index]))
