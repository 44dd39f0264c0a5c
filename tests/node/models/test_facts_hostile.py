# SPDX-License-Identifier: MIT
"""Graphs that were made to hurt: refused by name or priced, never anything else, never slow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from node.models.facts.derive import derive
from node.models.facts.describe import batch_symbol, comparator_hint, describe
from protocol.errors import Refused
from protocol.reasons import Reason
from tests import models_in_code as models
from tests.node.models.facts_world import manifest_of
from tests.sketch import Dims, Sketch

LEAST, MOST = -(2**63), 2**63 - 1
HUGE = (LEAST, MOST, 2**62, 2**33, 2**31, -(2**31), -1)
INT64 = TensorProto.INT64


def refused(model: ModelProto) -> str:
    """Say why a graph is refused."""
    with pytest.raises(Refused) as caught:
        derive(model)
    assert caught.value.reason is Reason.NOT_PRICEABLE
    return caught.value.detail


def one(op: str, *dims: Dims, extra: Sequence[object] = (), **attributes: Any) -> ModelProto:
    """A graph of one operator, over inputs of these dimensions and then constants."""
    sketch = Sketch()
    names = [sketch.takes(f"x{place}", each) for place, each in enumerate(dims)]
    names += [sketch.put(value) for value in extra]
    sketch.add(op, *names, into="y", **attributes)
    sketch.gives("y")
    return sketch.model()


IMAGE: Dims = ["n", 3, 8, 8]
TEXT: Dims = ["n", 4, 8]
WEIGHT = np.zeros((4, 3, 3, 3))
HOSTILE: Mapping[str, Callable[[int], ModelProto]] = {
    "strides": lambda n: one("Conv", IMAGE, extra=[WEIGHT], strides=[n, n]),
    "pads": lambda n: one("Conv", IMAGE, extra=[WEIGHT], pads=[n, 0, 0, n]),
    "dilations": lambda n: one("Conv", IMAGE, extra=[WEIGHT], dilations=[n, 1]),
    "groups": lambda n: one("Conv", IMAGE, extra=[WEIGHT], group=n),
    "kernel": lambda n: one("MaxPool", IMAGE, kernel_shape=[n, n]),
    "output padding": lambda n: one(
        "ConvTranspose", ["n", 4, 8, 8], extra=[WEIGHT], output_padding=[n, n]
    ),
    "output shape": lambda n: one(
        "ConvTranspose", ["n", 4, 8, 8], extra=[WEIGHT], output_shape=[n, n]
    ),
    "block": lambda n: one("DepthToSpace", IMAGE, blocksize=n),
    "axis": lambda n: one("Flatten", ["n", 2], axis=n),
    "axes": lambda n: one("ReduceSum", ["n", 2], extra=[[n]]),
    "order": lambda n: one("Transpose", ["n", 2], perm=[n, 0]),
    "element": lambda n: one("Cast", ["n"], to=n),
    "split": lambda n: one("Split", ["n", 2], num_outputs=n),
    "heads": lambda n: one("Attention", *[TEXT] * 3, q_num_heads=n, kv_num_heads=n),
    "hidden": lambda n: one(
        "LSTM", [3, "n", 4], extra=[np.zeros((1, 8, 4)), np.zeros((1, 8, 2))], hidden_size=n
    ),
    "columns": lambda n: one("Gemm", ["n", 4], ["n", 4], transA=n, transB=n),
    "filled": lambda n: one("ConstantOfShape", extra=[[n, n]]),
    "expanded": lambda n: one("Expand", ["n", 1], extra=[[n, n]]),
    "tiled": lambda n: one("Tile", ["n", 1], extra=[[n, n]]),
    "counted": lambda n: one("Range", extra=[np.int64(0), np.int64(n), np.int64(1)]),
    "padded": lambda n: one("Pad", ["n", 2], extra=[[0, n, 0, n]]),
    "resized": lambda n: one("Resize", IMAGE, extra=[np.zeros(0), np.array([n] * 4, np.float32)]),
    "best": lambda n: one("TopK", ["n", 2], extra=[[n]]),
    "kept": lambda n: one("ReduceMax", ["n", 2], keepdims=n),
}


# What is fine for some: an axis from behind, pads that take away, a range of nothing or of much.
FINE = {
    **dict.fromkeys(("axis", "axes"), frozenset((-1,))),
    "padded": {-1, 2**31},
    "counted": {LEAST, -(2**31), -1, 2**31, 2**33},
    **dict.fromkeys(("filled", "expanded", "tiled", "best", "resized"), frozenset((2**31, 2**33))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_numbers_that_no_operator_takes_are_refused(name: str) -> None:
    for number in HUGE:
        if number not in FINE.get(name, ()):
            assert "node" in refused(HOSTILE[name](number)), number


@pytest.mark.parametrize(
    ("dims", "why"),
    [
        ([-1, 2], "a dimension of -1"),
        ([LEAST], "a dimension of"),
        ([2**34], "a dimension of"),
        (["n"] * 17, "rank 17"),
        (None, "does not say its shape"),
    ],
)
def test_an_input_of_no_shape_is_refused(dims: Dims, why: str) -> None:
    assert why in refused(one("Relu", dims))


def test_a_name_that_is_used_twice_or_never_made_is_refused() -> None:
    model = models.mlp()
    model.graph.node[1].input[0] = "nothing"
    assert "takes 'nothing', which nothing before it makes" in refused(model)
    model = models.mlp()
    model.graph.node[1].output[0] = "x"
    assert "makes 'x', which is there already" in refused(model)
    model = models.mlp()
    model.graph.initializer[1].name = model.graph.initializer[0].name
    assert "there twice" in refused(model)
    model = models.mlp()
    model.graph.output[0].name = "z"
    assert "the output 'z' is never made" in refused(model)
    model = models.mlp()
    model.graph.node.reverse()
    assert "which nothing before it makes" in refused(model)
    model = models.mlp()
    model.graph.output.append(model.graph.output[0])
    assert "outputs" in refused(model)
    model = models.mlp()
    model.graph.input.append(model.graph.input[0])
    assert "inputs" in refused(model)
    model = models.mlp()
    del model.graph.output[:]
    assert "0 outputs" in refused(model)


def test_what_was_to_be_gone_by_now_is_refused() -> None:
    model = models.mlp()
    model.functions.add(name="Gemm", domain="")
    assert "functions" in refused(model)
    model = models.mlp()
    model.graph.sparse_initializer.add()
    assert "sparse" in refused(model)
    for op in ("Loop", "If", "Scan", "RandomNormal", "Dropout", "NonMaxSuppression", "Unique"):
        assert "known only afterwards" in refused(one(op, ["n"]))


def test_only_what_an_output_needs_has_to_have_a_price() -> None:
    model = models.mlp()
    model.graph.node.add(op_type="NonZero", input=["x"], output=["unused"])
    assert derive(model) == derive(models.mlp())


@pytest.mark.parametrize("bits", [TensorProto.INT32, TensorProto.INT64])
def test_numbers_that_wrap_around_are_not_followed(bits: int) -> None:
    """`n - int32(n)` is nothing for small n, and billions for one of 2^32: work for free."""
    sketch = Sketch()
    sketch.takes("x", ["n", 0])
    length = sketch.dim("x", 0)
    narrow = sketch.add("Cast", sketch.add("Cast", length, to=bits), to=INT64)
    rest = sketch.add("Sub", length, narrow)
    sketch.gives(sketch.add("ConstantOfShape", sketch.add("Add", rest, sketch.put([4]))))
    facts = derive(sketch.model())
    assert [dim.value for dim in facts.dims if dim.port == 1] == [4]
    rules = [rule for rule in facts.derived if rule.add]  # what holds n below 2^31
    assert len(rules) == (bits == TensorProto.INT32)
    for narrower in (TensorProto.INT8, TensorProto.UINT8, TensorProto.FLOAT, TensorProto.UINT32):
        casts = [node for node in sketch.nodes if node.op_type == "Cast"]
        casts[0].attribute[0].i = narrower
        assert "depends on the data" in refused(sketch.model())


def test_shapes_that_come_out_of_a_walk_without_end_are_refused() -> None:
    sketch = Sketch()
    for place in range(40):
        sketch.takes(f"x{place}", [f"s{place}"])
    now = "x0"
    for place in range(1, 39):
        joined = sketch.add("Concat", now, f"x{place}", axis=0)
        now = sketch.add("Add", joined, f"x{place + 1}")
    sketch.gives(now)
    try:
        assert manifest_of(derive(sketch.model())).broken_rule() == ""
    except Refused as error:
        assert error.reason is Reason.NOT_PRICEABLE


def long_sums() -> ModelProto:
    """Sizes with as many terms as fit, over and over."""
    sketch = Sketch()
    parts = [sketch.takes(f"x{place}", [f"s{place}"]) for place in range(31)]
    now = joined = sketch.add("Concat", *parts, axis=0)
    for _ in range(20_000):
        now = sketch.add("Add", now, joined)
    sketch.gives(now)
    return sketch.model()


def long_values() -> ModelProto:
    """As many numbers that depend on a symbol as are followed, over and over."""
    sketch = Sketch()
    sketch.takes("x", ["n"])
    now = sketch.add("Expand", sketch.dim("x", 0), sketch.put([1024]))
    for place in range(5000):
        now = sketch.add(("Add", "Mul", "Div", "Mod", "Max")[place % 5], now, sketch.put([3]))
    sketch.gives(now, element=INT64)
    return sketch.model()


def squares() -> ModelProto:
    """A number that has twice as many digits after each node."""
    sketch = Sketch()
    sketch.takes("x", ["n"])
    now = sketch.add("Add", sketch.dim("x", 0), sketch.put([3]))
    for _ in range(5000):
        now = sketch.add("Mul", now, now)
    sketch.gives(sketch.add("ConstantOfShape", now))
    return sketch.model()


def floors() -> ModelProto:
    """Halves of halves."""
    sketch = Sketch()
    now = sketch.takes("x", [1, 1, "n"])
    weight = sketch.weight(1, 1, 3)
    for _ in range(3000):
        now = sketch.add("Conv", now, weight, strides=[2], pads=[2, 2])
    sketch.gives(now)
    return sketch.model()


@pytest.mark.slow
@pytest.mark.parametrize("build", [long_sums, long_values, squares, floors])
def test_work_without_end_is_refused(build: Callable[[], ModelProto]) -> None:
    refused(build())


@pytest.mark.slow
def test_fifty_thousand_nodes_are_no_problem_and_one_more_is() -> None:
    model = models.chain(50_000)
    assert derive(model).costs[0].count == 50_000
    model.graph.node.add(op_type="Relu", input=["x"], output=["z"])
    assert "50001 nodes" in refused(model)


# --- mutations ----------------------------------------------------------------------------------

ORIGINALS = [
    *(models.mlp(), models.cnn(), models.unet(), models.encoder(layers=1), models.recurrent()),
    *(models.decoder(layers=1), models.decoder(layers=1, fused=False), models.adaptable()),
    *(models.grouped_decoder(), models.quantised()),
]
NUMBERS = st.one_of(st.integers(-4, 9), st.sampled_from(HUGE), st.integers(LEAST, MOST))


def change_attribute(data: st.DataObject, model: ModelProto) -> None:
    """Put any number, word or kind into an attribute."""
    node = data.draw(st.sampled_from(list(model.graph.node)))
    if not node.attribute:
        node.attribute.add(name=data.draw(st.sampled_from(["axis", "axes", "to", "pads"])))
    attribute = data.draw(st.sampled_from(list(node.attribute)))
    match data.draw(st.integers(0, 4)):
        case 0:
            attribute.i = data.draw(NUMBERS)
        case 1:
            attribute.ints[:] = data.draw(st.lists(NUMBERS, max_size=6))
        case 2:
            kinds = st.sampled_from(AttributeProto.AttributeType.values())
            attribute.type = data.draw(kinds)  # type: ignore[assignment]  # the stub wants an enum
        case 3:
            attribute.s = data.draw(st.binary(max_size=8))
        case _:
            node.attribute.remove(attribute)


def change_node(data: st.DataObject, model: ModelProto) -> None:
    """Give a node other inputs, another operator, or none of its own."""
    nodes = list(model.graph.node)
    node: NodeProto = data.draw(st.sampled_from(nodes))
    names = sorted({name for each in nodes for name in (*each.input, *each.output)})
    match data.draw(st.integers(0, 4)):
        case 0 if node.input:
            place = data.draw(st.integers(0, len(node.input) - 1))
            node.input[place] = data.draw(st.sampled_from(names))
        case 1:
            node.input.append(data.draw(st.sampled_from(names)))
        case 2 if node.input:
            del node.input[-1]
        case 3:
            node.op_type = data.draw(st.sampled_from([each.op_type for each in nodes]))
        case _:
            node.output.append("another")


def change_constant(data: st.DataObject, model: ModelProto) -> None:
    """Give a constant other numbers, another shape or another type."""
    tensor = data.draw(st.sampled_from(list(model.graph.initializer)))
    match data.draw(st.integers(0, 3)):
        case 0:
            tensor.dims[:] = data.draw(st.lists(NUMBERS, max_size=5))
        case 1:
            tensor.data_type = data.draw(st.integers(0, 30))
        case 2 if tensor.data_type == INT64 and len(tensor.raw_data) >= 8:
            count = len(tensor.raw_data) // 8
            numbers = data.draw(st.lists(NUMBERS, min_size=count, max_size=count))
            tensor.raw_data = np.array(numbers, np.int64).tobytes()
        case _:
            tensor.raw_data = data.draw(st.binary(max_size=32))


def change_input(data: st.DataObject, model: ModelProto) -> None:
    """Declare an input to be something else."""
    tensor = data.draw(st.sampled_from(list(model.graph.input))).type.tensor_type
    if not tensor.shape.dim or data.draw(st.booleans()):
        tensor.elem_type = data.draw(st.integers(-1, 30))
        return
    dim = data.draw(st.sampled_from(list(tensor.shape.dim)))
    if data.draw(st.booleans()):
        dim.dim_value = data.draw(NUMBERS)
    else:
        dim.dim_param = data.draw(st.sampled_from(["", "n", "n + 1", "batch", "1", "n*n", "+"]))


MUTATIONS = (change_attribute, change_node, change_constant, change_input)


def mutated(data: st.DataObject) -> ModelProto:
    """One of the models with up to four changes."""
    model = ModelProto()
    model.CopyFrom(data.draw(st.sampled_from(ORIGINALS)))
    for _ in range(data.draw(st.integers(1, 4))):
        data.draw(st.sampled_from(MUTATIONS))(data, model)
    return model


@pytest.mark.slow
@given(st.data())
def test_whatever_a_graph_is_made_of_it_is_refused_or_has_a_manifest(data: st.DataObject) -> None:
    model = mutated(data)
    describe(model)
    comparator_hint(model)
    try:
        facts = derive(model)
    except Refused as error:
        assert error.reason is Reason.NOT_PRICEABLE
    else:
        assert manifest_of(facts).broken_rule() == ""
        batch_symbol(facts)
