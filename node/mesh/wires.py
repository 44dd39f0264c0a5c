# SPDX-License-Identifier: MIT
"""Warm streams: a few per peer and protocol, kept between uses. Who the peers are is in `mesh`.

To open a stream costs as much as four calls on one that is open. So whoever is done with one
gives it back, and the next one takes it; after `WARM_S` without use it is ended. A stream whose
user failed, or on which something is left that nobody took, is never given to another.

A warm stream may have died unnoticed: then its next user meets Lost before anything was received.
Whether it is safe to say it all again on a new stream, only that user knows.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from node.log import Log
from node.mesh.framed import Framed
from node.mesh.peer import Link, Peer
from node.mesh.transport import Stream, TransportError
from protocol.errors import ProtocolError
from protocol.keys import peer_id

#: Warm streams per peer and protocol: as many orders as a known peer has in flight.
WARM_MAX = 4

#: A stream that nobody used for so long is ended; the peer's memory is not ours to keep.
WARM_S = 60.0

#: How often it is looked whether one has become cold.
SWEEP_S = 10.0

#: The peer's side has so long to end, too, when a stream is ended here.
END_S = 5.0

log = Log()


@dataclass(eq=False, slots=True)
class _Wire:
    """One stream of ours, used or warm."""

    framed: Framed
    link: Link
    protocol: str
    used_s: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event = field(default_factory=trio.Event)


class Wires:
    """Opens streams and keeps them warm. Works while the nursery does."""

    def __init__(self, tasks: trio.Nursery, frame: Callable[[Stream, Link], Framed]) -> None:
        """Streams run among `tasks`; `frame` puts frames on a stream of a link."""
        self._tasks = tasks
        self._frame = frame
        self._warm: dict[tuple[bytes, str], list[_Wire]] = {}

    def warm(self, key: bytes, protocol: str) -> int:
        """Tell how many streams to this peer are warm now."""
        return len(self._warm.get((key, protocol), ()))

    @asynccontextmanager
    async def lend(self, peer: Peer, protocol: str) -> AsyncIterator[Framed]:
        """Lend a stream to this peer: NotSpoken or Lost when there is none to be had."""
        wire = self._taken(peer, protocol) or await self._opened(peer, protocol)
        try:
            with peer.hold():
                yield wire.framed
        except BaseException:
            await self._reset(wire)
            raise
        await self._give_back(peer, wire)

    async def keep(self) -> None:
        """End cold streams, for ever."""
        while True:
            await trio.sleep(SWEEP_S)
            before_s = trio.current_time() - WARM_S
            for wires in list(self._warm.values()):
                for wire in [each for each in wires if each.used_s <= before_s]:
                    self._forget(wire)
                    self._tasks.start_soon(self._end, wire)

    def _taken(self, peer: Peer, protocol: str) -> _Wire | None:
        """Take the warm one that was used last; those on a link that leaves are ended."""
        wires = self._warm.get((peer.key, protocol), [])
        while wires:
            wire = wires[-1]
            self._forget(wire)
            if wire.framed.is_idle and not wire.link.is_leaving and wire.link in peer.links:
                return wire
            self._tasks.start_soon(self._end, wire)
        return None

    async def _opened(self, peer: Peer, protocol: str) -> _Wire:
        link, stream = await peer.open(protocol)
        wire = _Wire(self._frame(stream, link), link, protocol, trio.current_time())
        self._tasks.start_soon(self._run, wire)
        return wire

    async def _run(self, wire: _Wire) -> None:
        try:
            with wire.scope:
                await wire.framed.run()
        except* Exception:  # a bug that a peer's bytes have found ends its stream, not the mesh
            log.exception("stream_failed", peer=peer_id(wire.link.peer.key), protocol=wire.protocol)
            await wire.framed.stream.reset()
        finally:
            wire.over.set()
            self._forget(wire)

    async def _give_back(self, peer: Peer, wire: _Wire) -> None:
        wires = self._warm.setdefault((peer.key, wire.protocol), [])
        if not wire.framed.is_idle:
            self._forget(wire)
            await self._reset(wire)
        elif len(wires) >= WARM_MAX or wire.link.is_leaving or wire.over.is_set():
            self._forget(wire)
            self._tasks.start_soon(self._end, wire)
        else:
            wire.used_s = trio.current_time()
            wires.append(wire)

    async def _end(self, wire: _Wire) -> None:
        """Say the end, and wait a little for the peer's."""
        with trio.move_on_after(END_S):
            try:
                await wire.framed.end()
                await wire.over.wait()
            except (TransportError, ProtocolError):
                pass
        await self._reset(wire)

    async def _reset(self, wire: _Wire) -> None:
        await wire.framed.stream.reset()
        wire.scope.cancel()

    def _forget(self, wire: _Wire) -> None:
        key = (wire.link.peer.key, wire.protocol)
        wires = self._warm.get(key, [])
        if wire in wires:
            wires.remove(wire)
        if not wires:
            self._warm.pop(key, None)
