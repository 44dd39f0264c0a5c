# SPDX-License-Identifier: MIT
"""A tap that understands hello and the view: a node that says other things than it means.

What leaves and what comes is cut into frames; a :class:`Tongue` may say another frame, none, or
several. The node has its own key, so whatever it says of itself is signed as it should be.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

from node.clock import Clock
from node.mesh.hello import HELLO
from node.mesh.viewing import PROTOCOL as VIEW
from node.world import World
from protocol.advert import Advert
from protocol.canon import Message, decode, encode
from protocol.errors import RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.frames import (
    HEADER_BYTES,
    DocumentFrame,
    Frame,
    StatementFrame,
    parse_frame_header,
)
from protocol.frames import decode as decode_frame
from protocol.frames import encode as encode_frame
from protocol.hello import Hello
from protocol.keys import SIGNATURE_BYTES
from protocol.query import Answer, Query
from protocol.sealed import seal
from simulations.attacks.attack import Attack
from simulations.attacks.tapped import Tap, Tapped, TappedTransport


class Cutter:
    """Cuts bytes into frames. What cannot be read is given as it came, from there on."""

    def __init__(self) -> None:
        """Begin at the beginning of a stream."""
        self._left = bytearray()
        self._is_broken = False

    def cut(self, data: bytes) -> list[Frame | bytes]:
        """Give the frames that are whole by now."""
        self._left += data
        found: list[Frame | bytes] = []
        while not self._is_broken and len(self._left) >= HEADER_BYTES:
            try:
                cls, length = parse_frame_header(self._left)
                end = HEADER_BYTES + length
                if len(self._left) < end:
                    break
                payload = bytes(self._left[HEADER_BYTES:end])
                found.append(decode_frame(cls, memoryview(payload)))
            except RemoteProtocolError:
                self._is_broken = True
            else:
                del self._left[:end]
        if self._is_broken and self._left:
            found.append(bytes(self._left))
            self._left.clear()
        return found


@dataclass
class Life:
    """What the tongues of one life of a node have in common."""

    attack: Attack
    clock: Clock
    dice: Random
    network: bytes = b""
    """Known as soon as the node has said hello to anybody, which comes before all else."""


class Tongue(Tap):
    """The tap of one stream of hello or of the view. This one says what the node means."""

    def __init__(self, tapped: Tapped, life: Life) -> None:
        """Talk with one peer."""
        self.me = tapped.keypair.public
        self.peer = tapped.peer
        self.life = life
        self._tapped = tapped
        self._out, self._in = Cutter(), Cutter()

    # --- what a liar says -----------------------------------------------------------------------

    def advert(self, own: Advert) -> Advert:
        """Give what the node says of itself."""
        return own

    def hello(self, hello: Hello) -> Hello:
        """Give the hello that it says; it is sealed anew."""
        return hello

    def message(self, message: Message) -> Iterable[Message]:
        """Give what it says instead of this: summaries, wishes, queries, answers."""
        return (message,)

    def sealed(self, wire: bytes) -> Iterable[bytes]:
        """Give the adverts that it sends instead of this one, which is not its own."""
        return (wire,)

    def heard(self, message: Message) -> Message | None:
        """Give what the node hears of a message, or None."""
        return message

    def heard_advert(self, wire: bytes) -> None:
        """Take notice of an advert that comes."""

    def say(self, *what: Message | bytes) -> None:
        """Say messages and sealed adverts besides, beyond what the node says."""
        for each in what:
            self._tapped.say(_bytes_of(_frame_of(each)))

    @property
    def is_of_view(self) -> bool:
        """Whether the view is spoken here."""
        return self._tapped.protocol == VIEW

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be said here."""
        return self._tapped.is_over()

    # --- what it is a tap for -------------------------------------------------------------------

    async def leaving(self, data: bytes) -> bytes:
        """Say other frames."""
        said = self._out.cut(data)
        if not self.life.attack.is_on:
            return data
        return b"".join(_bytes_of(other) for each in said for other in self._says(each))

    def coming(self, data: bytes) -> bytes:
        """Hear other frames."""
        heard = self._in.cut(data)
        return b"".join(_bytes_of(other) for each in heard for other in self._hears(each))

    def _says(self, frame: Frame | bytes) -> Iterable[Frame | bytes]:
        match frame:
            case StatementFrame(wire) if self._tapped.protocol == HELLO:
                yield StatementFrame(self._hello(wire))
            case StatementFrame(wire) if self._is_own(wire):
                yield StatementFrame(self._own(wire))
            case StatementFrame(wire):
                yield from map(StatementFrame, self.sealed(wire))
            case DocumentFrame(body):
                for each in self.message(decode(body, Query, Answer, Summary, Wanted)):
                    yield _frame_of(self._with_own(each))
            case _:
                yield frame

    def _hears(self, frame: Frame | bytes) -> Iterable[Frame | bytes]:
        try:
            match frame:
                case StatementFrame(wire) if self._tapped.protocol == HELLO:
                    hello = decode(wire[SIGNATURE_BYTES:], Hello)
                    if hello.advert:
                        self.heard_advert(hello.advert)
                case StatementFrame(wire):
                    self.heard_advert(wire)
                case DocumentFrame(body) if self.life.attack.is_on:
                    message = self.heard(decode(body, Query, Answer, Summary, Wanted))
                    return [] if message is None else [_frame_of(message)]
        except RemoteProtocolError:
            pass  # another attacker says it; the node may see what it does with that
        return [frame]

    def _hello(self, wire: bytes) -> bytes:
        hello = decode(wire[SIGNATURE_BYTES:], Hello)
        self.life.network = hello.network
        changed = self.hello(hello)
        if changed.advert and self._is_own(changed.advert):
            changed = replace(changed, advert=self._own(changed.advert))
        return wire if changed == hello else seal(self._tapped.keypair, hello.network, changed).wire

    def _with_own(self, message: Message) -> Message:
        """Say the own advert in an answer as everywhere else."""
        if not isinstance(message, Answer):
            return message
        adverts = tuple(self._own(each) if self._is_own(each) else each for each in message.adverts)
        return replace(message, adverts=adverts)

    def _is_own(self, wire: bytes) -> bool:
        return advert_in(wire).node == self.me

    def _own(self, wire: bytes) -> bytes:
        own = advert_in(wire)
        changed = self.advert(own)
        return (
            wire if changed == own else seal(self._tapped.keypair, self.life.network, changed).wire
        )


def tongues(world: World, life: Life, make: Callable[[Tapped, Life], Tongue]) -> World:
    """Put a tongue on each stream of hello and of the view."""

    def make_tap(tapped: Tapped) -> Tap:
        return make(tapped, life) if tapped.protocol in (HELLO, VIEW) else Tap()

    return replace(world, transport=TappedTransport(world.transport, make_tap))


def advert_in(wire: bytes) -> Advert:
    """Read a sealed advert, whoever has signed it."""
    return decode(wire[SIGNATURE_BYTES:], Advert)


def _frame_of(what: Message | bytes) -> Frame:
    return StatementFrame(what) if isinstance(what, bytes) else DocumentFrame(encode(what))


def _bytes_of(frame: Frame | bytes) -> bytes:
    if isinstance(frame, bytes):
        return frame
    return b"".join(bytes(each) for each in encode_frame(frame))
