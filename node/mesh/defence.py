# SPDX-License-Identifier: MIT
"""Who may come in, and who is let go when places get scarce. What a fault costs is in `behaviour`.

The gate counts **places**: the /24 or /48 of a caller's address. Addresses without one - of this
house, of this machine, of a relay - are each a place of their own, with a larger cap: a house
has many nodes behind one address, and still one address cannot take everything.

====================  ======================================================================
who knocks            as many handshakes at a time, in all and from one place, and as many new
                      ones in a second as `HANDSHAKE...` say; nothing from a full place
who proved a key      not banned, denied, or missing from the owner's list; not our own key; few
                      connections of one key; when the places for those who dial us are taken,
                      somebody must be found who is let go
who asks for a stream `streams_per_peer`, over all connections of the peer; a few before hello
====================  ======================================================================

**Who is let go** when places are scarce is idle: no order in flight (:meth:`Peer.hold`), nothing
being served, nothing done for `IDLE_S`; it is no neighbour, not trusted, and it has dialled us -
those whom we chose are never pushed out by those who chose us. Of these, the one that behaved
worst, then one of the fullest place, then the one that has been idle longest. If there is none,
the newcomer has to wait. So a flood of strangers finds a node full, but no order is cut for them.
Before all these goes who has not said hello yet, the oldest first: whoever knows the secret of a
private network is not sent away for somebody who may not.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable

import trio

from node.config import MeshConfig
from node.log import Log
from node.mesh.behaviour import Behaviour
from node.mesh.peer import Peer
from node.mesh.transport import Connection
from protocol.bounded import Allowance
from protocol.errors import Refused
from protocol.keys import parse_peer_id, peer_id
from protocol.known import range_of
from protocol.reasons import Reason

#: Handshakes of those who dial us at a time, each some milliseconds of processor time. Beyond it a
#: place with fewer of them takes the turn of the busiest one.
HANDSHAKES_MAX = 64

#: Handshakes at a time from one place.
HANDSHAKES_PER_PLACE_MAX = 16

#: After this time a handshake is over, one way or the other; transports do not report failures.
HANDSHAKE_S_MAX = 10.0

#: New callers from one place at once ...
CALLERS_BURST = 32

#: ... and one more each so many seconds.
CALLERS_REFILL_S = 0.5

#: Places whose callers are counted; with more, the longest unused starts anew.
PLACES_MAX = 1024

#: Connections of one key: one, another that crossed it, and one that nobody has missed yet.
CONNECTIONS_PER_KEY_MAX = 4

#: Streams before hello: a quick peer opens those of view and work, and the hello itself.
STREAMS_BEFORE_HELLO_MAX = 8

#: One in so many connections is kept for those whom we dial.
OUTBOUND_SHARE = 8

#: Who did nothing for so long may be let go for somebody else.
IDLE_S = 10.0

log = Log()


def place_of(remote: str) -> tuple[str, bool]:
    """Name the place of an address, and tell whether it is a range."""
    if name := range_of((remote,)):
        return name, True
    return "/".join(remote.split("/")[1:3]), False


class Defence:
    """The gate of the transport, with the counts behind it."""

    def __init__(self, config: MeshConfig, me: bytes, behaviour: Behaviour) -> None:
        """Read the owner's lists."""
        self._me = me
        self.elsewhere = ""  # from where somebody came who has the key of this node
        self._behaviour = behaviour
        self._allow = _keys(config.allow)
        self._deny = _keys(config.deny)
        self.trusted = _keys(config.trusted)
        self._most = config.connections
        self._most_inbound = config.connections - max(1, config.connections // OUTBOUND_SHARE)
        self._most_per_range = config.connections_per_range
        self._most_per_address = max(config.connections_per_range, config.connections // 2)
        self._streams_per_peer = config.streams_per_peer
        self._open: dict[Connection, str] = {}
        self._arriving: deque[tuple[float, str]] = deque()
        self._callers: dict[str, Allowance] = {}
        self.peer_of: Callable[[Connection], Peer | None] = lambda _: None
        self.let_go: Callable[[Peer], None] = lambda _: None
        self.hang_up: Callable[[Connection], None] = lambda _: None
        self.everybody: Callable[[], Iterable[Peer]] = tuple

    # --- the gate -------------------------------------------------------------------------------

    def may_come(self, remote: str) -> bool:
        """Whether a caller from this address may begin to prove who it is."""
        now_s = trio.current_time()
        while self._arriving and self._arriving[0][0] <= now_s - HANDSHAKE_S_MAX:
            self._arriving.popleft()
        place, is_range = place_of(remote)
        from_there = sum(1 for _, each in self._arriving if each == place)
        if from_there >= HANDSHAKES_PER_PLACE_MAX:
            return False
        if len(self._arriving) >= HANDSHAKES_MAX and not self._displaces(from_there):
            return False
        if self._is_full(place, is_range) and not self._could_make_room(place):
            return False
        if not self._allowance(place, now_s).take(now_s):
            return False
        self._arriving.append((now_s, place))
        return True

    def may_stay(self, peer: bytes, remote: str) -> bool:
        """Whether a caller that has proven its key may keep the connection."""
        place, is_range = place_of(remote)
        self._has_arrived(place)
        if self.objection(peer) is not None:
            if peer == self._me:
                self.note_twin(remote)
            return False
        return self._fits(peer, place, is_range, self._could_make_room)

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        """Whether the peer may open one more stream, with so many of its own open now."""
        peer = self.peer_of(connection)
        if peer is None:
            return open_now < STREAMS_BEFORE_HELLO_MAX
        # The control stream is one of them; the cap is for what is asked of us besides.
        return max(open_now - 1, peer.serving) < self._streams_per_peer

    # --- what the mesh asks and tells -------------------------------------------------------------

    def objection(self, key: bytes) -> Refused | None:
        """Say why a node must not be met, whoever dials; None when it may."""
        if key == self._me:
            detail = "this is the key of this node itself: an identity belongs on one machine only"
            return Refused(Reason.WRONG_PARTY, detail)
        if key in self._deny or (self._allow and key not in self._allow):
            return Refused(Reason.BANNED, "the owner of this node does not let it meet that one")
        ban = self._behaviour.ban(key)
        if ban is not None:
            by_owner = ban.reason == Reason.BANNED.value
            why = "its owner said so" if by_owner else f"of {ban.reason}"
            detail = f"this node does not meet it for a while, because {why}"
            detail += f" ({ban.detail})" if ban.detail else ""
            return Refused(Reason.BANNED, f"{detail}: `commons peers unban` ends that")
        return None

    def add(self, connection: Connection) -> bool:
        """Count a connection; False when it must go, since others took its place meanwhile.

        Between proving a key and having a connection a caller may take its time, and nobody is
        let go for one that never comes so far.
        """
        place, is_range = place_of(connection.remote)
        key = connection.peer
        if connection.inbound and not self._fits(key, place, is_range, self._make_room):
            return False
        self._open[connection] = place
        return True

    def remove(self, connection: Connection) -> None:
        """Count it no more."""
        self._open.pop(connection, None)

    def note_twin(self, where: str) -> None:
        """Note that somebody with the key of this node was seen; the owner has copied it."""
        self.elsewhere = where
        log.warning("identity_elsewhere", peer=peer_id(self._me), where=where)

    # --- counting -------------------------------------------------------------------------------

    def _fits(
        self, peer: bytes, place: str, is_range: bool, room: Callable[[str | None], bool]
    ) -> bool:
        """Whether one more caller has a place here; `room` is asked where there is none."""
        same = sum(1 for each in self._open if each.peer == peer)
        if same >= CONNECTIONS_PER_KEY_MAX:
            return False
        if peer in self.trusted:
            return True  # the owner has listed few of them
        if self._is_full(place, is_range) and not room(place):
            return False
        inbound = sum(1 for each in self._open if each.inbound)
        is_full = len(self._open) >= self._most or inbound >= self._most_inbound
        return not is_full or room(None)

    def _could_make_room(self, place: str | None) -> bool:
        return bool(self._unknown(place) or self._spare(place))

    def _is_full(self, place: str, is_range: bool) -> bool:
        most = self._most_per_range if is_range else self._most_per_address
        inbound = Counter(at for each, at in self._open.items() if each.inbound)
        return inbound[place] >= most

    def _displaces(self, from_there: int) -> bool:
        """Forget the oldest handshake of the busiest place, for a place with fewer of them.

        Else sixty places that say nothing would keep everybody out; it is the transport that
        bounds how many there are, and ends the oldest.
        """
        busiest, count = Counter(each for _, each in self._arriving).most_common(1)[0]
        if from_there >= count:
            return False
        self._has_arrived(busiest)
        return True

    def _has_arrived(self, place: str) -> None:
        for each in self._arriving:
            if each[1] == place:
                self._arriving.remove(each)
                return

    def _allowance(self, place: str, now_s: float) -> Allowance:
        found = self._callers.pop(place, None)
        if found is None:
            found = Allowance(CALLERS_BURST, CALLERS_REFILL_S, now_s)
            if len(self._callers) >= PLACES_MAX:
                del self._callers[next(iter(self._callers))]
        self._callers[place] = found
        return found

    def _make_room(self, place: str | None) -> bool:
        if unknown := self._unknown(place):
            self.remove(unknown)
            self.hang_up(unknown)
            return True
        peer = self._spare(place)
        if peer is None:
            return False
        for link in peer.links:
            self.remove(link.connection)  # its place is free now, though it takes a while to go
        self.let_go(peer)
        return True

    def _unknown(self, place: str | None) -> Connection | None:
        """Find who has dialled us first of those who have not said hello."""
        for each, at in self._open.items():
            if each.inbound and self.peer_of(each) is None and (place is None or at == place):
                return each
        return None

    def _spare(self, place: str | None) -> Peer | None:
        """Find who is let go for somebody else, in this place or in all."""
        now_s = trio.current_time()
        crowd = Counter(self._open.values())

        def worth(peer: Peer) -> tuple[float, int, float]:
            at = self._open.get(peer.link.connection, "")
            return -self._behaviour.score(peer.key), -crowd[at], peer.used_s

        spare = [
            peer
            for peer in self.everybody()
            if peer.is_connected
            and not (peer.is_held or peer.neighbour or peer.trusted)
            and all(each.inbound for each in peer.links)
            and now_s - peer.used_s >= IDLE_S
            and (place is None or self._open.get(peer.link.connection) == place)
        ]
        return min(spare, key=worth, default=None)


def _keys(peer_ids: Iterable[str]) -> frozenset[bytes]:
    return frozenset(map(parse_peer_id, peer_ids))
