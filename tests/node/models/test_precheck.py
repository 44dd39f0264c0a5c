# SPDX-License-Identifier: MIT
"""Every gate has a graph that trips it and nothing else, and a near neighbour that passes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto

from node.models.policy import GRAPH_BYTES_MAX, LOCAL, STRANGER
from node.models.precheck import parse, precheck
from protocol.errors import Refused
from protocol.limits import NODES_MAX
from protocol.reasons import Reason
from tests.node.models.gate_cases import GATES as GRAPH_GATES
from tests.node.models.small import HEX, doing, external, having, model, node, relu
from tests.node.models.tensor_cases import NORMAL_GATES, TENSOR_GATES

GATES = {**GRAPH_GATES, **TENSOR_GATES}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_stops_one_graph_and_lets_its_neighbour_through(name: str) -> None:
    gate = GATES[name]
    with pytest.raises(Refused, match=gate.says) as caught:
        precheck(gate.bad, gate.policy)
    assert caught.value.reason is Reason.MODEL_REFUSED
    precheck(gate.good, gate.policy)


@pytest.mark.parametrize("name", NORMAL_GATES)
def test_a_graph_that_should_be_normal_is_held_to_it(name: str) -> None:
    gate = NORMAL_GATES[name]
    with pytest.raises(Refused, match=gate.says):
        precheck(gate.bad, gate.policy, normal=True)
    precheck(gate.good, gate.policy, normal=True)
    precheck(gate.bad, gate.policy)


# What the owner's own work may have: everything that only strangers must not.
OF_STRANGERS_ALONE = {
    *("old IR", "old opset", "new opset", "no opset", "domain", "version of a domain"),
    *("operator of a domain", "overload", "training", "metadata", "parts", "nodes", "nesting"),
    *("operator in a function", "Loop", "Scan", "RandomNormal", "RandomUniformLike"),
    *("Multinomial", "Bernoulli", "shadow", "branches", "attribute of no type"),
    *("attribute of nothing", "values", "text", "texts", "deceiving name", "long name"),
    *("sequence", "no type", "rank of a port", "dimension of a port", "elements", "rank"),
    *("sparse size",),
}


@pytest.mark.parametrize("name", GATES)
def test_local_work_may_do_more_and_is_still_what_it_says(name: str) -> None:
    gate = GATES[name]
    if name in OF_STRANGERS_ALONE:
        precheck(gate.bad, LOCAL)
    else:
        with pytest.raises(Refused):
            precheck(gate.bad, LOCAL)
    precheck(gate.good, LOCAL)


def test_what_passes_is_counted() -> None:
    made = model(
        """small (float[N] x, bool c) => (float[N] y) {
            y = If(c) <then_branch = one () => (float[N] a) { a = Neg(x) },
                       else_branch = two () => (float[N] b) { b = Relu(x) }>
        }"""
    )
    made.graph.initializer.append(external((1024,), name="u", location=HEX))
    made.graph.initializer.append(external((1024,), name="v", location=HEX))
    checked = precheck(made, STRANGER)
    assert (checked.nodes, checked.tensors) == (3, 2)
    assert checked.external == (HEX,)
    assert checked.opsets == (("", 21),)


def test_an_input_may_have_a_tensor_of_its_name_and_no_second_one() -> None:
    made = having(external(name="x", location="w"))
    precheck(made, STRANGER)
    made.graph.initializer.append(made.graph.initializer[0])
    with pytest.raises(Refused, match="has the name of something else"):
        precheck(made, STRANGER)


@pytest.mark.slow
def test_as_many_nodes_as_the_protocol_has_are_taken() -> None:
    names = ["x", *(f"v{number}" for number in range(NODES_MAX - 1)), "y"]
    nodes = [node("Relu", *pair) for pair in pairwise(names)]
    assert precheck(doing(*nodes), STRANGER).nodes == NODES_MAX
    with pytest.raises(Refused, match="more than 50000 nodes"):
        precheck(doing(*nodes, node("Relu", "x", "z")), STRANGER)


def nodes_of_nothing(count: int) -> bytes:
    """A file of empty messages: two bytes each here, a hundred in memory."""
    body = b"\x0a\x00" * count
    size, length = len(body), b""
    while size >= 128:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return b"\x08\x0a\x3a" + length + bytes([size]) + body


def test_a_file_of_empty_messages_is_counted_before_it_is_walked() -> None:
    few = replace(STRANGER, parts_max=20_000)
    with pytest.raises(Refused, match="more than 20000 parts"):
        precheck(parse(nodes_of_nothing(20_001)), few)
    with pytest.raises(Refused, match="has no name"):
        precheck(parse(nodes_of_nothing(19_000)), few)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\x20\x00\x00\x00ORTM" + bytes(64), "an .ort file"),
        (b"<!DOCTYPE html>", "not an ONNX file"),
        (relu().SerializeToString()[:-1], "not an ONNX file"),
        (ModelProto(ir_version=10).SerializeToString(), "without a graph"),
    ],
)
def test_what_is_no_graph_says_what_it_is(data: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        parse(data)
    assert caught.value.reason is Reason.MODEL_REFUSED


def test_a_graph_above_the_cap_of_protobuf_is_too_large() -> None:
    whole = memoryview(b"").cast("B")

    class Large(bytes):
        def __len__(self) -> int:
            return GRAPH_BYTES_MAX + 1

    with pytest.raises(Refused) as caught:
        parse(Large(whole))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.slow
@given(st.data())
def test_a_graph_of_flipped_bits_is_refused_or_taken_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(SEED)
    for place in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=8)):
        whole[place // 8] ^= 1 << place % 8
    cut = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    for policy in (STRANGER, LOCAL):
        try:
            checked = precheck(parse(bytes(whole[:cut])), policy)
        except Refused as refused:
            assert refused.detail.isprintable()
        else:
            assert checked.nodes < 100


SEED = model(
    """small (float[N] x, bool c) => (float[N] y) <float[2] w = {1, 2}, int64[1] s = {3}> {
        k = Constant <value_ints = [1, 2, 3]> ()
        z = own.f <alpha: float = 2.0>(x)
        y = If(c) <then_branch = one () => (float[N] a) { a = Neg(z) },
                   else_branch = two () => (float[N] b) { b = LeakyRelu <alpha = 0.5>(z) }>
    }""",
    more=', "own" : 1',
    functions='<domain: "own", opset_import: ["" : 21]> f <alpha> (a) => (b)'
    " { b = LeakyRelu <alpha: float = @alpha>(a) }",
).SerializeToString()
