# SPDX-License-Identifier: MIT
"""Mutated bytes for the decoder and the channel: nothing but RemoteProtocolError, in little memory.

The corpus is made from the schemas themselves, so a new kind of message is fuzzed as soon as
it is declared. The dice are seeded: a failure names the seed of its input.
"""

import importlib
import pkgutil
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest

import protocol
from protocol.advert import Advert
from protocol.canon import KINDS, VERSION, Message, decode, encode
from protocol.channel import Channel, NoFrame
from protocol.codecs import BytesCodec, Codec, ListCodec, TextCodec, UintCodec, pack_cells
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    BlobPiece,
    BlobWant,
    CancelFrame,
    DocumentFrame,
    End,
    Frame,
    Paused,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.frames import encode as encode_frame
from protocol.hello import network_id
from protocol.invite import Invite
from protocol.keys import Keypair
from protocol.limits import FRAME_BYTES_MAX, MANIFEST_BYTES_MAX
from protocol.reasons import Reason
from protocol.sealed import Statement, seal, unseal
from protocol.shapes import ShapeCodec, shapes_of
from protocol.tensors import ElementType, TensorHeader
from tests.protocol.little_decoder import LORA

INPUTS = 4_000
INPUTS_SOAK = 1_000_000
SLICE, SAMPLE = 50_000, 5_000
NETWORK = bytes(16)

for module in pkgutil.iter_modules(protocol.__path__, "protocol."):
    importlib.import_module(module.name)


# --- the corpus -----------------------------------------------------------------------------------


def raw_of(codec: Codec, dice: Random) -> int | bytes:
    """The raw form of some value of a field, valid where the codec is one of the known ones."""
    match codec:
        case UintCodec(least, most):
            return dice.choice([least, most, dice.randint(least, most)])
        case BytesCodec(least, most, or_empty):
            size = least + 32 * dice.randint(0, min(2, (most - least) // 32))
            return b"" if or_empty and dice.random() < 0.5 else dice.randbytes(size)
        case TextCodec(most, least):
            return b"x" * dice.randint(max(least, 2), min(most, 30))
        case ListCodec(columns, least, most):
            rows = dice.randint(least, min(most, least + 3))
            return pack_cells([raw_of(each, dice) for _ in range(rows) for each in columns])
        case ShapeCodec():
            return codec.pack(((dice.randint(0, 9), 384), ()))
        case _:
            return dice.randbytes(4)


def body_of(cls: type[Message], dice: Random) -> bytes:
    """A body of one kind: a valid one if a few throws give it, else one whose fields are."""
    body = b""
    for _ in range(20):
        cells = [raw_of(codec, dice) for codec in cls.CODECS]
        body = pack_cells([cls.KIND, VERSION, *cells])
        try:
            return encode(decode(body, cls))
        except RemoteProtocolError:
            continue
    return body


def crafted() -> dict[str, bytes]:
    """Kinds with rules between their fields that dice do not meet."""
    shape = ((2, 3), ())
    salt = bytes(range(16))
    network = network_id("ours", salt)
    return {
        "manifest": encode(LORA),
        "shapes": encode(shapes_of([(7, shape), (7, shape), (9, ())])),
        "invite": encode(Invite(network, "ours", salt, 1, bytes(32), 0, ("/ip4/1.2.3.4/tcp/1",))),
    }


def bodies(dice: Random) -> dict[str, bytes]:
    return {kind: body_of(cls, dice) for kind, cls in sorted(KINDS.items())} | crafted()


def frames_of_every_kind(statement: bytes) -> list[Frame]:
    """A conversation that says each kind of frame at least once."""
    header = TensorHeader(ElementType.FLOAT, (2, 3), 24)
    strings = TensorHeader(ElementType.STRING, (1,), 7)
    return [
        StatementFrame(statement),
        DocumentFrame(crafted()["shapes"]),
        TensorStart(0, 0, header),
        TensorData(bytes(20)),
        Window(1000),
        TensorData(bytes(4)),
        TensorStart(0, 1, strings),
        TensorData(b"\3\0\0\0abc"),
        BlobWant(bytes(32), 1 << 20, 65536),
        BlobPiece(bytes(32), 1 << 20, b"piece of a blob"),
        Ping(1),
        Pong(9),
        Paused(60, "paused"),
        Resumed(),
        CancelFrame("requester_cancelled"),
        End(),
    ]


def mutated(wire: bytes, dice: Random) -> bytes:
    """The same bytes with one to three things gone wrong."""
    data = bytearray(wire)
    for _ in range(dice.randint(1, 3)):
        at, to = sorted(dice.randint(0, len(data)) for _ in range(2))
        match dice.randint(0, 5):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randint(0, 7)
            case 1 if at < len(data):
                data[at] = dice.choice([0x00, 0x7F, 0x80, 0x90, 0xC0, 0xC4, 0xCF, 0xD9, 0xDD, 0xFF])
            case 2:
                data[at:to] = b""
            case 3:
                data[at:at] = data[at : min(to, at + 64)]
            case 4:
                data[at:at] = dice.randbytes(dice.randint(1, 9))
            case _:
                del data[at:]
    return bytes(data)


# --- what is done with it -------------------------------------------------------------------------


def decode_any(body: bytes) -> Message | None:
    try:
        value: Message = decode(body, *KINDS.values())
    except RemoteProtocolError:
        return None
    return value


def listen(wire: bytes, dice: Random) -> None:
    """Feed a channel that answers as a node does: pongs, windows, and views that are dropped."""
    channel = Channel()
    channel.send(Ping(9))
    at = 0
    try:
        while at < len(wire):
            size = dice.choice([1, 3, 50, len(wire)])
            channel.receive_data(wire[at : at + size])
            at += size
            while not isinstance(event := channel.next_event(), NoFrame):
                if isinstance(event, Ping):
                    channel.send(Pong(event.token))
                elif isinstance(event, TensorData | BlobPiece):
                    channel.consumed(len(event.data))
        channel.receive_eof()
        while not isinstance(channel.next_event(), NoFrame):
            pass
    except RemoteProtocolError:
        with pytest.raises(LocalProtocolError, match="dead"):
            channel.next_event()


def inputs(first: int, count: int) -> Iterator[tuple[int, Random]]:
    for number in range(first, first + count):
        yield number, Random(number)


def fuzz(first: int, count: int) -> None:
    """Half of the inputs for the decoder, half for the channel."""
    dice = Random(first)
    corpus = sorted(bodies(dice).values())
    frames = frames_of_every_kind(dice.randbytes(300))
    stream = b"".join(b"".join(encode_frame(each)) for each in frames)
    for number, each in inputs(first, count):
        try:
            if number % 2:
                body = mutated(each.choice(corpus), each)
                value = decode_any(body)
                assert value is None or encode(value) == body
            else:
                listen(mutated(stream, each), each)
        except Exception as error:
            error.add_note(f"the input was made from seed {number}")
            raise


# --- the promises ---------------------------------------------------------------------------------


def test_the_corpus_has_a_valid_encoding_of_every_kind() -> None:
    """A kind that is listed here has rules between its fields: it needs an example in `crafted`."""
    corpus = bodies(Random(1))
    assert [kind for kind in KINDS if decode_any(corpus[kind]) is None] == []


def test_the_conversation_says_every_kind_of_frame_and_is_valid() -> None:
    said = frames_of_every_kind(bytes(65))
    assert len({type(each) for each in said}) == 13
    channel = Channel()
    channel.send(Ping(9))
    channel.receive_data(b"".join(b"".join(encode_frame(each)) for each in said))
    for each in said:
        assert channel.next_event() == each


def test_mutated_bytes_raise_nothing_but_remote_protocol_errors() -> None:
    fuzz(0, INPUTS)


def test_mutated_statements_do_not_pass_as_signed() -> None:
    keypair = Keypair(bytes(32))
    dice = Random(7)
    classes = [cls for _, cls in sorted(KINDS.items()) if issubclass(cls, Statement)]
    advert = body_of(Advert, dice)
    value = decode(advert, Advert)
    ours = Advert(keypair.public, *type(value).CELLS(value)[1:])
    wire = seal(keypair, NETWORK, ours).wire
    for _, each in inputs(0, 300):
        broken = mutated(wire, each)
        if broken != wire:
            with pytest.raises(RemoteProtocolError):
                unseal(broken, NETWORK, *classes)


def test_a_message_that_claims_to_be_huge_takes_no_memory() -> None:
    claims = [
        b"\xdd\xff\xff\xff\xff",  # an array of four billion cells
        b"\xdf\xff\xff\xff\xff",  # a map of as many
        b"\xc6\xff\xff\xff\xff",  # four gigabytes of bytes
        b"\xdb\xff\xff\xff\xff",  # of text
        b"\xc9\xff\xff\xff\xff\x01",  # of an extension
        b"\x91" * 3000,  # arrays in arrays
    ]
    tracemalloc.start()
    try:
        for claim in claims:
            assert decode_any(claim) is None
            assert decode_any(b"\x93\xa5order\x01" + claim) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000


def test_mutated_bytes_take_no_more_memory_than_they_may() -> None:
    fuzz(0, 200)  # what is made once and kept is made now
    tracemalloc.start()
    try:
        fuzz(0, 400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * FRAME_BYTES_MAX


@pytest.mark.soak
@pytest.mark.parametrize("first", range(INPUTS, INPUTS + INPUTS_SOAK, SLICE))
def test_a_million_mutated_inputs_raise_nothing_but_remote_protocol_errors(first: int) -> None:
    fuzz(first, SLICE - SAMPLE)
    tracemalloc.start()  # on a sample: tracing makes everything slower
    try:
        fuzz(first + SLICE - SAMPLE, SAMPLE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MANIFEST_BYTES_MAX


def test_reasons_of_refusals_say_what_was_wrong() -> None:
    seen = set()
    corpus = sorted(bodies(Random(3)).values())
    for _, dice in inputs(0, 2_000):
        try:
            decode(mutated(dice.choice(corpus), dice), *KINDS.values())
        except RemoteProtocolError as error:
            seen.add((error.reason, bool(error.detail)))
    reasons = {reason for reason, _ in seen}
    assert {Reason.MALFORMED, Reason.UNKNOWN_KIND, Reason.UNKNOWN_VERSION} <= reasons
    assert all(explained for _, explained in seen)
