# SPDX-License-Identifier: MIT
"""Functions are counted before they are inlined; a bomb is refused before it goes off."""

import pytest
from onnx import ModelProto

from node.models.functions import Expansion, count_expansion
from node.models.policy import CALL_DEPTH_MAX, INLINED_BYTES_MAX, LOCAL, STRANGER
from node.models.precheck import parse, precheck
from protocol.errors import Refused
from tests.node.models.small import model
from tests.node.models.test_normalise import normal


def chain(depth: int, width: int = 2) -> ModelProto:
    """Functions of which each calls the next one so many times: the most for its bytes."""
    functions = []
    for level in range(depth):
        callee = f"own.f{level + 1}" if level < depth - 1 else "Relu"
        body = " ".join(f"b{n + 1} = {callee} (b{n})" for n in range(width))
        functions.append(
            f'<domain: "own", opset_import: ["" : 21, "own" : 1]> f{level}'
            f" (b0) => (b{width}) {{ {body} }}"
        )
    text = "g (float[N] x) => (float[N] y) { y = own.f0 (x) }"
    return model(text, more=', "own" : 1', functions=" ".join(functions))


def test_what_a_call_becomes_is_counted() -> None:
    made = chain(3)
    counted = count_expansion(made, STRANGER)
    assert (counted.nodes, counted.depth) == (8, 4)
    assert len(normal(made).model.graph.node) == counted.nodes


@pytest.mark.parametrize("depth", [16, 17, 40])
def test_a_bomb_of_functions_is_refused_before_it_goes_off(depth: int) -> None:
    made = chain(depth)
    assert len(made.SerializeToString()) < 8_000
    precheck(made, STRANGER)  # every single thing in it is harmless
    with pytest.raises(Refused, match=r"nodes when its functions are inlined"):
        normal(made, STRANGER)


def test_as_many_nodes_as_the_protocol_has_may_come_of_functions() -> None:
    assert count_expansion(chain(15), STRANGER).nodes == 32768


@pytest.mark.parametrize("callee", ["f0", "f1"])
def test_a_function_that_calls_itself_is_refused(callee: str) -> None:
    made = chain(2, width=1)
    inner = made.functions[1].node[0]
    inner.domain, inner.op_type = "own", callee
    precheck(made, LOCAL)
    with pytest.raises(Refused, match=f"'{callee}' calls itself"):
        count_expansion(made, LOCAL)


def test_functions_may_call_each_other_only_so_deep() -> None:
    assert count_expansion(chain(CALL_DEPTH_MAX, width=1), LOCAL) == Expansion(
        1, count_expansion(chain(CALL_DEPTH_MAX, width=1), LOCAL).size_bytes, 0, CALL_DEPTH_MAX + 1
    )
    for deep in (CALL_DEPTH_MAX + 1, 500):
        with pytest.raises(Refused, match="deeper than 64"):
            count_expansion(chain(deep, width=1), LOCAL)


def test_calls_in_inner_graphs_are_counted_too() -> None:
    text = """g (float[N] x, bool c) => (float[N] y) {
        y = If(c) <then_branch = one () => (float[N] a) { a = own.f0 (x) },
                   else_branch = two () => (float[N] b) { b = own.f0 (x) }>
    }"""
    made = chain(4)
    outer = model(text, more=', "own" : 1')
    outer.functions.extend(made.functions)
    assert count_expansion(outer, STRANGER).nodes == 33


def test_large_things_in_functions_are_counted_by_their_bytes() -> None:
    made = chain(10)
    made.functions[-1].node[0].doc_string = "x" * (INLINED_BYTES_MAX // 400)
    with pytest.raises(Refused, match="bytes of nodes when its functions are inlined"):
        count_expansion(made, STRANGER)


def test_a_large_attribute_that_is_referred_to_often_is_counted_each_time() -> None:
    refers = "b = LabelEncoder <keys_strings: strings = @keys>(a)"
    repeated = " ".join(
        f"v{n} = LabelEncoder <keys_strings: strings = @keys>(a)" for n in range(99)
    )
    function = (
        f'<domain: "own", opset_import: ["" : 21]> f <keys> (a) => (b) {{ {refers} {repeated} }}'
    )
    made = model(
        'g (string[N] x) => (string[N] y) { y = own.f <keys = ["a"]>(x) }',
        more=', "own" : 1',
        functions=function,
    )
    assert count_expansion(made, STRANGER).references == 100
    made.graph.node[0].attribute[0].strings[0] = bytes(INLINED_BYTES_MAX // 99)
    with pytest.raises(Refused, match="bytes of nodes when its functions are inlined"):
        count_expansion(made, STRANGER)


@pytest.mark.slow
def test_a_large_default_that_is_filled_in_often_is_refused() -> None:
    made = model(
        "g (float[N] x) => (float[N] y) { a = own.f (x)  b = own.f (a)  y = own.f (b) }",
        more=', "own" : 1',
        functions='<domain: "own", opset_import: ["" : 21]> f <s: string = "x"> (a) => (b)'
        " { b = Relu(a) }",
    )
    normal(made)
    made.functions[0].attribute_proto[0].s = bytes(INLINED_BYTES_MAX // 2)
    with pytest.raises(Refused, match="bytes of default attributes"):
        normal(made)


def test_a_function_of_another_version_is_taken_where_its_operators_are_the_same() -> None:
    function = (
        '<domain: "own", opset_import: ["" : {version}]> f (a) => (b) {{ b = {operator}(a) }}'
    )
    text = "g (float[N] x) => (float[N] y) { y = own.f (x) }"
    same = function.format(version=18, operator="Sin")
    other = function.format(version=13, operator="Cast <to = 1>")
    assert (
        normal(model(text, more=', "own" : 1', functions=same)).model.graph.node[0].op_type == "Sin"
    )
    with pytest.raises(Refused, match=r"written for version 13 of '', the model for 21: 'Cast'"):
        normal(model(text, more=', "own" : 1', functions=other))


def test_operator_sets_that_only_functions_use_are_taken_along() -> None:
    made = model(
        "g (float[N] x) => (float[N] y) { y = own.f (x) }",
        more=', "own" : 1',
        functions='<domain: "own", opset_import: ["" : 21, "com.microsoft" : 1]> f (a) => (b)'
        " { b = com.microsoft.Gelu(a) }",
    )
    done = parse(normal(made).graph)
    assert [(each.domain, each.version) for each in done.opset_import] == [
        ("", 21),
        ("com.microsoft", 1),
    ]
