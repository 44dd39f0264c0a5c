# SPDX-License-Identifier: MIT
"""A model that only a simulated executor runs: one input, one output, a price of its own."""

from hashlib import sha256
from random import Random

from node.executor.executor import Item
from protocol.canon import encode
from protocol.compare import F32, FLOORS
from protocol.model import MODEL, Manifest, TensorBlob
from protocol.ports import Dimension, Port
from protocol.price import PRICE_VERSION, constant, facts_of, rows_of_facts
from protocol.tensors import ElementType, Tensor

WIDTH = 16
GRAPH = b"a graph that nobody reads"
WEIGHTS = bytes(range(256)) * 64


def manifest(*, fetched_weights: bytes = WEIGHTS, items_cu: int = 50_000) -> Manifest:
    """A model of one input and one output, whose item costs about so many CU."""
    costs, terms = rows_of_facts([facts_of([(constant(items_cu * 10**6), constant(0))])])
    return Manifest(
        name="model of a pair",
        kind=MODEL,
        base=b"",
        graph=sha256(GRAPH).digest(),
        graph_bytes=len(GRAPH),
        symbols=("rows",),
        derived=(),
        ports=(
            Port(0, 0, ElementType.FLOAT, 0, "x"),
            Port(0, 1, ElementType.FLOAT, 0, "y"),
        ),
        dims=(
            Dimension(0, 1, 0),
            Dimension(0, 0, WIDTH),
            Dimension(1, 1, 0),
            Dimension(1, 0, WIDTH),
        ),
        states=(),
        comparator=F32,
        tolerance=FLOORS[F32],
        spread=10**9,
        price_version=PRICE_VERSION,
        costs=costs,
        terms=terms,
        tensors=(TensorBlob("w", sha256(fetched_weights).digest(), len(fetched_weights)),),
        stages=(),
        stage_tensors=(),
        files=(),
        licence="",
        made_by="a test",
        source=b"",
    )


BODY = encode(manifest())
DIGEST = sha256(BODY).digest()


def items(count: int, rows: int = 1, seed: int = 0) -> list[Item]:
    """Inputs for it."""
    dice = Random(seed)
    return [
        (Tensor(ElementType.FLOAT, (rows, WIDTH), dice.randbytes(rows * WIDTH * 4)),)
        for _ in range(count)
    ]
