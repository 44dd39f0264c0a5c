# SPDX-License-Identifier: MIT
"""Made networks for tests: their endpoints, and networks whose links take time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from node.mesh.transport import Connection, Handler, Service
from protocol.keys import Keypair
from simulations.connection import SimulatedConnection
from simulations.links import LinkTraits
from simulations.trace import Trace
from simulations.transport import Net, SimulatedEndpoint
from simulations.wire import Wire
from tests.node.mesh.memory_scene import MemoryScene
from tests.node.mesh.scene import SINK, TALKS, OpenGate, read, seed_of

ALICE, BOB, CAROL, DAVE = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"

#: A tenth of a second each way, always: times are easy to say.
TENTH = LinkTraits(latency_s=0.1)

#: In a straight line and in no time.
IDEAL = LinkTraits()


@asynccontextmanager
async def endpoint(
    net: Net,
    who: str,
    host: str,
    listen: Sequence[str] = ("/ip4/0.0.0.0/tcp/0",),
    handlers: Mapping[str, Handler] = TALKS,
) -> AsyncIterator[SimulatedEndpoint]:
    """Be somebody on a host of one's choice."""
    service = Service(wait, handlers, OpenGate())
    async with net.transport(host).open(
        Keypair(seed_of(who)), seed_of(who), listen, service
    ) as one:
        yield one


async def wait(connection: Connection) -> None:
    """Keep a connection."""
    await connection.wait_closed()


@asynccontextmanager
async def wired(
    default: LinkTraits = TENTH, *, seed: int = 0, trace: Trace | None = None
) -> AsyncIterator[Net]:
    """Have a network whose links take time inside the block, to the last digit."""
    wire = Wire()
    net = Net(
        wire=wire,
        dice=lambda purpose: Random(f"{seed} {purpose}"),
        trace=trace,
        default=default,
        tick_s=0,
    )
    async with trio.open_nursery() as tasks:
        tasks.start_soon(wire.run)
        yield net
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def two(
    net: Net, handlers: Mapping[str, Handler] = TALKS
) -> AsyncIterator[tuple[SimulatedEndpoint, SimulatedEndpoint, SimulatedConnection]]:
    """Have Alice, who has dialled Bob."""
    async with (
        endpoint(net, "alice", ALICE, handlers=handlers) as alice,
        endpoint(net, "bob", BOB, handlers=handlers) as bob,
    ):
        yield alice, bob, await alice.dial(bob.key, bob.addresses)


async def sunk_s(connection: SimulatedConnection, size_bytes: int) -> float:
    """Give the seconds until the peer has read so many bytes, and said so."""
    begin_s = trio.current_time()
    stream = await connection.open(SINK)
    await stream.send(bytes(size_bytes))
    await stream.finish()
    assert int.from_bytes(await read(stream), "big") == size_bytes
    return trio.current_time() - begin_s


class LinkedScene(MemoryScene):
    """A network on a wire that somebody runs, as a scene for the promises of all transports."""

    # Where there was never a host a dial gets no answer; here there is one.
    dead = f"/ip4/{ALICE}/tcp/9"

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
