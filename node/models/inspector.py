# SPDX-License-Identifier: MIT
"""The program that reads graphs: `python -m node.models.inspector FD MEMORY_BYTES CPU_S`.

The daemon starts it for one graph, and it never lives longer. It imports what it needs, puts on
the sandbox without access to any file, and only then is given the graph: whoever takes it over
finds a socket, and the graph that he wrote himself.
"""

import os
import sys

from onnx import ModelProto

from node.executor.errand import Errand
from node.executor.executor import Layer
from node.executor.sandbox.confine import Confinement, close_files, confine, holds_strangers
from node.models.constants import External, refuse
from node.models.dialogue import (
    INSPECT,
    Done,
    Piece,
    Put,
    Task,
    parse_task,
    refusal_bytes,
    words_bytes,
)
from node.models.facts.derive import derive
from node.models.facts.describe import comparator_hint
from node.models.normalise import Normal, normalise
from node.models.policy import NORMAL_BYTES_MAX, POLICIES, STRANGER
from node.models.precheck import parse, precheck
from node.models.shelf import Claimed, Shelf
from protocol.canon import encode
from protocol.compare import EXACT
from protocol.errors import LocalProtocolError, Refused
from protocol.model import MODEL, Manifest
from protocol.reasons import Reason

_READ_BYTES = 1 << 24


class _Asking:
    """A shelf on the daemon's side of the socket. What it has given once is not asked again."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._taken: dict[External, bytes] = {}

    def read(self, source: External) -> bytes:
        """Ask for the bytes."""
        self._say(Piece(False, source.location, source.offset, source.size_bytes))
        return self._errand.hear()

    def take(self, source: External) -> bytes:
        """Let the daemon copy them; they do not come here."""
        if source not in self._taken:
            self._say(Piece(True, source.location, source.offset, source.size_bytes))
            self._taken[source] = self._errand.hear()
        return self._taken[source]

    def put(self, data: bytes) -> bytes:
        """Send them."""
        self._say(Put(len(data)))
        self._errand.stream(data)
        return self._errand.hear()

    def _say(self, words: Piece | Put) -> None:
        self._errand.say(words_bytes(words))


def main(arguments: list[str]) -> None:
    """Confine this process, then do the one task."""
    number, memory_bytes, cpu_s = map(int, arguments)
    with Errand(number) as errand:
        layers = _confine(number, memory_bytes, cpu_s)
        try:
            said = words_bytes(_answer(errand, layers))
        except Refused as refused:
            said = refusal_bytes(refused)
        except MemoryError:
            detail = f"it cannot be read with {memory_bytes} bytes of memory"
            said = refusal_bytes(Refused(Reason.OVER_MEMORY, detail))
        except RecursionError:
            said = refusal_bytes(refuse("it is nested too deep"))
        errand.say(said)


def _confine(number: int, memory_bytes: int, cpu_s: int) -> tuple[Layer, ...]:
    confined = confine(
        Confinement(
            folder=None,
            memory_bytes=memory_bytes,
            cpu_s=cpu_s,
            open_files=16,
            threads=False,
            keep_open={0, 1, 2, number},
        )
    )
    return (*confined.layers, close_files())


def _answer(errand: Errand, layers: tuple[Layer, ...]) -> Done:
    said, descriptors = errand.hear_with_descriptors()
    task = parse_task(said)
    if task.kind == INSPECT and not holds_strangers(layers):
        off = ", ".join(layer.name for layer in layers if not layer.on)
        raise refuse(f"this system cannot contain a stranger's graph: without {off}")
    (descriptor,) = descriptors
    if task.kind == INSPECT:
        return inspect(task, _read(descriptor, task.size_bytes))
    return take_in(task, parse(_read(descriptor, task.size_bytes)), _Asking(errand))


def _read(descriptor: int, size_bytes: int) -> bytes:
    """Read the graph. It has the size that the daemon saw, or somebody is writing to it."""
    pieces = [os.pread(descriptor, size_bytes, 0)]  # one call, unless it is close to 2 GiB
    while sum(map(len, pieces)) <= size_bytes:
        piece = os.pread(descriptor, _READ_BYTES, sum(map(len, pieces)))
        if not piece:
            break
        pieces.append(piece)
    os.close(descriptor)
    if sum(map(len, pieces)) != size_bytes:
        raise refuse("the file changed while it was read")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def take_in(task: Task, model: ModelProto, shelf: Shelf) -> Done:
    """Bring a file of ours into the form of a model: a normal graph, blobs, and a manifest."""
    policy = POLICIES[task.policy]
    precheck(model, policy)
    normal = normalise(model, policy, shelf)
    precheck(normal.model, policy, normal=True)
    digest = shelf.put(normal.graph)
    only_here = _only_here(normal)
    problems = []
    manifest = b""
    try:
        manifest = manifest_bytes(normal, digest, task.name)
    except Refused as refused:
        if policy.strict:
            raise
        problems.append(f"{refused.reason.value}: {refused.detail}")
    tensors = tuple((each.name, each.blob, each.size_bytes) for each in normal.tensors)
    at_best = comparator_hint(normal.model).comparator
    return Done(digest, tensors, manifest, at_best, only_here, tuple(problems))


def inspect(task: Task, data: bytes) -> Done:
    """Say what is true of a graph that comes from a stranger; it must be normal already."""
    if len(data) > NORMAL_BYTES_MAX:
        raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes, at most {NORMAL_BYTES_MAX}")
    model = parse(data)
    precheck(model, STRANGER, normal=True)
    normal = normalise(model, STRANGER, Claimed())
    if normal.graph != data:
        raise refuse("it is not normalised: its normal form has other bytes")
    return Done(task.digest, (), manifest_bytes(normal, task.digest, task.name), EXACT, "", ())


def manifest_bytes(normal: Normal, digest: bytes, name: str) -> bytes:
    """Write the manifest of a normal graph. How outputs are compared, it cannot know."""
    facts = derive(normal.model)
    manifest = Manifest(
        name=name,
        kind=MODEL,
        base=b"",
        graph=digest,
        graph_bytes=len(normal.graph),
        symbols=facts.symbols,
        derived=facts.derived,
        ports=facts.ports,
        dims=facts.dims,
        states=facts.states,
        comparator=EXACT,
        tolerance=0,
        spread=0,
        price_version=facts.price_version,
        costs=facts.costs,
        terms=facts.terms,
        tensors=normal.tensors,
        stages=(),
        stage_tensors=(),
        files=(),
        licence="",
        made_by="",
        source=b"",
    )
    try:
        return encode(manifest)
    except LocalProtocolError as error:
        raise refuse(f"no manifest can hold it: {error.detail}") from None


def _only_here(normal: Normal) -> str:
    """Say why a stranger's node would not take this graph; empty when it would."""
    if len(normal.graph) > NORMAL_BYTES_MAX:
        return f"a graph of {len(normal.graph)} bytes without its tensors"
    try:
        precheck(normal.model, STRANGER, normal=True)
    except Refused as refused:
        return refused.detail
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
