# SPDX-License-Identifier: MIT
"""Connections of a made network: one end of each. Who may have one is in `transport.py`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from node.log import Log
from node.mesh.transport import OPEN_S_MAX, Lost, Service
from simulations.network import WORD_BYTES, Way
from simulations.stream import SimulatedStream, Word
from simulations.traffic import Traffic

Given = TypeVar("Given")

log = Log()


class SimulatedConnection:
    """One end. Both ends number streams: the dialler's have odd numbers."""

    far: "SimulatedConnection"

    def __init__(
        self,
        way: Way,
        peer: bytes,
        remote: str,
        service: Service,
        tasks: trio.Nursery,
        on_gone: Callable[["SimulatedConnection"], None],
        traffic: Traffic,
        *,
        inbound: bool,
    ) -> None:
        """What is said leaves by `way`; what answers the peer runs among `tasks`.

        `traffic` is that of its host.
        """
        self.peer = peer
        self.remote = remote
        self.inbound = inbound
        self.streams: dict[int, SimulatedStream] = {}
        self._way = way
        self._service = service
        self._tasks = tasks
        self._on_gone = on_gone
        self._traffic = traffic
        self._next_number = 2 if inbound else 1
        self._serving = 0  # handlers that run, whether or not their streams are lost
        self._gone = trio.Event()
        self._has_vanished = False  # and the peer was never told

    @property
    def is_gone(self) -> bool:
        """It has ended, here at least."""
        return self._gone.is_set()

    async def open(self, protocol: str) -> SimulatedStream:
        """Ask the peer to take a stream."""
        if self.is_gone:
            raise Lost("the connection has ended")
        number = self._next_number
        self._next_number += 2
        stream = self._stream(number, protocol)
        name = protocol.encode()
        take = partial(self.far.take, number, protocol)
        self._way.post(WORD_BYTES + len(name), take, "open", protocol, number, name)
        try:
            with trio.move_on_after(OPEN_S_MAX):
                await stream.wait_taken()
                return stream
        except BaseException:
            stream.end("it was given up while it was opened")
            raise
        stream.end("it was not taken in time")
        raise Lost(f"the peer did not take the stream within {OPEN_S_MAX:g} s")

    async def close(self) -> None:
        """End the connection with all its streams."""
        self.end("the connection was closed here")
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await self._gone.wait()

    def start(self) -> None:
        """Show it to its node."""
        self._tasks.start_soon(self._meet)

    def end(self, why: str) -> None:
        """End it, and tell the peer."""
        if not self.is_gone:
            self._go()
            self._way.post(WORD_BYTES, self.far.be_left, "end")
            for stream in list(self.streams.values()):
                stream.lose(why)

    def vanish(self, why: str) -> None:
        """End it without a word, as when the power fails."""
        if not self.is_gone:
            self._has_vanished = True
            self._go()
            for stream in list(self.streams.values()):
                stream.lose(why)

    # --- what the other end says --------------------------------------------------------------

    def be_left(self) -> None:
        """End it: the peer is gone."""
        if not self.is_gone:
            self._go()
            for stream in list(self.streams.values()):
                stream.be_left()

    def take(self, number: int, protocol: str) -> None:
        """Open a stream."""
        if self.is_gone:
            return self._answer_from_the_grave()
        handler = self._service.handlers.get(protocol)
        is_taken = bool(handler) and self._service.gate.may_stream(self, self._serving)
        if is_taken:
            self._serving += 1
            self._tasks.start_soon(self._serve, handler, self._stream(number, protocol))
        answer = partial(SimulatedStream.answer, is_taken=is_taken)
        return self._tell(number, protocol, "taken" if is_taken else "refused", answer)

    def _hear(self, number: int, word: Word) -> None:
        stream = self.streams.get(number)
        if self._gone.is_set():
            self._answer_from_the_grave()
        elif stream:  # else it has ended here, and they will hear of that
            word(stream)

    def _answer_from_the_grave(self) -> None:
        """Say, as the system of a machine that was switched on again, that nobody has this."""
        if self._has_vanished:
            self._has_vanished = False
            self._way.post(WORD_BYTES, self.far.be_left, "end")

    # --- what this end does -------------------------------------------------------------------

    def _go(self) -> None:
        self._gone.set()
        self._on_gone(self)

    def _stream(self, number: int, protocol: str) -> SimulatedStream:
        stream = SimulatedStream(
            self,
            protocol,
            partial(self._tell, number, protocol),
            partial(self._forget, number),
            self._traffic.of(protocol),
        )
        self.streams[number] = stream
        return stream

    def _forget(self, number: int) -> None:
        self.streams.pop(number, None)

    def _tell(
        self, number: int, protocol: str, kind: str, word: Word, content: bytes = b""
    ) -> None:
        if not self._gone.is_set():
            hear = partial(self.far._hear, number, word)  # noqa: SLF001 - the other end is one of us
            self._way.post(WORD_BYTES + len(content), hear, kind, protocol, number, content)

    async def _serve(
        self, handler: Callable[[SimulatedStream], Awaitable[None]], stream: SimulatedStream
    ) -> None:
        if await contained(handler, stream, stream.protocol):
            stream.let_go()
        else:
            stream.end("its handler has failed")
        self._serving -= 1

    async def _meet(self) -> None:
        await contained(self._service.meet, self, "meet")


async def contained(work: Callable[[Given], Awaitable[None]], given: Given, what: str) -> bool:
    """Tell whether it ended well. What it raises is logged, but for what ends this node."""
    try:
        await work(given)
    except Exception as error:  # noqa: BLE001 - the seam promises that nothing ends the endpoint
        log.warning("handler_failed", what=what, error=repr(error))
        return False
    except BaseExceptionGroup as group:
        failed, ends_us = group.split(Exception)
        if failed:
            log.warning("handler_failed", what=what, error=repr(failed))
        if ends_us:
            raise ends_us from None
        return False
    return True
