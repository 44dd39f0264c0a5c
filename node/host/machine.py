# SPDX-License-Identifier: MIT
"""The host of a real node: this machine. What each part does is in its own file."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio

from node.clock import Clock
from node.executor.aside import aside
from node.executor.hardware import Hardware, probe
from node.host import http, manager, mdns
from node.host.host import App, Seen, Sensors
from node.host.sensing import Sight
from node.paths import Paths

#: The first look has none before it, and waits this long for something to compare.
FIRST_WINDOW_S = 0.25


class MachineHost:
    """This machine."""

    def __init__(
        self,
        paths: Paths,
        clock: Clock,
        *,
        environ: Mapping[str, str] = os.environ,
        interfaces: Sequence[str] = (),
    ) -> None:
        """`interfaces` are the addresses that mDNS speaks on; without any, all of them."""
        self._sight = Sight(paths.models)
        self._cache = paths.cache
        self._clock = clock
        self._environ = environ
        self._interfaces = tuple(interfaces)
        self._begun = False

    async def sense(self) -> Sensors:
        """Look at the machine, aside: a disk may keep a look waiting."""
        if not self._begun:
            await aside(self._sight.begin)
            self._begun = True
            await trio.sleep(FIRST_WINDOW_S)
        wall_s = self._clock.now().wall_s
        return await aside(lambda: self._sight.look(wall_s))

    async def hardware(self) -> Hardware:
        """Measure the machine at the first time, and recall it later."""
        return await probe(self._cache, self._clock)

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        """Take SIGTERM, SIGINT and SIGHUP inside the block, one after the other."""
        return _signals()

    def serve(self, app: App, socket: str) -> AbstractAsyncContextManager[None]:
        """Serve HTTP on a Unix socket, inside the block."""
        return http.serve(app, Path(socket))

    def house(
        self, name: str, peer: bytes, addresses: Callable[[], tuple[str, ...]]
    ) -> AbstractAsyncContextManager[AsyncIterator[Seen]]:
        """Be found in the house by mDNS, and find others."""
        return mdns.house(name, peer, addresses, interfaces=self._interfaces)

    def notify(self, state: Mapping[str, str]) -> None:
        """Tell the service manager."""
        manager.notify(self._environ, state)

    @property
    def watchdog_s(self) -> float | None:
        """How often the service manager wants to hear WATCHDOG=1; None when it does not."""
        return manager.watchdog_s(self._environ, os.getpid())


@asynccontextmanager
async def _signals() -> AsyncIterator[AsyncIterator[int]]:
    wanted = [signal.SIGTERM, signal.SIGINT]
    # A terminal that closes ends a node in order, too; but not under nohup, which ignores it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    with trio.open_signal_receiver(*wanted) as received:
        yield received
