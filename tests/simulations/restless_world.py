# SPDX-License-Identifier: MIT
"""A restless network, and the digest of all that passed in it: `python -m ... SEED` prints it.

Hosts with poor links dial each other and talk, while one is killed, others are cut off from each
other, and connections break.
"""

import sys
from contextlib import AsyncExitStack
from random import Random

import trio

from node.mesh.transport import TransportError
from simulations.determinism import run_in_virtual_time
from simulations.links import DSL, INTERCONTINENTAL, MOBILE, Access, LinkTraits
from simulations.trace import Trace
from simulations.transport import Net, SimulatedEndpoint
from simulations.wire import Wire
from tests.node.mesh.scene import echoed
from tests.simulations.made_nets import endpoint

HOSTS = [f"10.0.0.{number}" for number in range(1, 7)]

#: Breaks now and then, which profiles do too rarely for a minute.
BROKEN = Access("broken", up=LinkTraits(0.03, 0.01, 1e6, 0.01, 0.5, reset_probability=0.005))


async def live(seed: str) -> Trace:
    """Let a minute pass; give what was seen."""
    wire, trace = Wire(), Trace()
    net = Net(wire=wire, dice=lambda purpose: Random(f"{seed} {purpose}"), trace=trace)
    for host, access in zip(HOSTS, (DSL, MOBILE, BROKEN, DSL), strict=False):
        net.set_access(host, access)
    net.set_group("far", HOSTS[:2])
    net.set_distance("far", "", INTERCONTINENTAL)
    async with trio.open_nursery() as tasks, AsyncExitStack() as stack:
        tasks.start_soon(wire.run)
        ends = [await stack.enter_async_context(endpoint(net, each, each)) for each in HOSTS]
        for one in ends:
            tasks.start_soon(talk, one, ends, Random(f"{seed} {one.host}"))
        await trio.sleep(20)
        wall = net.partition(HOSTS[:3], one_way=True)
        net.kill(HOSTS[4])
        await trio.sleep(5)
        net.freeze(HOSTS[5])
        await trio.sleep(5)
        wall.lift()
        net.thaw(HOSTS[5])
        net.partition(HOSTS[2:4], hard=True)
        await trio.sleep(30)
        tasks.cancel_scope.cancel()
    return trace


async def talk(one: SimulatedEndpoint, ends: list[SimulatedEndpoint], dice: Random) -> None:
    """Dial somebody, say some things, and do so again."""
    while not one.ended:
        other = dice.choice([each for each in ends if each is not one])
        try:
            here = await one.dial(other.key, other.addresses)
            for _ in range(dice.randrange(6)):
                with trio.move_on_after(10):
                    await echoed(here, dice.randbytes(dice.choice([1, 1000, 300_000])))
            await here.close()
        except* TransportError:
            pass
        await trio.sleep(dice.random())


if __name__ == "__main__":
    found = run_in_virtual_time(sys.argv[1], live, sys.argv[1])
    print(found.digest(), found.count, len(found.rows))  # noqa: T201 - that is what it is for
