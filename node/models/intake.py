# SPDX-License-Identifier: MIT
"""Takes models in: a file of ours becomes blobs and a manifest, a stranger's graph is inspected.

The graph is read by the inspector, in a process of its own. This side does for it what needs
files and believes nothing of what it says: it opens what lies beside the graph and nothing
else, it counts and hashes every byte itself, and it keeps blobs only when all went well.
"""

import os
import stat
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import file_digest
from math import ceil
from pathlib import Path

from node.executor.aside import aside
from node.executor.throwaway import Child, throwaway
from node.models.dialogue import (
    INSPECT,
    INTAKE,
    WORDS_BYTES_MAX,
    Done,
    Piece,
    Put,
    Task,
    Words,
    parse_words,
    task_bytes,
)
from node.models.incoming import Blob, Incoming, incoming
from node.models.policy import (
    BLOB_BYTES_MIN,
    INLINED_BYTES_MAX,
    NORMAL_BYTES_MAX,
    STRANGER,
    Policy,
)
from node.models.source import Source
from protocol.canon import decode
from protocol.codecs import TextCodec
from protocol.errors import ProtocolError, Refused
from protocol.limits import NAME_BYTES_MAX
from protocol.model import Manifest, TensorBlob
from protocol.reasons import Reason

#: The interpreter and onnx take some 100 MB; the rest is for the nodes of the largest graphs.
_MEMORY_BYTES = 1 << 30

#: The file, the graph made of it, its largest tensor once more, and the normal graph.
_MEMORY_PER_BYTE = 4

#: Numbers may be written shorter in a graph than they are: an int64 of zero is one byte there.
_PUT_PER_BYTE = 8

_INSPECTOR = "node.models.inspector"
_PIECE_BYTES = 1 << 22
_NAME = TextCodec(NAME_BYTES_MAX, 1)


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A model of ours in its normal form. Its blobs are in the folder that was named.

    Without a manifest nobody can tell its price: it runs here, and for nobody else. `only_here`
    says why strangers' nodes would not take it whatever its price, and `problems` what else its
    owner should know. The manifest says that outputs are compared exactly, until somebody has
    measured how far they may lie apart; `at_best` is the comparator that this can lead to.
    """

    graph: bytes
    graph_bytes: int
    tensors: tuple[TensorBlob, ...]
    manifest: Manifest | None
    at_best: int
    only_here: str
    problems: tuple[str, ...]


async def take_in(
    source: Path,
    blobs: Path,
    *,
    policy: Policy,
    name: str = "",
    deadline_s: float = 600.0,
    inspector: str = _INSPECTOR,
) -> TakenIn:
    """Bring an `.onnx` file, with external data beside it, into the form of a model.

    `Refused` says what is against the model; `OSError`, what is wrong with the disk of `blobs`.
    """
    name = _checked_name(name) if name else _name_of(source)
    with Source(source) as opened, incoming(blobs) as coming:
        desk = _Desk(opened, coming)
        async with _inspecting(inspector, opened.size_bytes, deadline_s) as child:
            task = Task(INTAKE, policy.name, opened.size_bytes, name)
            await child.send(task_bytes(task), [opened.descriptor])
            done = await desk.serve(child)
            taken = _checked(done, coming, name, child)
        opened.check_unchanged()
        await aside(coming.keep)
    return taken


async def inspect(
    manifest: Manifest, graph: Path, *, deadline_s: float = 60.0, inspector: str = _INSPECTOR
) -> None:
    """Compare what a stranger's manifest claims with its graph, or raise Refused.

    Interface, states and price facts are derived anew, and the graph passes the gates for
    strangers. Whether blobs are what they are called is not looked at here.
    """
    if not manifest.graph:
        raise Refused(Reason.MODEL_REFUSED, "an adapter has no graph to be inspected")
    if manifest.graph_bytes > NORMAL_BYTES_MAX:
        detail = f"a graph of {manifest.graph_bytes} bytes, at most {NORMAL_BYTES_MAX}"
        raise Refused(Reason.TOO_LARGE, detail)
    descriptor = os.open(graph, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        await aside(partial(_check_blob, descriptor, manifest))
        async with _inspecting(inspector, manifest.graph_bytes, deadline_s) as child:
            size_bytes, digest = manifest.graph_bytes, manifest.graph
            task = Task(INSPECT, STRANGER.name, size_bytes, manifest.name, digest)
            await child.send(task_bytes(task), [descriptor])
            words = await _hear(child)
            if not isinstance(words, Done):
                raise child.refused("asked for more than the graph that it was given")
            found = _read_manifest(words, child)
    finally:
        os.close(descriptor)
    _compare(manifest, found)


def _inspecting(
    inspector: str, size_bytes: int, deadline_s: float
) -> AbstractAsyncContextManager[Child]:
    """Start an inspector with memory for a graph of this size."""
    memory_bytes = _MEMORY_BYTES + _MEMORY_PER_BYTE * size_bytes
    limits = str(memory_bytes), str(ceil(deadline_s))
    return throwaway(inspector, *limits, deadline_s=deadline_s, what="inspector")


async def _hear(child: Child) -> Words:
    """Take what the inspector says next, and end it when that is nonsense."""
    data = await child.receive(WORDS_BYTES_MAX)
    try:
        return parse_words(data)
    except ValueError as error:
        raise child.refused(f"said {error}") from None


class _Desk:
    """Does for one inspector what it may not do itself, as far as that goes."""

    def __init__(self, source: Source, coming: Incoming) -> None:
        self._source = source
        self._coming = coming
        self._put_bytes_left = _PUT_PER_BYTE * source.size_bytes + INLINED_BYTES_MAX

    async def serve(self, child: Child) -> Done:
        """Grant wishes until it is done. The first that cannot be granted ends everything."""
        while True:
            match await _hear(child):
                case Done() as done:
                    return done
                case Piece(take=True) as piece:
                    await child.send(await self._take(piece))
                case Piece() as piece:
                    if piece.size_bytes >= BLOB_BYTES_MIN:
                        raise child.refused(f"wants to read {piece.size_bytes} bytes")
                    with self._source.piece(piece) as descriptor:
                        data = await aside(partial(_read, descriptor, piece, 0))
                    await child.send(data)
                case Put(size_bytes):
                    self._put_bytes_left -= size_bytes
                    if self._put_bytes_left < 0:
                        raise child.refused("makes blobs of more than was in the graph")
                    await child.send(await self._put(child, size_bytes))

    async def _take(self, piece: Piece) -> bytes:
        """Make a blob of a part of a file; it does not pass through the inspector."""
        with self._source.piece(piece) as descriptor:
            blob = await aside(self._coming.begin)
            for at in range(0, piece.size_bytes, _PIECE_BYTES):
                await aside(partial(_copy, descriptor, piece, at, blob))
        return await aside(partial(self._coming.add, blob))

    async def _put(self, child: Child, size_bytes: int) -> bytes:
        """Make a blob of what the inspector sends now."""
        blob = await aside(self._coming.begin)
        left, data = size_bytes, bytearray()
        while left:
            wanted = min(left, _PIECE_BYTES)
            data += await child.receive_some(wanted - len(data))
            if len(data) == wanted:
                left -= wanted
                await aside(partial(blob.write, data))
                data = bytearray()
        return await aside(partial(self._coming.add, blob))


def _read(descriptor: int, piece: Piece, at: int) -> bytes:
    """Read the part of a piece that begins at `at`."""
    wanted = min(_PIECE_BYTES, piece.size_bytes - at)
    data = os.pread(descriptor, wanted, piece.offset + at)
    if len(data) != wanted:
        raise Refused(Reason.MODEL_REFUSED, f"{piece.name} changed while it was read")
    return data


def _copy(descriptor: int, piece: Piece, at: int, blob: Blob) -> None:
    blob.write(_read(descriptor, piece, at))


def _checked(done: Done, coming: Incoming, name: str, child: Child) -> TakenIn:
    """Make sure that the model consists of the blobs that it was seen to make."""
    manifest = replace(_read_manifest(done, child), name=name) if done.manifest else None
    tensors = tuple(TensorBlob(*row) for row in done.tensors)
    graph_bytes = coming.size_of(done.graph)
    made = all(coming.size_of(each.blob) == each.size_bytes for each in tensors)
    if graph_bytes < 0 or not made:
        raise child.refused("names blobs that it did not make")
    if manifest and (manifest.graph, manifest.graph_bytes) != (done.graph, graph_bytes):
        raise child.refused("gave a manifest of another graph")
    if manifest and manifest.tensors != tensors:
        raise child.refused("gave a manifest of other tensors")
    return TakenIn(
        done.graph, graph_bytes, tensors, manifest, done.at_best, done.only_here, done.problems
    )


def _read_manifest(done: Done, child: Child) -> Manifest:
    try:
        return decode(done.manifest, Manifest)
    except ProtocolError as error:
        raise child.refused(f"gave a broken manifest: {error.detail}") from None


def _check_blob(descriptor: int, manifest: Manifest) -> None:
    """A graph that is not what it is called was damaged, or comes from somebody who lies."""
    seen = os.fstat(descriptor)
    if stat.S_ISREG(seen.st_mode) and seen.st_size == manifest.graph_bytes:
        with open(descriptor, "rb", closefd=False) as file:
            if file_digest(file, "sha256").digest() == manifest.graph:
                return
    raise Refused(Reason.MODEL_REFUSED, "the graph does not have the digest of the manifest")


def _compare(claimed: Manifest, found: Manifest) -> None:
    """Compare what can be derived. Rows of stages come after those of the whole model."""
    if claimed.price_version != found.price_version:
        detail = f"version {claimed.price_version} of the price table, here {found.price_version}"
        raise Refused(Reason.PRICE_VERSION, detail)
    staged = bool(claimed.stages)
    for what, ours, theirs in (
        ("symbols", found.symbols, claimed.symbols),
        ("derived symbols", found.derived, claimed.derived),
        ("ports", found.ports, claimed.ports),
        ("dimensions", found.dims, claimed.dims),
        ("states", found.states, claimed.states),
        ("costs", found.costs, claimed.costs),
        ("terms of its price", found.terms, claimed.terms),
        ("tensors", found.tensors, claimed.tensors),
    ):
        if ours != (theirs[: len(ours)] if staged and what != "tensors" else theirs):
            detail = f"the manifest claims other {what} than its graph has"
            raise Refused(Reason.MODEL_REFUSED, detail)


def _checked_name(name: str) -> str:
    try:
        _NAME.pack(name)
    except ValueError as error:
        raise Refused(Reason.MODEL_REFUSED, f"no name for a model: {error}") from None
    return name


def _name_of(source: Path) -> str:
    """Call a model as its file is called, as far as that can be a name."""
    name = source.stem.encode(errors="replace")[:NAME_BYTES_MAX].decode(errors="ignore")
    return "".join(each for each in name if each.isprintable()) or "model"
