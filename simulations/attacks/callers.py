# SPDX-License-Identifier: MIT
"""Hand-made members of the mesh: an attacker with many keys, who speaks without a node.

Each has a host of its own on the made network, in another public range than all others: caps by
address do not stop this attacker, as they would not stop one with a botnet.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

import trio

from node.config import MeshConfig
from node.mesh.behaviour import Behaviour
from node.mesh.mesh import Mesh
from node.mesh.transport import Connection, Endpoint, Service, TransportError
from node.networks import Network
from protocol.advert import REACH_DIRECT, Advert
from protocol.errors import ProtocolError, Refused
from protocol.keys import Keypair
from protocol.sealed import seal
from simulations.attacks.attack import Attacked
from simulations.clock import VirtualClock
from simulations.transport import Net

PORT = 4001

#: An attacker that waits for something looks this often.
LOOK_S = 0.5

#: How a call may end; then the attacker comes again.
ENDS = (TransportError, ProtocolError, Refused)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to attack: its key, and where it can be dialled."""

    key: bytes
    addresses: tuple[str, ...]


def targets_of(node: Attacked, victims: Sequence[Attacked]) -> list[Target]:
    """Name the victims; without any, everybody whose advert the attacker's own node has."""
    if not victims:
        known = node.member.viewing.adverts()
        return sorted(
            (Target(each.node, each.advert.addresses) for each in known if each.advert.addresses),
            key=lambda each: each.key,
        )
    up = [each for each in victims if each.is_ready.is_set() and each.desk.member]
    return [Target(each.key, each.member.addresses) for each in up]


def somewhere(dice: Random) -> str:
    """Draw a public address; each is in a range of its own, as good as always."""
    return f"{dice.randrange(20, 90)}.{dice.randrange(256)}.{dice.randrange(256)}.7"


async def own_advert(node: Attacked) -> Advert:
    """Give the advert of the attacker's own node, as soon as there is one: others are like it."""
    while (own := node.member.viewing.view.exchange.own) is None:  # noqa: ASYNC110 - nobody says when
        await trio.sleep(LOOK_S)
    return own.advert


async def found_targets(node: Attacked, victims: Sequence[Attacked]) -> list[Target]:
    """Wait until there is anybody to attack."""
    while not (targets := targets_of(node, victims)):  # noqa: ASYNC110 - nobody says when
        await trio.sleep(LOOK_S)
    return targets


@dataclass
class Caller:
    """One key with a host: a member of the network that is no node."""

    seed: bytes
    host: str
    keypair: Keypair = field(init=False)
    mesh: Mesh = field(init=False)
    sealed: bytes = b""

    def __post_init__(self) -> None:
        """Make the key."""
        self.keypair = Keypair(self.seed)

    @property
    def key(self) -> bytes:
        """Its public key."""
        return self.keypair.public

    def make(self, network: Network, like: Advert | None) -> None:
        """Get ready to be a member; `like` is the advert that its own one resembles."""
        clock = VirtualClock(self.seed.hex())
        self.mesh = Mesh(clock, self.keypair, network, self, Behaviour(clock), MeshConfig())
        if like is not None:
            address = f"/ip4/{self.host}/tcp/{PORT}"
            said = replace(like, node=self.key, addresses=(address,), reach=REACH_DIRECT)
            self.sealed = seal(self.keypair, network.id, said).wire

    @asynccontextmanager
    async def there(self, net: Net, *, listens: bool = False) -> AsyncIterator[None]:
        """Be on the network inside the block, and be called if it listens."""
        listen = [f"/ip4/{self.host}/tcp/{PORT}"] if listens else []
        async with self.mesh.open(net.transport(self.host), self.seed, listen):
            yield

    # --- what its hello says --------------------------------------------------------------------

    incarnation = b"attacker"

    def advert(self) -> bytes:
        """Give its advert; empty when it shows none."""
        return self.sealed

    def totals(self, _peer: bytes) -> tuple[int, int]:
        """Nobody owes it anything."""
        return 0, 0


def new_caller(dice: Random) -> Caller:
    """Make somebody that nobody has ever met."""
    return Caller(dice.randbytes(32), somewhere(dice))


class OpenGate:
    """Lets everybody in."""

    def may_come(self, remote: str) -> bool:
        """Yes."""
        del remote
        return True

    def may_stay(self, peer: bytes, remote: str) -> bool:
        """Yes."""
        del peer, remote
        return True

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        """Yes."""
        del connection, open_now
        return True


async def _meet_nobody(connection: Connection) -> None:
    del connection


@asynccontextmanager
async def bare(net: Net, dice: Random) -> AsyncIterator[Endpoint]:
    """Be on the network with a key and without a protocol."""
    seed, host = dice.randbytes(32), somewhere(dice)
    service = Service(_meet_nobody, {}, OpenGate())
    async with net.transport(host).open(Keypair(seed), seed, (), service) as endpoint:
        yield endpoint
