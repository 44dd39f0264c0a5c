# SPDX-License-Identifier: MIT
"""Hypothesis strategies that more than one test needs: what honest nodes could say."""

from math import prod

from hypothesis import strategies as st

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
from protocol.limits import (
    DIMENSION_MAX,
    PINGS_UNANSWERED_MAX,
    PORTS_MAX,
    TTL_S_MAX,
    WINDOW_BYTES_MAX,
)
from protocol.reasons import Reason
from protocol.shapes import Shape, ShapeTable, shapes_of
from protocol.tensors import ElementType, Tensor

# --- tensors, tables of shapes, frames -----------------------------------------------------------

#: Every element type whose elements all have the same size.
FIXED_TYPES = tuple(element for element in ElementType if element.bits)


@st.composite
def tensors(draw: st.DrawFn, elements: st.SearchStrategy[ElementType] | None = None) -> Tensor:
    """Small tensors of every type and rank, with arbitrary but canonical data."""
    element = draw(elements or st.sampled_from(ElementType))
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
