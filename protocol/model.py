# SPDX-License-Identifier: MIT
"""The manifest of a model, and who vouches for it. How a model gets one is the node's intake.

A manifest is a canonical document that names everything a model consists of: the graph
with its weights taken out, each tensor, tokenizer and other files, all as blobs named by
their SHA-256. The model's own name is the SHA-256 of the manifest's bytes (as a text: its
CID), and that is what an order signs.

Stages, other cuts, quantised variants and adapters refer to blobs in the same way, so what
two of them share is stored and fetched once. Rows of lists refer to rows of other lists by
their position: dimensions to ports, tensors of stages to tensors.

A manifest has no signature inside, because its name must not depend on who vouches for it:
a :class:`Publication` is a statement beside it, and a model may have several, or none.
"""

from hashlib import sha256
from typing import Annotated

from protocol.canon import (
    BytesCodec,
    Digest,
    Incarnation,
    Key,
    Message,
    OptionalDigest,
    Row,
    TextCodec,
    Uint,
    UintCodec,
    message,
    row,
    rows_of,
    values_of,
)
from protocol.cid import format_cid
from protocol.compare import broken_tolerance
from protocol.interface import Interface, PortShape
from protocol.limits import (
    COSTS_MAX,
    DERIVED_MAX,
    FILES_MAX,
    MANIFEST_BYTES_MAX,
    NAME_BYTES_MAX,
    PROVENANCE_BYTES_MAX,
    RANK_MAX,
    STAGE_PORTS_MAX,
    STAGE_TENSORS_MAX,
    STAGES_MAX,
    SYMBOLS_MAX,
    TENSORS_MAX,
    TERMS_MAX,
)
from protocol.ports import (
    Derived,
    Dimension,
    Port,
    StatePair,
    TensorName,
    broken_derived,
    broken_dims,
    broken_ports,
    broken_states,
    broken_wiring,
)
from protocol.price import Cost, PriceFacts, Term, facts_from_rows
from protocol.sealed import Statement
from protocol.statements import Comparator, Tolerance

MODEL, CUT, QUANTISED, ADAPTER = range(4)
(
    FILE_OTHER,
    FILE_TOKENIZER,
    FILE_TOKENIZER_CONFIG,
    FILE_CHAT_TEMPLATE,
    FILE_CONFIG,
    FILE_GENERATION_CONFIG,
    FILE_LICENCE,
) = range(7)

Name = Annotated[str, TextCodec(NAME_BYTES_MAX, 1)]
SymbolName = TextCodec(NAME_BYTES_MAX, 1)


@row
class TensorBlob(Row):
    """One tensor (or group of tensors) of the weights, by the name that the graph uses for it."""

    name: TensorName
    blob: Digest
    size_bytes: Uint


@row
class FileBlob(Row):
    """A file that belongs to the model; `role` says what for, the name is for people."""

    role: Annotated[int, UintCodec(0, 255)]
    name: Name
    blob: Digest
    size_bytes: Uint


@row
class StageBlob(Row):
    """The graph of one stage; the first row is stage 1."""

    graph: Digest
    graph_bytes: Annotated[int, UintCodec(1)]


@row
class StageTensor(Row):
    """A stage needs a tensor, given by its position."""

    stage: Annotated[int, UintCodec(1, STAGES_MAX)]
    tensor: Annotated[int, UintCodec(0, TENSORS_MAX - 1)]


@message("manifest", most=MANIFEST_BYTES_MAX)
class Manifest(Message):
    """Everything that a model consists of and that is known of it before it runs.

    `base` names the manifest that this one was made from: always for another cut, a
    quantised variant and an adapter, and for a fine-tune where it is known. `spread` is how
    far the outputs of different inputs lie apart (see `compare`), and with `tolerance` in
    units of 1e-9. An adapter has no graph: its ports are the optional inputs that it fills.
    """

    name: Name
    kind: Annotated[int, UintCodec(MODEL, ADAPTER)]
    base: OptionalDigest
    graph: Annotated[bytes, BytesCodec(32, 32, or_empty=True)]
    graph_bytes: Uint
    symbols: Annotated[tuple[str, ...], values_of(SymbolName, 0, SYMBOLS_MAX)]
    derived: Annotated[tuple[Derived, ...], rows_of(Derived, 0, DERIVED_MAX)]
    ports: Annotated[tuple[Port, ...], rows_of(Port, 0, STAGE_PORTS_MAX)]
    dims: Annotated[tuple[Dimension, ...], rows_of(Dimension, 0, RANK_MAX * STAGE_PORTS_MAX)]
    states: Annotated[tuple[StatePair, ...], rows_of(StatePair, 0, STAGE_PORTS_MAX, ascending=True)]
    comparator: Comparator
    tolerance: Tolerance
    spread: Uint
    price_version: Uint
    costs: Annotated[tuple[Cost, ...], rows_of(Cost, 0, COSTS_MAX)]
    terms: Annotated[tuple[Term, ...], rows_of(Term, 0, TERMS_MAX)]
    tensors: Annotated[tuple[TensorBlob, ...], rows_of(TensorBlob, 0, TENSORS_MAX, ascending=True)]
    stages: Annotated[tuple[StageBlob, ...], rows_of(StageBlob, 0, STAGES_MAX)]
    stage_tensors: Annotated[
        tuple[StageTensor, ...], rows_of(StageTensor, 0, STAGE_TENSORS_MAX, ascending=True)
    ]
    files: Annotated[tuple[FileBlob, ...], rows_of(FileBlob, 0, FILES_MAX, ascending=True)]
    licence: Annotated[str, TextCodec(NAME_BYTES_MAX)]
    made_by: Annotated[str, TextCodec(PROVENANCE_BYTES_MAX)]
    source: OptionalDigest

    def broken_rule(self) -> str:
        """Every reference leads somewhere, and every list has one order."""
        return (
            _broken_parts(self)
            or broken_tolerance(self.comparator, self.tolerance, self.spread)
            or broken_derived(self.derived, len(self.symbols))
            or broken_ports(self.ports, len(self.stages))
            or broken_dims(self.dims, len(self.ports), len(self.symbols) + len(self.derived))
            or broken_states(self.states, self.ports)
            or broken_wiring(self.ports)
            or _broken_sides(self)
            or _broken_price(self)
        )

    def interfaces(self) -> tuple[Interface, ...]:
        """Give the ports of the whole model (first) and of its stages. Keep them: made anew."""
        dims: list[list[tuple[int, int]]] = [[] for _ in self.ports]
        for dim in self.dims:
            dims[dim.port].append((dim.symbolic, dim.value))
        stages = range(len(self.stages) + 1)
        sides: list[tuple[list[PortShape], list[PortShape]]] = [([], []) for _ in stages]
        places: list[int] = []  # of each port, on its side of its stage
        for port, its_dims in zip(self.ports, dims, strict=True):
            side = sides[port.stage][port.output]
            places.append(len(side))
            optional = bool(port.optional)
            side.append(PortShape(port.name, port.element, optional, tuple(its_dims)))
        states: list[list[tuple[int, int]]] = [[] for _ in stages]
        for pair in self.states:
            stage = self.ports[pair.input].stage
            states[stage].append((places[pair.input], places[pair.output]))
        return tuple(
            Interface(tuple(inputs), tuple(outputs), tuple(pairs), len(self.symbols), self.derived)
            for (inputs, outputs), pairs in zip(sides, states, strict=True)
        )

    def price_facts(self) -> tuple[PriceFacts, ...]:
        """Give the price facts of the whole model (first) and of its stages. They are claims."""
        return facts_from_rows(self.costs, self.terms, len(self.stages))

    def tensors_of(self, stage: int) -> tuple[TensorBlob, ...]:
        """Give the tensors that one stage needs, all of them for the whole model."""
        if stage == 0:
            return self.tensors
        return tuple(
            self.tensors[each.tensor] for each in self.stage_tensors if each.stage == stage
        )


@message("publication")
class Publication(Statement):
    """A publisher vouches for a manifest, under a name of his choice, and says where it is from."""

    publisher: Key
    incarnation: Incarnation
    manifest: Digest
    name: Name
    issued_at_s: Uint
    provenance: Annotated[str, TextCodec(PROVENANCE_BYTES_MAX)]


def model_digest(body: bytes) -> bytes:
    """Name a model: the plain SHA-256 of its manifest, so that other systems can name it too."""
    return sha256(body).digest()


def model_cid(body: bytes) -> str:
    """Write the name of a model as text."""
    return format_cid(model_digest(body))


def _broken_parts(manifest: Manifest) -> str:
    """Blobs, stages and what a manifest of each kind must have."""
    if manifest.kind != MODEL and not manifest.base:
        return "a cut, variant or adapter names what it was made from"
    if bool(manifest.graph) != bool(manifest.graph_bytes):
        return "a graph has a digest and a size, or neither"
    if bool(manifest.graph) == (manifest.kind == ADAPTER):
        return "an adapter has no graph, everything else has one"
    extra = manifest.stages or manifest.costs or manifest.states
    if manifest.kind == ADAPTER and (extra or not manifest.tensors):
        return "an adapter has tensors, and neither stages nor costs nor states"
    if manifest.kind == CUT and not manifest.stages:
        return "a cut has stages"
    names = [tensor.name for tensor in manifest.tensors]
    if len(set(names)) != len(names):
        return "names a tensor twice"
    files = [(file.role, file.name) for file in manifest.files]
    if len(set(files)) != len(files):
        return "names a file twice"
    for each in manifest.stage_tensors:
        if each.stage > len(manifest.stages) or each.tensor >= len(manifest.tensors):
            return f"stage {each.stage} needs tensor {each.tensor}: one of them does not exist"
    return ""


def _broken_sides(manifest: Manifest) -> str:
    """Each stage gives something, of a shape that its inputs determine; an adapter only fills."""
    if len(set(manifest.symbols)) != len(manifest.symbols):
        return "names a symbol twice"
    if manifest.kind == ADAPTER:
        fills = all(port.optional for port in manifest.ports)
        if not fills or any(dim.symbolic for dim in manifest.dims):
            return "the ports of an adapter are optional inputs of fixed shape"
        return ""
    for stage, interface in enumerate(manifest.interfaces()):
        if not interface.outputs:
            return f"stage {stage} has no output"
        known = interface.known()
        if any(not port.symbols() <= known for port in interface.inputs + interface.outputs):
            return f"stage {stage} has a dimension that its inputs do not determine"
    return ""


def _broken_price(manifest: Manifest) -> str:
    """Price facts are canonical and depend on nothing but the inputs of their stage."""
    try:
        facts = manifest.price_facts()
    except ValueError as error:
        return str(error)
    if manifest.kind == ADAPTER:
        return ""
    for stage, (interface, costs) in enumerate(zip(manifest.interfaces(), facts, strict=True)):
        used = {
            factor
            for cost in costs
            for powers, _ in cost.flops.terms + cost.bytes_moved.terms
            for factor in powers
        }
        if not used <= interface.known():
            return f"the price of stage {stage} depends on more than its inputs"
    return ""
