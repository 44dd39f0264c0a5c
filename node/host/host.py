# SPDX-License-Identifier: MIT
"""The host seam: what else of the machine a node touches. A simulation scripts it.

Sensors for the governor, signals, listeners for the owner's programs, finding nodes in the
same house, and the service manager.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from node.executor.hardware import Hardware

#: An ASGI application; only `node/api/` knows more about it.
App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sensors:
    """What the machine is doing now. None: this machine does not tell.

    `others_percent` is the use of all processors by programs that are not this node's, from 0
    to 100; `idle_s` how long nobody has used keyboard or mouse; `weekday` (Monday is 0) and
    `minute` of the day are local time.
    """

    others_percent: float
    memory_free_mib: int
    disk_free_mib: int
    idle_s: float | None
    on_battery: bool | None
    weekday: int
    minute: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A node in the same house that says it is of our network; nothing of it is proven."""

    peer: bytes
    addresses: tuple[str, ...]


class Host(Protocol):
    """The machine around the node."""

    async def sense(self) -> Sensors:
        """Look at the machine."""
        ...

    async def hardware(self) -> Hardware:
        """Say what this machine can do; Refused when it could not be measured."""
        ...

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """Take SIGTERM, SIGINT and SIGHUP inside the block, one after the other."""
        ...

    def serve(self, app: App, socket: str) -> AbstractAsyncContextManager[None]:
        """Serve HTTP on a Unix socket that only this user can open, inside the block.

        Who connects in the block is answered. ConfigError when another node is serving there.
        The app is called for requests alone: what lives as long as the node is in its nursery.
        """
        ...

    def house(
        self, name: str, peer: bytes, addresses: Callable[[], tuple[str, ...]]
    ) -> AbstractAsyncContextManager[AsyncIterator[Seen]]:
        """Be found in the house under the name of a network, and find others of that name.

        The name itself is not told, only a hash of it; give one that cannot be guessed, such as
        the network's id. A node is given again when its addresses are others. Where there is no
        mDNS, nobody is found and nothing fails.
        """
        ...

    def notify(self, state: Mapping[str, str]) -> None:
        """Tell the service manager, as READY=1 or STATUS=...; nothing happens without one."""
        ...

    @property
    def watchdog_s(self) -> float | None:
        """How often the service manager wants to hear WATCHDOG=1; None when it does not."""
        ...
