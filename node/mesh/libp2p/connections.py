# SPDX-License-Identifier: MIT
"""A connection of the seam: streams are opened on it, and the peer's are served."""

from collections.abc import Mapping

import trio

from node.log import Log
from node.mesh.libp2p.choosing import answer, propose
from node.mesh.libp2p.holding import Holding
from node.mesh.libp2p.limits import LINGER_S, STREAMS_MAX
from node.mesh.libp2p.noise import Records
from node.mesh.libp2p.session import Session
from node.mesh.libp2p.streams import MuxedStream, Negotiated
from node.mesh.transport import OPEN_S_MAX, Gate, Handler, Lost, NotSpoken, TransportError

log = Log()


class MuxedConnection:
    """The seam's Connection: a proven key, and a session of streams."""

    def __init__(
        self,
        records: Records,
        peer: bytes,
        remote: str,
        *,
        inbound: bool,
        handlers: Mapping[str, Handler],
        gate: Gate,
        nursery: trio.Nursery,
        holding: Holding | None = None,
    ) -> None:
        """Begin when :meth:`run` does; the peer's streams are served in this nursery."""
        self._peer = peer
        self._remote = remote
        self._inbound = inbound
        self._handlers = handlers
        self._gate = gate
        self._nursery = nursery
        self._serving = 0
        self._session = Session(records, self, dialled=not inbound, holding=holding)

    @property
    def peer(self) -> bytes:
        """The peer's public key, as Noise has proven it."""
        return self._peer

    @property
    def inbound(self) -> bool:
        """Whether the peer has dialled."""
        return self._inbound

    @property
    def remote(self) -> str:
        """The peer's address as seen from here."""
        return self._remote

    @property
    def streams(self) -> int:
        """How many streams are kept, whoever opened them."""
        return self._session.streams

    async def open(self, protocol: str) -> MuxedStream:
        """Open a stream on this very connection; whoever is cancelled meanwhile leaves none."""
        await trio.lowlevel.checkpoint()
        stream = self._session.start()
        try:
            with trio.fail_after(OPEN_S_MAX):
                source = Negotiated(stream)
                spoken = await propose(source, protocol)
        except trio.TooSlowError:
            stream.abandon("it was not answered")
            raise Lost(f"the peer did not answer for {OPEN_S_MAX:.0f} s") from None
        except BaseException:
            stream.abandon("its opening failed")
            raise
        if not spoken:
            stream.abandon("the peer does not speak its protocol")
            raise NotSpoken(f"the peer does not speak {protocol}")
        stream.protocol = protocol
        stream.unread(source.rest())
        return stream

    async def close(self) -> None:
        """Say goodbye, and end it within half a second in any case."""
        await self._session.close()

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await self._session.over.wait()

    async def run(self) -> None:
        """Keep the connection until either side ends it."""
        await self._session.run(self._arrived)

    # --- the peer's streams -------------------------------------------------------------------

    def _arrived(self, stream: MuxedStream) -> bool:
        if self._serving >= STREAMS_MAX or not self._gate.may_stream(self, self._serving):
            return False
        self._serving += 1
        self._nursery.start_soon(self._serve, stream)
        return True

    async def _serve(self, stream: MuxedStream) -> None:
        """Fact 3: what a handler raises would end the library's whole host. Here, its stream."""
        try:
            await self._negotiate_and_handle(stream)
        except* TransportError as lost:
            log.debug("stream_lost", protocol=stream.protocol, reason=str(lost.exceptions[0]))
        except* Exception:  # also beside a cancellation, which goes on
            log.exception("handler_failed", protocol=stream.protocol)
        finally:
            if not stream.over:
                stream.abandon("its handler did not finish")
            self._serving -= 1

    async def _negotiate_and_handle(self, stream: MuxedStream) -> None:
        source = Negotiated(stream)
        with trio.move_on_after(OPEN_S_MAX):
            stream.protocol = await answer(source, self._handlers) or ""
        if not stream.protocol:
            return
        stream.unread(source.rest())
        await self._handlers[stream.protocol](stream)
        await stream.finish()
        # A peer that still talks is heard out for a while: a reset now could overtake our last
        # words (fact 8 the other way round: a handler that only returns leaves the peer waiting).
        with trio.move_on_after(LINGER_S):
            while await stream.receive():
                pass
