# SPDX-License-Identifier: MIT
"""The made network, as a scene for the promises of all transports."""

from collections.abc import Sequence

from node.mesh.transport import Connection, Endpoint, Transport
from simulations.connection import SimulatedConnection
from simulations.transport import Net, SimulatedEndpoint


class MemoryScene:
    """A network of its own; time is virtual, which the test sees to."""

    listen = "/ip4/0.0.0.0/tcp/0"
    wildcard = "/ip4/0.0.0.0/tcp/0"
    dead = "/ip4/10.9.9.9/tcp/9"

    def __init__(self) -> None:
        self.net = Net()
        self._hosts: dict[str, str] = {}

    def transport(self, who: str) -> Transport:
        host = self._hosts.setdefault(who, f"10.0.0.{len(self._hosts) + 1}")
        return self.net.transport(host)

    def reach(self, endpoint: Endpoint) -> Sequence[str]:
        return endpoint.addresses

    async def freeze(self, endpoint: Endpoint) -> None:
        self.net.freeze(_made(endpoint).host)

    async def thaw(self, endpoint: Endpoint) -> None:
        self.net.thaw(_made(endpoint).host)

    async def kill(self, endpoint: Endpoint) -> None:
        self.net.kill(_made(endpoint).host)

    def streams(self, connection: Connection) -> int:
        assert isinstance(connection, SimulatedConnection)
        return len(connection.streams)


def _made(endpoint: Endpoint) -> SimulatedEndpoint:
    assert isinstance(endpoint, SimulatedEndpoint)
    return endpoint
