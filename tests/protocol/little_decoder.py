# SPDX-License-Identifier: MIT
"""A small decoder, cut in two, and an adapter for it: what tests of manifests are about."""

from dataclasses import replace
from hashlib import sha256

from protocol.compare import F32
from protocol.model import (
    ADAPTER,
    CUT,
    FILE_LICENCE,
    FILE_TOKENIZER,
    FileBlob,
    Manifest,
    StageBlob,
    StageTensor,
    TensorBlob,
)
from protocol.ports import Derived, Dimension, Port, StatePair
from protocol.price import PRICE_VERSION, constant, facts_of, rows_of_facts, symbol
from protocol.tensors import ElementType

FLOAT, INT64, STRING = ElementType.FLOAT, ElementType.INT64, ElementType.STRING
VOCABULARY, WIDTH, HEADS, HEAD = 100, 64, 4, 16

# Free symbols of the little decoder below, then the derived one.
BATCH, LENGTH, PAST, RANK, TOTAL = range(5)
Dims = list[int | str]
SYMBOLS = ("batch", "length", "past", "rank")
NAMES = {name: index for index, name in enumerate((*SYMBOLS, "total"))}


def digest(name: str) -> bytes:
    return sha256(name.encode()).digest()


def ports_of(
    listed: list[tuple[int, int, ElementType, int, str, Dims]],
) -> tuple[tuple[Port, ...], tuple[Dimension, ...]]:
    """Rows for ports given as (stage, output, type, optional, name, dimensions)."""
    ports = tuple(Port(*row[:5]) for row in listed)
    dims = tuple(
        Dimension(place, 1, NAMES[dim]) if isinstance(dim, str) else Dimension(place, 0, dim)
        for place, row in enumerate(listed)
        for dim in row[5]
    )
    return ports, dims


CACHE_IN: Dims = ["batch", HEADS, "past", HEAD]
CACHE_OUT: Dims = ["batch", HEADS, "total", HEAD]
HIDDEN: Dims = ["batch", "length", WIDTH]
PORTS, DIMS = ports_of(
    [
        (0, 0, INT64, 0, "input_ids", ["batch", "length"]),
        (0, 0, INT64, 0, "attention_mask", ["batch", "total"]),
        (0, 0, FLOAT, 0, "past_0", CACHE_IN),
        (0, 0, FLOAT, 1, "lora_A", [WIDTH, "rank"]),
        (0, 1, FLOAT, 0, "logits", ["batch", "length", VOCABULARY]),
        (0, 1, FLOAT, 0, "present_0", CACHE_OUT),
        (1, 0, INT64, 0, "input_ids", ["batch", "length"]),
        (1, 1, FLOAT, 0, "hidden", HIDDEN),
        (2, 0, INT64, 0, "attention_mask", ["batch", "total"]),
        (2, 0, FLOAT, 0, "past_0", CACHE_IN),
        (2, 0, FLOAT, 0, "hidden", HIDDEN),
        (2, 1, FLOAT, 0, "logits", ["batch", "length", VOCABULARY]),
        (2, 1, FLOAT, 0, "present_0", CACHE_OUT),
    ]
)
EMBED = (constant(0), symbol(BATCH) * symbol(LENGTH) * (4 * WIDTH))
ATTEND = (symbol(BATCH) * symbol(LENGTH) * symbol(TOTAL) * (4 * WIDTH), constant(0))
COSTS, TERMS = rows_of_facts(
    [facts_of([EMBED, ATTEND, ATTEND]), facts_of([EMBED]), facts_of([ATTEND, ATTEND])]
)
DECODER = Manifest(
    name="little-decoder",
    kind=CUT,
    base=digest("base"),
    graph=digest("graph"),
    graph_bytes=1234,
    symbols=SYMBOLS,
    derived=(Derived(PAST, 1, LENGTH, 1, 0, 0, 1),),
    ports=PORTS,
    dims=DIMS,
    states=(StatePair(2, 5), StatePair(9, 12)),
    comparator=F32,
    tolerance=20_000,
    spread=900_000_000,
    price_version=PRICE_VERSION,
    costs=COSTS,
    terms=TERMS,
    tensors=(
        TensorBlob("embed", digest("embed"), 25_600),
        TensorBlob("head", digest("embed"), 25_600),
        TensorBlob("layers.0.q", digest("q"), 16_384),
    ),
    stages=(StageBlob(digest("stage 1"), 100), StageBlob(digest("stage 2"), 200)),
    stage_tensors=(StageTensor(1, 0), StageTensor(2, 1), StageTensor(2, 2)),
    files=(
        FileBlob(FILE_TOKENIZER, "tokenizer.json", digest("tokenizer"), 5000),
        FileBlob(FILE_LICENCE, "LICENSE", digest("licence"), 11_000),
    ),
    licence="Apache-2.0",
    made_by="cut in two from little-base",
    source=digest("model.onnx"),
)
LORA_PORTS, LORA_DIMS = ports_of([(0, 0, FLOAT, 1, "lora_A", [WIDTH, 8])])
LORA = replace(
    DECODER,
    name="little-lora",
    kind=ADAPTER,
    graph=b"",
    graph_bytes=0,
    symbols=(),
    derived=(),
    ports=LORA_PORTS,
    dims=LORA_DIMS,
    states=(),
    costs=(),
    terms=(),
    stages=(),
    stage_tensors=(),
)
SHAPE = ((2, 3), (2, 10), (2, HEADS, 7, HEAD))
