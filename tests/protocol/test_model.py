# SPDX-License-Identifier: MIT
"""The manifest: everything in it leads somewhere."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgpack
import pytest

from protocol.canon import decode, encode
from protocol.cid import parse_cid
from protocol.compare import EXACT
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import Keypair
from protocol.limits import MANIFEST_BYTES_MAX, PORTS_MAX, RANK_MAX, TENSORS_MAX
from protocol.model import (
    ADAPTER,
    FILE_TOKENIZER,
    MODEL,
    QUANTISED,
    Manifest,
    Publication,
    StageBlob,
    StageTensor,
    TensorBlob,
    model_cid,
    model_digest,
)
from protocol.ports import Dimension, Port, StatePair
from protocol.price import Cost, Polynomial, Term, facts_of, rows_of_facts
from protocol.reasons import Reason
from protocol.sealed import seal, unseal
from protocol.tensors import ElementType
from tests.protocol.little_decoder import (
    BATCH,
    COSTS,
    DECODER,
    DIMS,
    FLOAT,
    HIDDEN,
    LORA,
    LORA_DIMS,
    PAST,
    PORTS,
    SYMBOLS,
    TERMS,
    TOTAL,
    Dims,
    digest,
    ports_of,
)


@pytest.mark.parametrize("manifest", [DECODER, LORA])
def test_a_manifest_survives_the_wire(manifest: Manifest) -> None:
    assert decode(encode(manifest), Manifest) == manifest


def test_the_name_of_a_model_is_the_hash_of_its_manifest_and_of_nothing_else() -> None:
    body = encode(DECODER)
    assert model_digest(body) == sha256(body).digest() == parse_cid(model_cid(body))


def test_a_publication_vouches_for_a_manifest_without_changing_its_name() -> None:
    network, body = bytes(16), encode(DECODER)
    names = set()
    for seed in (1, 2):
        publisher = Keypair(bytes([seed]) * 32)
        said = Publication(
            publisher.public, bytes(8), model_digest(body), "my decoder", 1000, "cut at home"
        )
        sealed = seal(publisher, network, said)
        assert unseal(sealed.wire, network, Publication).value == said
        names.add(said.manifest)
    assert names == {model_digest(body)}


def test_a_plain_model_needs_neither_base_nor_stages() -> None:
    whole = replace(
        DECODER,
        kind=MODEL,
        base=b"",
        ports=PORTS[:6],
        dims=tuple(dim for dim in DIMS if dim.port < 6),
        states=(StatePair(2, 5),),
        costs=tuple(cost for cost in COSTS if cost.stage == 0),
        terms=tuple(term for term in TERMS if COSTS[term.cost].stage == 0),
        stages=(),
        stage_tensors=(),
    )
    assert decode(encode(whole), Manifest) == whole
    assert len(whole.interfaces()) == len(whole.price_facts()) == 1
    exact = replace(whole, comparator=EXACT, tolerance=0, spread=0, costs=(), terms=())
    assert exact.broken_rule() == ""


def test_a_stage_names_the_tensors_that_it_needs() -> None:
    assert [each.name for each in DECODER.tensors_of(0)] == ["embed", "head", "layers.0.q"]
    assert [each.name for each in DECODER.tensors_of(1)] == ["embed"]
    assert [each.name for each in DECODER.tensors_of(2)] == ["head", "layers.0.q"]


def without(field: str, at: int) -> Manifest:
    """The decoder without one row of one list."""
    rows = getattr(DECODER, field)
    changed: dict[str, Any] = {field: rows[:at] + rows[at + 1 :]}
    return replace(DECODER, **changed)


def with_row(field: str, at: int, **changes: object) -> Manifest:
    """The decoder with one row of one list changed."""
    rows = list(getattr(DECODER, field))
    rows[at] = replace(rows[at], **changes)
    changed: dict[str, Any] = {field: tuple(rows)}
    return replace(DECODER, **changed)


BROKEN = [
    (replace(DECODER, base=b""), "names what it was made from"),
    (replace(DECODER, kind=QUANTISED, base=b""), "names what it was made from"),
    (replace(DECODER, graph=b""), "or neither"),
    (replace(DECODER, graph_bytes=0), "or neither"),
    (replace(DECODER, graph=b"", graph_bytes=0), "everything else has one"),
    (replace(LORA, graph=digest("g"), graph_bytes=1), "an adapter has no graph"),
    (replace(DECODER, kind=ADAPTER, graph=b"", graph_bytes=0), "neither stages"),
    (replace(LORA, tensors=()), "an adapter has tensors"),
    (replace(LORA, ports=PORTS[:1], dims=DIMS[:2], symbols=SYMBOLS), "optional inputs of fixed"),
    (replace(LORA, dims=(LORA_DIMS[0], Dimension(0, 1, 0)), symbols=("r",)), "of fixed shape"),
    (replace(DECODER, stages=(), stage_tensors=()), "a cut has stages"),
    (with_row("tensors", 1, name="embed", size_bytes=25_601), "a tensor twice"),
    (with_row("files", 1, role=FILE_TOKENIZER, name="tokenizer.json", size_bytes=1), "file twice"),
    (with_row("stage_tensors", 2, stage=3), "one of them does not exist"),
    (with_row("stage_tensors", 2, tensor=3), "one of them does not exist"),
    (replace(DECODER, tolerance=19_999), "tolerance 19999"),
    (replace(DECODER, spread=399_999), "not calibrated"),
    (replace(DECODER, comparator=EXACT), "no tolerance"),
    (with_row("derived", 0, first=TOTAL), "does not come before"),
    (with_row("derived", 0, second=TOTAL), "does not come before"),
    (with_row("derived", 0, second_times=0), "does not use it"),
    (with_row("derived", 0, add=1, less=1), "adds and takes away"),
    (replace(DECODER, ports=PORTS[::-1]), "stage by stage"),
    (with_row("ports", 12, stage=3), "a port of stage 3, of 2"),
    (with_row("ports", 5, name="logits"), "a port twice"),
    (with_row("ports", 5, optional=1), "never optional"),
    (replace(DECODER, dims=DIMS[::-1]), "port by port"),
    (with_row("dims", -1, port=13), "a dimension of port 13, of 13"),
    (with_row("dims", -2, value=5), "does not exist"),
    (replace(DECODER, dims=(Dimension(0, 0, 1),) * RANK_MAX + DIMS), "dimensions"),
    (with_row("states", 1, output=13), "missing, or used twice"),
    (with_row("states", 1, input=13), "missing, or used twice"),
    (with_row("states", 1, output=5), "used twice"),
    (with_row("states", 1, input=2), "used twice"),
    (with_row("states", 0, input=4), "from an output to an input"),
    (with_row("states", 0, output=1), "from an output to an input"),
    (with_row("states", 0, input=3), "that every call has"),
    (with_row("states", 0, input=0), "keeps its type"),
    (replace(DECODER, states=(StatePair(2, 12),)), "stays in its stage"),
    (with_row("ports", 10, name="lost"), "nothing before it gives"),
    (with_row("ports", 10, element=ElementType.FLOAT16), "nothing before it gives"),
    (with_row("ports", 11, name="other"), "no stage gives the output 'logits'"),
    (replace(DECODER, symbols=("batch", "length", "past", "past")), "a symbol twice"),
    (replace(DECODER, stages=(*DECODER.stages, DECODER.stages[0])), "stage 3 has no output"),
    (with_row("dims", 19, value=TOTAL), "do not determine"),
    (with_row("costs", 0, stage=3), "a cost of stage 3"),
    (replace(DECODER, terms=TERMS[::-1]), "canonical"),
    (with_row("terms", 2, powers=bytes([BATCH, PAST])), "the price of stage 1 depends"),
]


@pytest.mark.parametrize(("manifest", "complaint"), BROKEN, ids=[each for _, each in BROKEN])
def test_a_manifest_that_contradicts_itself_is_refused(manifest: Manifest, complaint: str) -> None:
    assert complaint in manifest.broken_rule()
    with pytest.raises(LocalProtocolError):
        encode(manifest)


def test_a_model_of_a_thousand_inputs_more_than_allowed_is_refused() -> None:
    names = [f"input {place}" for place in range(PORTS_MAX + 1)]
    ports = tuple(Port(0, 0, FLOAT, 0, name) for name in names)
    assert "more than 1024" in replace(DECODER, ports=ports, dims=(), states=()).broken_rule()


@pytest.mark.parametrize("field", ["ports", "dims", "states", "derived", "costs", "symbols"])
def test_a_lost_row_never_goes_unnoticed_or_unhandled(field: str) -> None:
    """Each row is needed by another one, or its loss gives another valid document."""
    for at in range(len(getattr(DECODER, field))):
        broken = without(field, at)
        if broken.broken_rule() == "":
            assert decode(encode(broken), Manifest) == broken


@pytest.mark.parametrize("number", [0, max(ElementType) + 1, b"\1"])
def test_an_element_type_that_nobody_knows_is_refused(number: object) -> None:
    body = encode(replace(LORA, name="n"))
    port = msgpack.packb([0, 0, 1, 1, b"lora_A"])
    other = msgpack.packb([0, 0, number, 1, b"lora_A"])
    cells = msgpack.unpackb(body)
    assert port in cells
    with pytest.raises(RemoteProtocolError) as caught:
        decode(msgpack.packb([other if cell == port else cell for cell in cells]), Manifest)
    expected = Reason.OUT_OF_RANGE if isinstance(number, int) else Reason.MALFORMED
    assert caught.value.reason is expected


# --- size -----------------------------------------------------------------------------------------


def large_manifest() -> Manifest:
    """8,000 tensors with long names and digests of their own, sixty-four stages, many costs."""
    stages = 64
    tensors = tuple(
        TensorBlob(
            f"model.layers.{at:04d}.self_attn.q_proj.MatMul.weight", digest(str(at)), 1 << 24
        )
        for at in range(8000)
    )
    listed: list[tuple[int, int, ElementType, int, str, Dims]] = []
    for stage in range(stages + 1):
        first, last = stage in {0, 1}, stage in {0, stages}
        listed += [
            (stage, 0, FLOAT, 0, "x" if first else f"cut {stage - 1}", HIDDEN),
            (stage, 1, FLOAT, 0, "y" if last else f"cut {stage}", HIDDEN),
        ]
    ports, dims = ports_of(listed)
    kinds = [
        (Polynomial(((b"\0\1", at + 1),)), Polynomial(((b"", 7), (b"\0\1", 5)))) for at in range(40)
    ]
    costs, terms = rows_of_facts([facts_of(kinds)] * (stages + 1))
    return replace(
        DECODER,
        ports=ports,
        dims=dims,
        states=(),
        costs=costs,
        terms=terms,
        tensors=tensors,
        stages=tuple(StageBlob(digest(f"stage {at}"), 1000) for at in range(stages)),
        stage_tensors=tuple(StageTensor(1 + at * stages // 8000, at) for at in range(8000)),
    )


@pytest.mark.slow
def test_a_manifest_of_8000_tensors_fits_its_cap() -> None:
    assert TENSORS_MAX >= 8000
    manifest = large_manifest()
    body = encode(manifest)
    assert len(body) < MANIFEST_BYTES_MAX
    assert decode(body, Manifest) == manifest


def test_rows_beyond_their_caps_are_refused() -> None:
    many = tuple(TensorBlob(f"{at:05d}", digest("x"), 1) for at in range(TENSORS_MAX + 1))
    with pytest.raises(LocalProtocolError):
        encode(replace(DECODER, tensors=many))


def test_costs_without_terms_and_terms_without_costs_are_refused() -> None:
    assert replace(DECODER, terms=()).broken_rule()
    assert replace(DECODER, costs=()).broken_rule()
    assert replace(DECODER, costs=(Cost(0, 1),), terms=(Term(0, 0, b"\4", 1),)).broken_rule() == ""
