# SPDX-License-Identifier: MIT
"""Dials: one at a time to each peer, whoever wishes it. What is said then is in `meetings`."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from node.mesh.peer import Peer
from node.mesh.transport import Connection, Endpoint, Lost, TransportError, Unreachable
from protocol.limits import DIAL_S_MAX

#: Dials at a time: each is a handshake of some ten milliseconds, and a wait.
DIALS_MAX = 16

#: Addresses of one peer that are tried: those of its advert, of an invite, and of the cache.
ADDRESSES_TRIED_MAX = 24


class Dialing:
    """A dial that may be waited for by many, and to which each brings the addresses it knows."""

    def __init__(self, key: bytes) -> None:
        """Begin without an address."""
        self.key = key
        self.scope = trio.CancelScope()
        self._addresses: list[str] = []
        self._tried = 0
        self._done = trio.Event()
        self._peer: Peer | None = None
        self._error: Exception | None = None

    def add(self, addresses: Sequence[str]) -> None:
        """Bring more addresses; they are tried after those that are there."""
        for each in addresses:
            if each not in self._addresses and len(self._addresses) < ADDRESSES_TRIED_MAX:
                self._addresses.append(each)

    def succeed(self, peer: Peer) -> None:
        """Tell all who wait that the peer is met, whoever has dialled."""
        self._peer = self._peer or peer
        self._done.set()
        self.scope.cancel()

    def fail(self, error: Exception) -> None:
        """Tell all who wait that it came to nothing; what is told first holds."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    async def result(self) -> Peer:
        """Wait for the peer, or raise why there is none."""
        await self._done.wait()
        if self._peer is None:
            assert self._error, "a dial ends with a peer or an error"
            raise self._error
        return self._peer

    async def wait(self) -> None:
        """Return when it is known how the dial went."""
        await self._done.wait()

    async def connect(self, endpoint: Endpoint) -> Connection | None:
        """Dial all addresses in turn; None when the peer was met meanwhile in another way."""
        errors: list[str] = []
        with self.scope:
            with trio.move_on_after(DIAL_S_MAX):
                while self._tried < len(self._addresses):
                    new = self._addresses[self._tried :]
                    self._tried += len(new)
                    try:
                        return await endpoint.dial(self.key, new)
                    except Unreachable as error:
                        errors.append(str(error))
                raise Unreachable("; ".join(errors) or "no address is known")
            raise Unreachable("; ".join([*errors, f"no answer within {DIAL_S_MAX:g} s"]))
        return None


SayHello = Callable[[Connection, Dialing], Awaitable[None]]
"""Begins a connection and stays on it; tells the dialing how it went."""


class Dials:
    """All dials of now, at most DIALS_MAX of them under way."""

    def __init__(
        self,
        start: Callable[..., None],
        say_hello: SayHello,
        on_failed: Callable[[bytes], None],
    ) -> None:
        """`start` begins a task of its own."""
        self._start = start
        self._say_hello = say_hello
        self._on_failed = on_failed
        self._dialings: dict[bytes, Dialing] = {}
        self._places = trio.CapacityLimiter(DIALS_MAX)

    async def met(self, endpoint: Endpoint, key: bytes, addresses: Sequence[str]) -> Peer:
        """Dial a peer, or join the dial that is under way; give the peer, or raise why not."""
        dialing = self._dialings.get(key)
        if dialing is None:
            dialing = self._dialings[key] = Dialing(key)
            self._start(self._dial, endpoint, dialing)
        dialing.add(addresses)
        return await dialing.result()

    def on_link(self, peer: Peer) -> None:
        """Take note that a peer was met, perhaps because it has dialled itself."""
        if peer.key in self._dialings:
            self._dialings[peer.key].succeed(peer)

    async def _dial(self, endpoint: Endpoint, dialing: Dialing) -> None:
        try:
            async with self._places:
                connection = await dialing.connect(endpoint)
                if connection is not None:
                    self._start(self._say_hello, connection, dialing)
                    await dialing.wait()
        except TransportError as error:
            self._on_failed(dialing.key)
            dialing.fail(error)
        finally:
            del self._dialings[dialing.key]
            dialing.fail(Lost("this node leaves the mesh"))
