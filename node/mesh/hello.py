# SPDX-License-Identifier: MIT
"""Hello as it is said on a connection. What it says and when it holds is in `protocol/hello.py`.

In a public network each side says one hello. In a private one each says two: the first has
nothing but versions and a nonce, the second carries the proof, advert and totals; the dialer's
second comes first. So a stranger is told nothing, and the one who dials shows its proof first.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from node.clock import Clock
from node.log import Log
from node.mesh.framed import Framed
from node.mesh.transport import TransportError
from node.networks import Network
from protocol.canon import decode
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import CancelFrame, End, Ping, Pong, StatementFrame
from protocol.hello import (
    DIALER,
    LISTENER,
    SPEAKS_HIGH,
    SPEAKS_LOW,
    Hello,
    check_hello,
    check_membership,
    clock_offset_s,
    membership_proof,
)
from protocol.keys import SIGNATURE_BYTES, Keypair, peer_id
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from protocol.sealed import seal, unseal

#: The id of the protocol. Its stream is the connection's control stream for as long as it lives.
HELLO = "/commons/hello/1"

#: The whole of it: four messages over a bad line, and two checks of signatures.
HELLO_S_MAX = 10.0

#: What may be said on a control stream. The largest of them is a hello; data have no place there.
CONTROL_KINDS = frozenset({StatementFrame, Ping, Pong, CancelFrame, End})


log = Log()


class Introduction(Protocol):
    """What this node says of itself in a hello, and what it knows of its account with a peer."""

    @property
    def incarnation(self) -> bytes:
        """Which start of this process this is: 8 bytes."""
        ...

    def advert(self) -> bytes:
        """Give the sealed advert of this node as it is now; empty when there is none yet."""
        ...

    def totals(self, peer: bytes) -> tuple[int, int]:
        """Tell the account: what the peer owes in all as held here, what we owe as signed here."""
        ...


@dataclass(frozen=True, slots=True)
class Greeting:
    """A hello that holds. `stamp` is what the dialer said first, which both sides know."""

    hello: Hello
    stamp: tuple[int, bytes]
    offset_s: float
    member: bool


class Greeter:
    """Says hello for this node. Its network may be replaced when the secrets change."""

    def __init__(
        self, clock: Clock, keypair: Keypair, network: Network, introduction: Introduction
    ) -> None:
        """Speak for the holder of this key."""
        self.network = network
        self.newest_secret = 0
        self._clock = clock
        self._keypair = keypair
        self._introduction = introduction

    def note_newer(self, version: int, peer: bytes) -> None:
        """Note that a node which we dialled has a newer secret, and did not take ours."""
        if version > max(self.newest_secret, self.network.newest):
            self.newest_secret = version
            log.warning("secret_outdated", peer=peer_id(peer), newest=version)

    @property
    def incarnation(self) -> bytes:
        """Tell which start of this process speaks now; books made anew begin another one."""
        return self._introduction.incarnation

    async def greet(self, wire: Framed, peer: bytes, role: int) -> Greeting:
        """Say hello, hear the peer's, and check it.

        RemoteProtocolError says what is wrong with the peer, Refused with which word it
        declined, TransportError that it is gone. Takes as long as the peer; the caller has
        the deadline.
        """
        return await _Conversation(self, self._keypair, wire, peer, role).hold()

    def first(self, peer: bytes, role: int) -> Hello:
        """Make the first hello: in a public network it is the only one, and says all."""
        bare = Hello(
            node=self._keypair.public,
            peer=peer,
            incarnation=self._introduction.incarnation,
            network=self.network.id,
            role=role,
            speaks_low=SPEAKS_LOW,
            speaks_high=SPEAKS_HIGH,
            price_low=PRICE_VERSION,
            price_high=PRICE_VERSION,
            wall_ms=int(self._clock.now().wall_s * 1000),
            nonce=self._clock.secret_bytes(32),
            answers=b"",
            secret_version=max(self.network.secrets, default=0),
            proof=b"",
            held_total=0,
            signed_total=0,
            advert=b"",
            extension=b"",
        )
        return bare if self.network.is_private else self.full(bare)

    def full(self, bare: Hello) -> Hello:
        """Add what only those are told who are let in."""
        held, signed = self._introduction.totals(bare.peer)
        advert = self._introduction.advert()
        return replace(bare, held_total=held, signed_total=signed, advert=advert)

    def offset_s(self, hello: Hello) -> float:
        """Tell how far the clock of a peer is ahead; RemoteProtocolError when it is too far."""
        return clock_offset_s(hello, self._clock.now().wall_s)


class _Conversation:
    """One hello. The network is looked at once: a secret that is rotated meanwhile is for later."""

    def __init__(
        self, greeter: Greeter, keypair: Keypair, wire: Framed, peer: bytes, role: int
    ) -> None:
        self._greeter = greeter
        self._keypair = keypair
        self._network = greeter.network
        self._wire = wire
        self._peer = peer
        self._role = role

    async def hold(self) -> Greeting:
        mine = self._greeter.first(self._peer, self._role)
        await self._say(mine)
        theirs = await self._hear()
        self._check_kind(theirs)
        offset_s = self._greeter.offset_s(theirs)
        dialers = mine if self._role == DIALER else theirs
        stamp = (dialers.wall_ms, dialers.nonce)
        if self._network.is_private:
            theirs = await self._prove(mine, theirs)
        return Greeting(theirs, stamp, offset_s, self._network.is_private)

    async def _prove(self, mine: Hello, theirs: Hello) -> Hello:
        """Exchange the proofs; the dialer's comes first. Give what the peer says as a member."""
        if self._role == DIALER:
            await self._say(self._proven(mine, theirs, self._version(theirs)))
            try:
                return await self._hear_proof(mine, theirs)
            except TransportError:
                self._greeter.note_newer(theirs.secret_version, self._peer)
                raise
        proven = await self._hear_proof(mine, theirs)
        await self._say(self._proven(mine, theirs, proven.secret_version))
        return proven

    def _check_kind(self, theirs: Hello) -> None:
        """One who holds a secret and one who knows of none would wait for each other."""
        if self._network.is_private != bool(theirs.secret_version):
            who = "the peer" if self._network.is_private else "this node"
            detail = f"the network is private, and {who} has no secret of it"
            raise RemoteProtocolError(Reason.NOT_A_MEMBER, detail)

    def _version(self, theirs: Hello) -> int:
        """Choose the newest secret that both may have: the peer says its newest one only."""
        common = [each for each in self._network.secrets if each <= theirs.secret_version]
        if not common:
            detail = (
                f"the peer has secrets up to version {theirs.secret_version}, "
                f"this node from {min(self._network.secrets)} on"
            )
            raise RemoteProtocolError(Reason.NOT_A_MEMBER, detail)
        return max(common)

    def _proven(self, mine: Hello, theirs: Hello, version: int) -> Hello:
        full = replace(self._greeter.full(mine), answers=theirs.nonce, secret_version=version)
        proof = membership_proof(self._network.secrets[version], full, theirs.nonce)
        return replace(full, proof=proof)

    async def _hear_proof(self, mine: Hello, first: Hello) -> Hello:
        second = await self._hear()
        check_membership(second, dict(self._network.secrets), mine.nonce)
        if (second.nonce, second.incarnation) != (first.nonce, first.incarnation):
            detail = "the second hello is not of the node that said the first one"
            raise RemoteProtocolError(Reason.WRONG_PARTY, detail)
        return second

    async def _say(self, hello: Hello) -> None:
        await self._wire.send(StatementFrame(seal(self._keypair, self._network.id, hello).wire))

    async def _hear(self) -> Hello:
        frame = await self._wire.take(StatementFrame, CancelFrame)
        if isinstance(frame, CancelFrame):
            raise refusal(frame.reason)
        assert isinstance(frame, StatementFrame)
        hello = _read(frame.wire, self._network.id)
        role = LISTENER if self._role == DIALER else DIALER
        check_hello(
            hello, me=self._keypair.public, peer=self._peer, role=role, network=self._network.id
        )
        return hello


def refusal(code: str) -> Refused:
    """Turn what a peer gave as its reason into ours; it may be newer than this node."""
    try:
        return Refused(Reason(code), f"the peer gave {code} as its reason")
    except ValueError:
        detail = f"the peer declined, for a reason that this version does not know: {code}"
        return Refused(Reason.UNREACHABLE, detail)


def _read(wire: bytes, network: bytes) -> Hello:
    """Read a hello. One of another network has a signature that does not hold in ours."""
    try:
        return unseal(wire, network, Hello).value
    except RemoteProtocolError as error:
        if error.reason is not Reason.BAD_SIGNATURE:
            raise
        raise _of_another_network(wire, network) or error from None


def _of_another_network(wire: bytes, network: bytes) -> RemoteProtocolError | None:
    """Tell whether it is the good hello of another network: then nothing was forged."""
    try:
        claimed = decode(wire[SIGNATURE_BYTES:], Hello).network
        if claimed == network:
            return None
        unseal(wire, claimed, Hello)
    except RemoteProtocolError:
        return None
    return RemoteProtocolError(Reason.OTHER_NETWORK, f"network {claimed.hex()}")
