# SPDX-License-Identifier: MIT
"""An honest client in a process of its own: pings two nodes all the time, and tells how that went.

One of them is attacked and the other is not, since what keeps the machine busy slows both. It is a
node of the network as far as hello and control stream go. Each line on stdin is answered by a line
of JSON, what was measured so far; `begin` begins another measurement, `go on` does not.
"""

import json
import sys
import time
from contextlib import AsyncExitStack
from statistics import median

import trio

from node.mesh.control import measured
from node.mesh.transport import TransportError
from node.networks import Network
from protocol.errors import ProtocolError, Refused
from tests.e2e.adversaries.callers import Member, Target, member, seed_of

PING_S = 0.01
ANSWER_S = 20.0


class Prober:
    """Measures round trips to one node."""

    def __init__(self, client: Member) -> None:
        self._client = client
        self._round_trips_s: list[float] = []
        self._lost = 0

    async def ping_for_ever(self) -> None:
        """Ping, and come back when the connection is lost, as any node would."""
        while True:
            try:
                peer = await self._client.mesh.meet(
                    self._client.target.key, [self._client.target.address]
                )
                begin_s = time.perf_counter()
                await measured(peer.link, ANSWER_S)
                self._round_trips_s.append(time.perf_counter() - begin_s)
            except (OSError, TransportError, ProtocolError, Refused):
                self._lost += 1
                await trio.sleep(0.2)
            await trio.sleep(PING_S)

    def told(self, *, begin: bool) -> dict[str, float]:
        """Tell what was measured since the beginning, and begin anew."""
        found = sorted(self._round_trips_s) or [float("nan")]
        told = {
            "count": len(self._round_trips_s),
            "lost": self._lost,
            "p50_ms": 1000 * median(found),
            "p95_ms": 1000 * found[int(0.95 * (len(found) - 1))],
        }
        if begin:
            self._round_trips_s, self._lost = [], 0
        return told


async def main() -> None:
    """Ping both nodes until stdin ends."""
    wanted = json.loads(sys.argv[1])
    secrets = {int(key): bytes.fromhex(value) for key, value in wanted["secrets"].items()}
    network = Network(wanted["name"], bytes.fromhex(wanted["salt"]), secrets)
    async with AsyncExitStack() as stack:
        probers = []
        for number, (key, address) in enumerate(wanted["targets"]):
            target = Target(bytes.fromhex(key), address)
            seed = seed_of(f"honest {number}")  # `fresh` gives the attackers' process the same ones
            client = await stack.enter_async_context(member(target, network, seed))
            await client.meets()
            probers.append(Prober(client))
        async with trio.open_nursery() as nursery:
            for prober in probers:
                nursery.start_soon(prober.ping_for_ever)
            async for line in trio.lowlevel.FdStream(0):  # who asks waits for the answer
                told = [each.told(begin=line == b"begin\n") for each in probers]
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
