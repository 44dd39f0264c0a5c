# SPDX-License-Identifier: MIT
"""Hypothesis strategies that more than one test needs: what honest nodes could say."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from math import prod
from typing import Any, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st

import protocol
from protocol.advert import Advert
from protocol.canon import KINDS, Message
from protocol.cheque import Cheque, Refund
from protocol.codecs import BytesCodec, Codec, ListCodec, TextCodec, UintCodec
from protocol.exchange import Summary
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
from protocol.hello import Hello, network_id
from protocol.invite import Invite
from protocol.keys import Keypair
from protocol.limits import (
    DIMENSION_MAX,
    PINGS_UNANSWERED_MAX,
    PORTS_MAX,
    TTL_S_MAX,
    WINDOW_BYTES_MAX,
)
from protocol.model import Manifest
from protocol.reasons import CODE_PATTERN, Reason
from protocol.sealed import Statement
from protocol.shapes import Shape, Shapes, ShapeTable, shapes_of
from protocol.statements import Evidence, Result
from protocol.tensors import ElementType, Tensor
from tests.protocol.little_decoder import LORA

# --- tensors, tables of shapes, frames -----------------------------------------------------------

#: Every element type whose elements all have the same size.
FIXED_TYPES = tuple(element for element in ElementType if element.bits)


@st.composite
def tensors(draw: st.DrawFn, elements: st.SearchStrategy[ElementType] | None = None) -> Tensor:
    """Small tensors of every type and rank, with arbitrary but canonical data."""
    element = draw(elements if elements is not None else st.sampled_from(ElementType))
    dims = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = prod(dims)
    if element is ElementType.STRING:
        texts = draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
        data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    elif element is ElementType.BOOL:
        data = bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    else:
        number = draw(st.integers(0, (1 << count * element.bits) - 1))
        data = number.to_bytes((count * element.bits + 7) // 8, "little")
    return Tensor(element, dims, data)


def shapes() -> st.SearchStrategy[Shape]:
    """Shapes of items: dimensions for each of a few inputs."""
    dims = st.lists(st.integers(0, DIMENSION_MAX), max_size=3).map(tuple)
    return st.lists(dims, max_size=3).map(tuple)


def shape_tables() -> st.SearchStrategy[ShapeTable]:
    """Tables of a batch, with runs of equal items and rows that come again."""
    kinds = st.lists(st.tuples(st.integers(1, 1000), shapes()), min_size=1, max_size=4)
    items = kinds.flatmap(lambda some: st.lists(st.sampled_from(some), min_size=1, max_size=12))
    return items.map(lambda some: ShapeTable(shapes_of(some)))


def reason_codes() -> st.SearchStrategy[str]:
    """Codes of reasons, known ones and such as a newer node could send."""
    coined = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=39)
    return st.sampled_from([*map(str, Reason)]) | coined.map("x".__add__)


def frames() -> st.SearchStrategy[Frame]:
    """Single frames of every kind, each valid by itself."""
    digests = st.binary(min_size=32, max_size=32)
    data = st.binary(min_size=1, max_size=64)
    u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
    headers = tensors().map(lambda tensor: tensor.header)
    return st.one_of(
        st.builds(StatementFrame, st.binary(min_size=65, max_size=200)),
        st.builds(DocumentFrame, data),
        st.builds(TensorStart, u32, st.integers(0, PORTS_MAX - 1), headers),
        st.builds(TensorData, data),
        st.builds(BlobPiece, digests, u64, data),
        st.builds(BlobWant, digests, u64, st.integers(1, 2**32 - 1)),
        st.builds(Window, st.integers(1, WINDOW_BYTES_MAX)),
        st.builds(Ping, u64),
        st.builds(Pong, u64),
        st.builds(CancelFrame, reason_codes()),
        st.builds(Paused, st.integers(0, TTL_S_MAX), reason_codes()),
        st.just(Resumed()),
        st.just(End()),
    )


@st.composite
def conversations(draw: st.DrawFn) -> list[Frame]:
    """What one side may say to a silent other side, from its first word to `End`."""
    said: list[Frame] = []
    small = st.sampled_from(
        [
            StatementFrame(bytes(65)),
            DocumentFrame(b"x"),
            BlobPiece(bytes(32), 0, b"piece"),
            BlobWant(bytes(32), 0, 1),
            Window(1),
            Paused(1, "paused"),
        ]
    )
    for item in range(draw(st.integers(0, 3))):
        for port in range(draw(st.integers(0, 2))):
            tensor = draw(tensors())
            said.append(TensorStart(item, port, tensor.header))
            left = bytes(tensor.data)
            while left:
                size = draw(st.integers(1, len(left)))
                said.append(TensorData(left[:size]))
                left = left[size:]
                said += draw(st.lists(small, max_size=1))
        said += draw(st.lists(small, max_size=2))
    said += [Ping(token) for token in range(draw(st.integers(0, PINGS_UNANSWERED_MAX)))]
    return [*said, End()]


# --- messages of every kind ----------------------------------------------------------------------

MessageT = TypeVar("MessageT", bound=Message)
StatementT = TypeVar("StatementT", bound=Statement)

# What hides or turns text is refused in it, and half of a surrogate pair cannot be written.
TEXTS = st.characters(
    exclude_categories=["Cc", "Cs"],
    exclude_characters="\u061c\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u2065\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
)


def kinds() -> list[type[Message]]:
    """Every class of messages that exists, in the order of their kinds."""
    for module in pkgutil.iter_modules(protocol.__path__, "protocol."):
        importlib.import_module(module.name)
    return [cls for _, cls in sorted(KINDS.items())]


def statement_kinds() -> list[type[Statement]]:
    """Those of them that are signed."""
    return [cls for cls in kinds() if issubclass(cls, Statement)]


def cells(codec: Codec) -> st.SearchStrategy[Any]:
    """Values of one field: short ones mostly, and numbers from end to end of their range."""
    match codec:
        case UintCodec(least, most):
            return st.sampled_from([least, most]) | st.integers(least, most)
        case BytesCodec(least, most, or_empty):
            some = st.binary(min_size=least, max_size=min(most, least + 40))
            return some | st.just(b"") if or_empty else some
        case TextCodec(pattern=pattern) if pattern is CODE_PATTERN:
            return reason_codes()
        case TextCodec(most, least, None):
            texts = st.text(TEXTS, min_size=least, max_size=min(most, 30))
            return texts.filter(lambda text: len(text.encode()) <= most)
        case ListCodec():
            return rows(codec)
        case _:
            raise NotImplementedError(f"no values for {codec}")


def rows(codec: ListCodec) -> st.SearchStrategy[tuple[Any, ...]]:
    """Lists of a few rows; in their order where they have one."""
    one = st.tuples(*map(cells, codec.columns))
    most = min(codec.most, codec.least + 3)
    many = st.lists(one, min_size=codec.least, max_size=most, unique=codec.ascending)
    if codec.ascending:
        many = many.map(sorted)
    return many.map(lambda every: tuple(codec.make(*row) for row in every))


def _shapes() -> st.SearchStrategy[Shapes]:
    items = st.lists(st.tuples(st.integers(1, 1000), shapes()), min_size=1, max_size=6)
    return items.map(shapes_of)


def _mended(value: Any) -> Any:
    """Make a value whose fields are valid keep the rules between its fields too."""
    match value:
        case Result():
            first, last = sorted((value.first, value.through))
            return replace(value, first=first, through=last)
        case Cheque():
            return replace(value, total=max(value.total, sum(x.amount for x in value.payments)))
        case Refund():
            return replace(value, total=max(value.total, sum(x.amount for x in value.refunds)))
        case Evidence():
            paths = value.input_path, value.output_path
            whole = [path[: len(path) // 32 * 32] for path in paths]
            return replace(value, input_path=whole[0], output_path=whole[1])
        case Hello():
            low, high = sorted((value.speaks_low, value.speaks_high))
            cheap, dear = sorted((value.price_low, value.price_high))
            ranges: dict[str, Any] = {"speaks_low": low, "speaks_high": high, "price_low": cheap}
            proof = value.proof if value.answers else b""
            return replace(value, **ranges, price_high=dear, proof=proof)
        case Invite():
            version = value.secret_version if value.secret else 0
            network = network_id(value.name, value.salt)
            return replace(value, network=network, secret_version=version)
        case Advert():
            once = {entry.model: entry for entry in value.models}
            return replace(value, models=tuple(once.values()))
        case Summary():
            return replace(value, held=tuple({one.node: one for one in value.held}.values()))
        case _:
            return value


def messages(cls: type[MessageT]) -> st.SearchStrategy[MessageT]:
    """Valid messages of one class, made from its schema."""
    made: Any
    if cls is Manifest:  # its rules are many: one real model under many names
        licence = cls.CODECS[[field.name for field in fields(LORA)].index("licence")]
        made = cells(licence).map(lambda text: replace(LORA, licence=text))
    elif cls is Shapes:
        made = _shapes()
    else:
        made = st.tuples(*map(cells, cls.CODECS)).map(lambda every: _mended(cls(*every)))
    valid: st.SearchStrategy[MessageT] = made.filter(lambda value: not value.broken_rule())
    return valid


def keypairs() -> st.SearchStrategy[Keypair]:
    """Keys from any seed."""
    return st.binary(min_size=32, max_size=32).map(Keypair)


def statements(cls: type[StatementT], keypair: Keypair) -> st.SearchStrategy[StatementT]:
    """Valid statements of one class whose signer is `keypair`."""

    def ours(value: StatementT) -> StatementT:
        return cast("Callable[..., StatementT]", cls)(keypair.public, *cls.CELLS(value)[1:])

    return messages(cls).map(ours).filter(lambda value: not value.broken_rule())


def part_of_examples(divisor: int) -> settings:
    """A part of the examples of the profile, for tests that run for every kind."""
    profile = settings.default
    assert profile is not None
    return settings(max_examples=max(1, profile.max_examples // divisor))
