# SPDX-License-Identifier: MIT
"""The interface of a graph: symbols, sums, optional inputs, states, and what else is said of it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from node.models.facts.derive import Facts, derive
from node.models.facts.describe import (
    Described,
    batch_symbol,
    comparator_hint,
    describe,
)
from protocol.compare import EXACT, F32, HALF
from protocol.errors import Refused, RemoteProtocolError
from protocol.limits import NAME_BYTES_MAX, SYMBOLS_MAX
from protocol.price import price_v1
from protocol.tensors import ElementType
from tests import models_in_code as models
from tests.node.models.facts_world import costs_of, interface_of, manifest_of
from tests.sketch import Sketch

INT64 = TensorProto.INT64


def sums(*inputs: Sequence[int | str | None]) -> ModelProto:
    """A graph whose inputs all go into one output."""
    sketch = Sketch()
    parts = [sketch.takes(f"x{place}", dims) for place, dims in enumerate(inputs)]
    sketch.add("Sum", *(sketch.add("ReduceSum", part, keepdims=0) for part in parts), into="y")
    sketch.gives("y")
    return sketch.model()


def states_of(facts: Facts) -> list[tuple[str, str]]:
    """State pairs by their names."""
    return [(facts.ports[pair.input].name, facts.ports[pair.output].name) for pair in facts.states]


def test_the_same_name_is_the_same_symbol() -> None:
    facts = derive(sums(["batch", 3], ["batch", "length"], [None, None]))
    assert facts.symbols == ("batch", "length", "x2.0", "x2.1")
    with pytest.raises(RemoteProtocolError):
        interface_of(facts).bind([(2, 3), (4, 1), (1, 1)])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("past_sequence_length + sequence_length", 12),
        ("past_sequence_length+1", 6),
        ("2 * past_sequence_length", 10),
        ("sequence_length + 2*past_sequence_length + 3", 20),
    ],
)
def test_a_name_that_is_a_sum_of_others_is_that_sum(text: str, value: int) -> None:
    facts = derive(sums([text], ["past_sequence_length"], ["sequence_length"]))
    assert facts.symbols == ("past_sequence_length", "sequence_length")
    interface = interface_of(facts)
    assert interface.bind([(value,), (5,), (7,)])[:2] == (5, 7)
    with pytest.raises(RemoteProtocolError):
        interface.bind([(value + 1,), (5,), (7,)])


@pytest.mark.parametrize("text", ["past + new", "n * m", "n - 1", "n // 2", "3 + ", "+", "n/2"])
def test_a_name_that_is_no_sum_of_others_is_a_name(text: str) -> None:
    facts = derive(sums([text], ["n"], ["m"]))
    assert text in facts.symbols


def test_names_become_what_a_manifest_takes() -> None:
    long = "sequence" * 20
    facts = derive(sums([long], [long + "x"], ["a\u202eb"], ["a?b"]))
    assert manifest_of(facts).broken_rule() == ""
    assert len(set(facts.symbols)) == 4
    assert all(len(name.encode()) <= NAME_BYTES_MAX for name in facts.symbols)


def test_more_symbols_than_a_manifest_takes_are_refused() -> None:
    assert len(derive(sums(*([None] for _ in range(SYMBOLS_MAX)))).symbols) == SYMBOLS_MAX
    for count in (SYMBOLS_MAX + 1, 1000, 3000):
        with pytest.raises(Refused, match="at most"):
            derive(sums(*([None] for _ in range(count))))
    sketch = Sketch()  # unnamed ones that are equal in the end are one
    parts = [sketch.takes(f"x{place}", [None]) for place in range(200)]
    sketch.gives(sketch.add("Sum", *parts))
    assert derive(sketch.model()).symbols == ("x0.0",)


def test_a_symbol_of_a_default_is_nobody_elses() -> None:
    facts = derive(models.adaptable(width=16))
    assert facts.symbols == ("batch", "rank", "rank (2)")
    assert [port.optional for port in facts.ports] == [0, 1, 1, 0]
    interface = interface_of(facts)
    plain = interface.bind([(3, 16)])
    adapted = interface.bind([(3, 16)], {"lora_A": (16, 4), "lora_B": (4, 16)})
    assert plain == (3, 0, 0)
    assert adapted == (3, 4, 4)
    prices = [price_v1(costs_of(facts), values, 0) for values in (plain, adapted)]
    assert prices[0] <= prices[1]
    flops = [
        sum(c.count * c.flops.at(values) for c in costs_of(facts)) for values in (plain, adapted)
    ]
    assert flops[1] - flops[0] == 2 * 3 * 16 * 4 * 2


def with_default(dims: Sequence[int | str], default: Sequence[int], ir: int = 10) -> ModelProto:
    """A graph of two inputs, the second of which has a default."""
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    sketch.takes("w", dims)
    sketch.put(np.zeros(default), "w")
    sketch.add("MatMul", "x", "w", into="y")
    sketch.gives("y")
    model = sketch.model()
    model.ir_version = ir
    return model


def test_a_default_is_as_large_as_it_is() -> None:
    """A symbol that nothing binds is 0: a default of any other size would not be paid for."""
    symbolic: list[list[int | str]] = [[4, "m"], ["k", "m"], [4, "n"], ["n", "n"]]
    for dims in symbolic:
        facts = derive(with_default(dims, [4, 10**4]))
        assert facts.symbols == ("n",)
        assert interface_of(facts).inputs[1].dims == ((0, 4), (0, 10**4))
    for wrong in ([4, 5], [4]):
        with pytest.raises(Refused, match="the default of 'w'"):
            derive(with_default(wrong, [4, 6]))


def test_what_has_a_default_is_not_read_as_a_shape() -> None:
    """An adapter could say another one."""
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    sketch.takes("shape", [2], INT64)
    sketch.put([-1, 2], "shape")
    sketch.add("Reshape", "x", "shape", into="y")
    sketch.gives("y")
    with pytest.raises(Refused, match="depends on the data of input 1"):
        derive(sketch.model())


def test_before_ir_4_a_default_is_a_constant() -> None:
    facts = derive(with_default([4, 6], [4, 6], ir=3))
    assert [port.name for port in facts.ports] == ["x", "y"]
    assert [port.name for port in describe(with_default([4, 6], [4, 6], ir=3))] == ["x", "y"]


def test_states_are_found_by_their_names() -> None:
    assert states_of(derive(models.decoder(layers=2))) == [
        (f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}")
        for layer in range(2)
        for kind in ("key", "value")
    ]
    assert states_of(derive(models.recurrent())) == [
        ("h_in", "h_out"),
        ("c_in", "c_out"),
        ("g_in", "g_out"),
    ]
    assert states_of(derive(models.encoder())) == []


@pytest.mark.parametrize(
    ("name", "other", "paired"),
    [
        ("past_key_0", "present_key_0", True),
        ("past_key_values.3.decoder.key", "present.3.decoder.key", True),
        ("past_key_values_3", "present_key_values_3", True),
        ("h_0", "h_n", True),
        ("h0", "hn", True),
        ("state", "stateN", True),
        ("state_in", "state_out", True),
        ("x", "y", False),
        ("past_1", "present_2", False),
        ("passed", "present", False),
    ],
)
def test_names_that_are_a_state(name: str, other: str, *, paired: bool) -> None:
    def states(dims: Sequence[int | str], element: int = TensorProto.FLOAT) -> int:
        sketch = Sketch()
        sketch.takes(name, dims)
        sketch.takes("new", ["s", 2])
        grown = sketch.add("Concat", name, "new", axis=0)
        sketch.add("Cast", grown, to=element, into=other)
        sketch.gives(other, element=element)
        return len(derive(sketch.model()).states)

    assert states(["p", 2]) == int(paired)
    assert states(["p", 2], TensorProto.FLOAT16) == 0


def test_a_state_keeps_its_shape_but_for_one_axis() -> None:
    sketch = Sketch()
    sketch.takes("past", ["a", "b", 2])
    sketch.add("Tile", "past", sketch.put([2, 2, 1]), into="present")
    sketch.gives("present")
    assert derive(sketch.model()).states == ()


def test_a_graph_without_a_price_still_has_ports() -> None:
    sketch = Sketch()
    sketch.takes("x", ["n", None, 3], TensorProto.FLOAT16)
    sketch.takes("open", None)
    sketch.takes("w", ["r"])
    sketch.put(np.zeros(0), "w")
    sketch.add("NonZero", "x", into="y")
    sketch.gives("y", [2, "found"], INT64)
    model = sketch.model()
    bag = helper.make_tensor_sequence_value_info("bag", TensorProto.FLOAT, None)
    model.graph.input.append(bag)
    model.graph.input.add(name="odd").type.tensor_type.elem_type = 99
    assert describe(model) == (
        Described("x", False, ElementType.FLOAT16, False, ("n", "", 3)),
        Described("open", False, ElementType.FLOAT, False, None),
        Described("w", False, ElementType.FLOAT, True, ("r",)),
        Described("bag", False, None, False, None),
        Described("odd", False, None, False, None),
        Described("y", True, ElementType.INT64, False, (2, "found")),
    )


def test_the_best_comparator_that_a_graph_could_have() -> None:
    assert comparator_hint(models.mlp()).comparator == F32
    dynamic = comparator_hint(models.quantised())
    assert (dynamic.comparator, dynamic.batchable) == (EXACT, False)
    assert "DynamicQuantizeLinear" in dynamic.why
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    sketch.add("ArgMax", sketch.add("MatMul", "x", sketch.weight(4, 4)), axis=1, into="y")
    sketch.gives("y", element=INT64)
    whole = comparator_hint(sketch.model())
    assert (whole.comparator, whole.batchable) == (EXACT, True)
    half = models.mlp()
    half.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.zeros((32, 16), np.float16), half.graph.initializer[0].name)
    )
    assert comparator_hint(half).comparator == HALF
    sketch = Sketch()
    sketch.takes("x", ["n"])
    back = sketch.add(
        "Cast", sketch.add("Cast", "x", to=TensorProto.BFLOAT16), to=TensorProto.FLOAT
    )
    sketch.gives(back)
    assert comparator_hint(sketch.model()).comparator == HALF
    packed = models.quantised()
    for node in list(packed.graph.node)[1:]:
        packed.graph.node.remove(node)
    packed.graph.node[0].attribute.append(helper.make_attribute("accuracy_level", 4))
    assert not comparator_hint(packed).batchable


def test_items_share_a_call_along_the_first_axis_of_every_port() -> None:
    assert batch_symbol(derive(models.mlp())) == 0
    assert batch_symbol(derive(models.encoder())) == 0
    assert batch_symbol(derive(models.cnn())) == 0
    assert batch_symbol(derive(models.decoder())) == 0
    assert batch_symbol(derive(models.grouped_decoder())) == 0
    assert batch_symbol(derive(models.adaptable())) == 0
    assert batch_symbol(derive(models.recurrent())) is None  # its first axis is the length
    assert batch_symbol(derive(sums(["n", 2]))) is None  # one number for all
    assert batch_symbol(derive(sums([3, "n"]))) is None
    scalar = derive(sums(["n"], []))
    assert batch_symbol(replace(scalar, ports=scalar.ports[:1] + scalar.ports[2:])) is None
    square = Sketch()
    square.takes("x", ["n", "n"])
    square.gives(square.add("Relu", "x"))
    assert batch_symbol(derive(square.model())) is None
    grown = Sketch()
    grown.takes("x", ["n", 2])
    grown.takes("m", ["n", "n + 1"])
    grown.gives(grown.add("Relu", "x"))
    assert batch_symbol(derive(grown.model())) is None
