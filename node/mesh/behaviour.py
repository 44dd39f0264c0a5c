# SPDX-License-Identifier: MIT
"""What is known of how each node behaved, and what its faults cost. Who is let in is in `defence`.

A **score** is the sum of a node's faults; each of them fades, half of it within `FADE_S`. An
honest node has none, a broken one now and then, a hostile one all the time: at `BAN_SCORE` it is
**banned** for a while, and each ban that follows another within `BANS_FORGOTTEN_S` lasts twice as
long. What nobody can do by mistake - a forged signature, a wrong proof of data - bans at once.

Keys cost nothing, so a ban stops a node and no attacker; what stops those are the caps of
`defence`, which count addresses. Everything here has a bound: the oldest is forgotten first.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import trio

from node.clock import Clock
from node.log import Log
from node.store.store import Cell, Database, Statement
from protocol.reasons import Reason

#: Nodes that are remembered: ten directories full, at some 300 bytes each.
NODES_MAX = 4096

#: Bans that are remembered; with more, the one that ends first is lifted.
BANS_MAX = 4096

#: A score at which a node is banned: three breaches of the protocol soon after each other.
BAN_SCORE = 60.0

#: Half of a score is forgotten after this time.
FADE_S = 3600.0

#: The first ban; it may have been one bad hour.
BAN_S_MIN = 600.0

#: The longest one; by then an honest owner has updated his node.
BAN_S_MAX = 7 * 86_400.0

#: The longest one that an owner can wish for.
OWNERS_BAN_S_MAX = 366 * 86_400.0

#: A node that was not banned for so long begins with the shortest ban again.
BANS_FORGOTTEN_S = 14 * 86_400.0

#: How often what was measured goes to the disk; a crash loses as much of it, and no ban.
SAVE_S = 60.0

#: How fast a new measurement takes the place of the old ones.
_WEIGHT = 0.25

#: What happens between honest nodes costs nothing: different networks, clocks, versions.
_COSTS = {
    Reason.BAD_SIGNATURE: BAN_SCORE,
    Reason.BAD_PROOF: BAN_SCORE,
    Reason.WEAK_KEY: BAN_SCORE,
    Reason.OTHER_NETWORK: 0.0,
    Reason.UNKNOWN_VERSION: 0.0,
    Reason.CLOCK_SKEW: 0.0,
    Reason.UNREACHABLE: 0.0,
    Reason.EXPIRED: 0.0,
    Reason.STALE: 0.0,
    Reason.NOT_A_MEMBER: 5.0,  # a member whose secret was retired tries a few times
    Reason.DEADLINE: 5.0,
    Reason.IDLE: 1.0,
}
_COST = 25.0

log = Log()


@dataclass(slots=True)
class Record:
    """What is known of one node. Times are wall time; rates are bytes in a second."""

    first_s: float
    last_s: float
    rtt_s: float | None = None
    up_bytes_s: float | None = None
    down_bytes_s: float | None = None
    met: int = 0
    failed_dials: int = 0
    orders: int = 0
    failed_orders: int = 0
    faults: int = 0
    score: float = 0.0
    scored_s: float = 0.0
    bans: int = 0
    banned_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ban:
    """Why a node is not met, and until when (wall time)."""

    until_s: float
    reason: str
    detail: str

    @property
    def is_owners(self) -> bool:
        """Whether the owner has said it, and no fault of the node."""
        return self.reason == Reason.BANNED


class Behaviour:
    """Measured round trips, throughput, faults and bans of nodes; bounded, and kept on disk."""

    def __init__(self, clock: Clock, database: Database | None = None) -> None:
        """Begin with what the database has; without one nothing outlives the process."""
        self._clock = clock
        self._database = database
        self._records: dict[bytes, Record] = {}  # the longest unused first
        self._bans: dict[bytes, Ban] = {}
        self._changed: set[bytes] = set()
        self._gone: set[bytes] = set()
        self._changed_bans: set[bytes] = set()
        self._urgent = trio.Event()
        self.on_ban: Callable[[bytes, Ban], None] | None = None
        if database is not None:
            self._load(database)

    # --- asking ---------------------------------------------------------------------------------

    def of(self, key: bytes) -> Record | None:
        """Give what is known of a node; it is not to be changed."""
        return self._records.get(key)

    def score(self, key: bytes) -> float:
        """Tell how badly a node behaved lately: 0 is well, BAN_SCORE is banned."""
        record = self._records.get(key)
        return self._faded(record) if record else 0.0

    def ban(self, key: bytes) -> Ban | None:
        """Give the ban of a node, if there is one now."""
        ban = self._bans.get(key)
        if ban is None:
            return None
        now_s = self._clock.now().wall_s
        if ban.until_s <= now_s:
            self.lift(key)
            return None
        # A wall clock that was set back must not make ten minutes a year.
        latest_s = now_s + (OWNERS_BAN_S_MAX if ban.is_owners else BAN_S_MAX)
        if ban.until_s > latest_s:
            ban = self._bans[key] = replace(ban, until_s=latest_s)
            self._changed_bans.add(key)
            self._urgent.set()
        return ban

    def bans(self) -> dict[bytes, Ban]:
        """Give all bans of now."""
        return {key: ban for key in list(self._bans) if (ban := self.ban(key))}

    # --- noting ---------------------------------------------------------------------------------

    def note_met(self, key: bytes) -> None:
        """A node was met."""
        record = self._record(key)
        record.met += 1
        record.failed_dials = 0

    def note_failed_dial(self, key: bytes) -> None:
        """A node that is known could not be dialled. Of others nothing is kept: keys are free."""
        if key in self._records:
            self._record(key).failed_dials += 1

    def note_rtt(self, key: bytes, rtt_s: float) -> None:
        """A round trip was measured."""
        record = self._record(key)
        record.rtt_s = _mixed(record.rtt_s, rtt_s)

    def note_moved(self, key: bytes, *, up_bytes: int, down_bytes: int, took_s: float) -> None:
        """So many bytes went through in this time, while nothing else held them back."""
        record = self._record(key)
        if took_s > 0 and up_bytes:
            record.up_bytes_s = _mixed(record.up_bytes_s, up_bytes / took_s)
        if took_s > 0 and down_bytes:
            record.down_bytes_s = _mixed(record.down_bytes_s, down_bytes / took_s)

    def note_order(self, key: bytes, *, well: bool) -> None:
        """An order with this node has ended, well or not."""
        record = self._record(key)
        record.orders += 1
        record.failed_orders += not well

    def blame(self, key: bytes, reason: Reason, detail: str) -> Ban | None:
        """Note a fault; give the ban when it led to one."""
        cost = _COSTS.get(reason, _COST)
        if not cost:
            return None
        record = self._record(key)
        now_s = self._clock.now().wall_s
        record.faults += 1
        record.score, record.scored_s = self._faded(record) + cost, now_s
        if record.score < BAN_SCORE:
            return None
        if now_s - record.banned_s > BANS_FORGOTTEN_S:
            record.bans = 0
        record.bans += 1
        record.score, record.banned_s = 0.0, now_s
        ban_s = min(BAN_S_MAX, BAN_S_MIN * 2.0 ** min(record.bans - 1, 16))
        return self.set_ban(key, ban_s, reason, detail)

    def set_ban(self, key: bytes, ban_s: float, reason: Reason, detail: str) -> Ban:
        """Ban a node for so long, whatever it did; the owner may wish it."""
        if key not in self._bans and len(self._bans) >= BANS_MAX:
            self.lift(min(self._bans, key=lambda each: self._bans[each].until_s))
        ban = Ban(self._clock.now().wall_s + ban_s, reason.value, detail[:200])
        self._bans[key] = ban
        self._changed_bans.add(key)
        self._urgent.set()
        if self.on_ban is not None:
            self.on_ban(key, ban)
        return ban

    def lift(self, key: bytes) -> None:
        """End a ban, if there is one."""
        if self._bans.pop(key, None) is not None:
            self._changed_bans.add(key)
            self._urgent.set()

    # --- keeping --------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Write what changes for ever: bans at once, all else now and then."""
        while True:
            with trio.move_on_after(SAVE_S):
                await self._urgent.wait()
            self._urgent = trio.Event()
            try:
                await self.save()
            except OSError as error:
                log.warning("behaviour_not_saved", error=str(error))
                await trio.sleep(SAVE_S)

    async def save(self) -> None:
        """Write what has changed; OSError says what is wrong with the disk."""
        if self._database is None:
            return
        changed, gone, bans = self._changed, self._gone, self._changed_bans
        self._changed, self._gone, self._changed_bans = set(), set(), set()
        statements = [
            *(("DELETE FROM peers WHERE key = ?", (key,)) for key in sorted(gone)),
            *(
                _peer_row(key, self._records[key])
                for key in sorted(changed)
                if key in self._records
            ),
            *(_ban_row(key, self._bans.get(key)) for key in sorted(bans)),
        ]
        if not statements:
            return
        try:
            await self._database.write(statements)
        except OSError:
            self._changed |= changed
            self._gone |= gone
            self._changed_bans |= bans
            raise

    def _load(self, database: Database) -> None:
        rows = database.read(
            "SELECT key, body FROM peers ORDER BY last_s DESC LIMIT ?", (NODES_MAX,)
        )
        for key, body in reversed(rows):
            assert isinstance(key, bytes)
            assert isinstance(body, bytes)
            if (record := _read_record(body)) is not None:
                self._records[key] = record
        rows = database.read(
            "SELECT key, until_s, reason, detail FROM bans ORDER BY until_s DESC LIMIT ?",
            (BANS_MAX,),
        )
        for key, until_s, reason, detail in rows:
            assert isinstance(key, bytes)
            assert isinstance(until_s, float)
            self._bans[key] = Ban(until_s, str(reason), str(detail))

    # --- one record -----------------------------------------------------------------------------

    def _record(self, key: bytes) -> Record:
        """Give the record to be changed now."""
        now_s = self._clock.now().wall_s
        record = self._records.pop(key, None)
        if record is None:
            record = Record(now_s, now_s)
            if len(self._records) >= NODES_MAX:
                self._forget_one()
        record.last_s = now_s
        self._records[key] = record
        self._changed.add(key)
        self._gone.discard(key)
        return record

    def _forget_one(self) -> None:
        """Forget a node that was never met, or the one that was not heard of for longest.

        A stranger makes as many keys as it likes, and is blamed under each: those go first.
        """
        unmet = (each for each, record in self._records.items() if not record.met)
        key = next(unmet, next(iter(self._records)))
        del self._records[key]
        self._changed.discard(key)
        self._gone.add(key)

    def _faded(self, record: Record) -> float:
        passed_s = max(0.0, self._clock.now().wall_s - record.scored_s)
        faded: float = record.score * 0.5 ** min(passed_s / FADE_S, 60.0)
        return faded


def _mixed(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)


def _peer_row(key: bytes, record: Record) -> Statement:
    body = json.dumps(asdict(record), separators=(",", ":")).encode()
    cells: Sequence[Cell] = (key, record.first_s, record.last_s, body)
    return "INSERT OR REPLACE INTO peers (key, first_s, last_s, body) VALUES (?, ?, ?, ?)", cells


def _ban_row(key: bytes, ban: Ban | None) -> Statement:
    if ban is None:
        return "DELETE FROM bans WHERE key = ?", (key,)
    cells: Sequence[Cell] = (key, ban.until_s, ban.reason, ban.detail)
    return "INSERT OR REPLACE INTO bans (key, until_s, reason, detail) VALUES (?, ?, ?, ?)", cells


_NAMES = frozenset(each.name for each in fields(Record))


def _read_record(body: bytes) -> Record | None:
    """Read a record; one that another version wrote is read as far as it is known."""
    try:
        found: dict[str, Any] = json.loads(body)
        return Record(**{name: value for name, value in found.items() if name in _NAMES})
    except (ValueError, TypeError, AttributeError):
        return None
