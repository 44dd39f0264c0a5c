# SPDX-License-Identifier: MIT
"""Files that are no model, or only until one looks closer."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from protocol.reasons import Reason
from tests.hostile import wire
from tests.hostile.gates import ANSWERS, REFUSED, UNPRICED, Inputs, at_precheck, harmless
from tests.hostile.graphs import (
    floats,
    gives,
    identity,
    node,
    put,
    sum_with_weight,
    writes,
)
from tests.hostile.kinds import Hostile, Plain, no_inputs


def good() -> bytes:
    return sum_with_weight().SerializeToString()


def cut() -> bytes:
    return good()[:-20]


def turned() -> bytes:
    raw = bytearray(good())
    raw[10:20] = Random(7).randbytes(10)
    return bytes(raw)


def noise() -> bytes:
    return Random(7).randbytes(10_000)


def endless_length() -> bytes:
    """Promise a graph of 2^63 bytes."""
    return wire.FRAME + wire.tag(wire.MODEL_GRAPH, 2) + wire.varint(2**63 - 1)


def length_of_ten() -> bytes:
    """Promise a length in more bytes than a number has."""
    return wire.FRAME + wire.tag(wire.MODEL_GRAPH, 2) + b"\xff" * 20


def groups() -> bytes:
    """Open a hundred thousand groups, a form that protobuf has given up and still skips."""
    return good() + wire.tag(99, 3) * 100_000


def unknown() -> bytes:
    """Put ten megabytes of unknown fields behind a good model."""
    return good() + wire.piece(99, bytes(10_000_000))


def graph_twice() -> bytes:
    """Give the graph twice: the second is put into the first."""
    graph = identity().graph
    second = wire.piece(wire.GRAPH_NODE, node("Neg", ["x"], ["y"]).SerializeToString())
    return wire.framed(graph.SerializeToString()) + wire.piece(wire.MODEL_GRAPH, second)


def hollow() -> bytes:
    """Say that there is a graph, with nothing in it."""
    return wire.framed(b"")


def flatbuffer() -> bytes:
    """Begin like ONNX Runtime's own format, whose reader trusts its offsets."""
    return (16).to_bytes(4, "little") + b"ORTM" + Random(7).randbytes(4000)


def page() -> bytes:
    return b"<!doctype html><title>404</title><p>There is no model here.\n"


def archive() -> bytes:
    return gzip.compress(good(), mtime=0)


def pickle() -> bytes:
    """What Python would run, if somebody unpickled it."""
    return b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."


def holes(folder: Path) -> None:
    """2.2 GB that take no room on the disk."""
    (folder / "graph.onnx").touch()
    os.truncate(folder / "graph.onnx", 2_200_000_000)


def holes_in_a_weight(folder: Path) -> None:
    """A model of 2.2 GB whose weight is a hole."""
    size = 2_200_000_000
    weight = wire.number(1, size // 4) + wire.number(2, 1) + wire.piece(8, b"w")
    head = weight + wire.tag(9, 2) + wire.varint(size)
    before = wire.tag(wire.GRAPH_WEIGHT, 2) + wire.varint(len(head) + size) + head
    made = sum_with_weight().graph
    del made.initializer[:]
    graph = made.SerializeToString() + before
    start = wire.FRAME + wire.tag(wire.MODEL_GRAPH, 2) + wire.varint(len(graph) + size) + graph
    put(folder, start)
    os.truncate(folder / "graph.onnx", len(start) + size)


def not_there(folder: Path) -> None:
    (folder / "readme.txt").write_text("no graph here", encoding="utf-8")


def a_folder(folder: Path) -> None:
    (folder / "graph.onnx").mkdir()


def a_link(folder: Path) -> None:
    path = folder.parent / "other.onnx"
    path.write_bytes(good())
    (folder / "graph.onnx").symlink_to("../other.onnx")


def a_queue(folder: Path) -> None:
    os.mkfifo(folder / "graph.onnx")


def _broken(
    name: str, story: str, build: Callable[[Path], None], inputs: Inputs = no_inputs
) -> Hostile:
    return at_precheck(name, story, build, Plain.NOT_LOADED, REFUSED, inputs=inputs)


_FOUR = gives(floats(1, 2, 3, 4))

KINDS = (
    _broken("empty file", "A file of no bytes.", writes(bytes)),
    _broken("one zero", "A file of one zero.", writes(lambda: bytes(1))),
    _broken("a megabyte of zeros", "A file of zeros.", writes(lambda: bytes(1 << 20))),
    _broken("noise", "Ten thousand random bytes.", writes(noise)),
    _broken("cut off", "A model whose end is missing.", writes(cut)),
    _broken("bytes turned", "A model with ten other bytes in it.", writes(turned), _FOUR),
    _broken(
        "length without end", "A graph of 2^63 bytes, promised in twelve.", writes(endless_length)
    ),
    _broken("length of twenty bytes", "A number that goes on and on.", writes(length_of_ten)),
    _broken("a hundred thousand groups", "Groups in groups, to be skipped.", writes(groups), _FOUR),
    harmless("unknown fields", "Ten megabytes that nobody knows.", writes(unknown), inputs=_FOUR),
    _broken("graph twice", "Two graphs, which become one.", writes(graph_twice), gives(floats(1))),
    at_precheck(
        "hollow graph",
        "A graph with nothing in it.",
        writes(hollow),
        Plain.NOT_LOADED,
        REFUSED,
        reasons=UNPRICED,
    ),
    _broken("flatbuffer", "ONNX Runtime's own format under our name.", writes(flatbuffer)),
    _broken("web page", "What a server says when there is no model.", writes(page)),
    _broken("archive", "A model, compressed.", writes(archive)),
    _broken("pickle", "What Python would run.", writes(pickle)),
    at_precheck(
        "2.2 GB of holes",
        "Zeros, as many as no protobuf has.",
        holes,
        Plain.NOT_LOADED,
        REFUSED,
        reasons=REFUSED | {Reason.TOO_LARGE},
    ),
    at_precheck(
        "2.2 GB of weights",
        "A weight that is a hole.",
        holes_in_a_weight,
        Plain.NOT_LOADED,
        REFUSED,
        reasons=REFUSED | {Reason.TOO_LARGE},
    ),
    _broken("no graph", "A folder without a graph.", not_there),
    _broken("folder for a graph", "The graph is a folder.", a_folder),
    at_precheck(
        "queue for a graph",
        "The graph is a FIFO: reading it waits.",
        a_queue,
        Plain.LOAD_HANGS,
        REFUSED,
    ),
    at_precheck(
        "link for a graph",
        "The graph is a link out of the folder.",
        a_link,
        Plain.ANSWERS,
        REFUSED | ANSWERS,
        inputs=_FOUR,
        mended=True,
    ),
)
