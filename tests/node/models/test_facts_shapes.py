# SPDX-License-Identifier: MIT
"""Every tensor of a model has the shape and the type that its facts predict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from node.models.facts.derive import derive
from protocol.errors import Refused, RemoteProtocolError
from protocol.reasons import Reason
from tests import models_in_code as models
from tests.node.models.facts_world import disagreements, interface_of, outside
from tests.sketch import Sketch

Sizes = Mapping[str, int]


def text(batch: int, length: int, past: int | None = None) -> Sizes:
    """Sizes of a model of language."""
    sizes = {"batch_size": batch, "sequence_length": length}
    if past is not None:
        sizes |= {"past_sequence_length": past, "total_sequence_length": past + length}
    return sizes


TEXTS = [text(2, 7), text(1, 1), text(3, 64)]
STEPS = [text(2, 3, 5), text(1, 4, 0), text(1, 1, 40), text(3, 2, 1)]
IMAGES = [
    {"batch": batch, "height": height, "width": width}
    for batch, height, width in ((2, 32, 45), (1, 17, 16), (3, 224, 96), (1, 9, 33))
]
BLOCKS = [{"batch": 2, "height": 16, "width": 8}, {"batch": 1, "height": 64, "width": 4}]
MODELS: Mapping[str, tuple[ModelProto, Sequence[Sizes]]] = {
    "mlp": (models.mlp(), [{"batch": 1}, {"batch": 9}]),
    "cnn": (models.cnn(), IMAGES),
    "unet": (models.unet(), BLOCKS),
    "encoder": (models.encoder(), TEXTS),
    "decoder": (models.decoder(), STEPS),
    "decoder in steps": (models.decoder(fused=False), STEPS),
    # Its kernel takes several tokens of several texts only at the beginning.
    "grouped decoder": (
        models.grouped_decoder(layers=2),
        [text(2, 3, 0), text(1, 4, 5), text(2, 1, 9)],
    ),
    "recurrent": (models.recurrent(), [{"length": 4, "batch": 2}, {"length": 1, "batch": 1}]),
    "quantised": (models.quantised(), [{"batch": 2, "length": 3}, {"batch": 1, "length": 1}]),
    "8 bits": (models.quantised(bits=8), [{"batch": 2, "length": 3}]),
    "adaptable": (models.adaptable(), [{"batch": 3}]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_of_a_model_is_as_predicted(name: str) -> None:
    model, sizes = MODELS[name]
    for seed, each in enumerate(sizes):
        assert disagreements(model, models.inputs(model, each, seed)) == [], each


@pytest.mark.parametrize("name", MODELS)
def test_a_shape_does_not_depend_on_where_the_weights_are(name: str) -> None:
    model, _ = MODELS[name]
    emptied = ModelProto()
    emptied.CopyFrom(model)
    outside(emptied.graph)
    assert derive(emptied) == derive(model)


def microsoft(op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> ModelProto:
    """A graph of one operator of ONNX Runtime's own. An input is dims, or dims and an element."""
    sketch = Sketch()
    names = []
    for place, given in enumerate(inputs):
        typed = len(given) == 2 and isinstance(given[0], tuple)
        dims, element = given if typed else (given, TensorProto.FLOAT)
        names.append(sketch.takes(f"x{place}", dims, element))
    made = [f"y{place}" for place in range(outputs)]
    sketch.many(op, names, made, domain="com.microsoft", **attributes)
    for name in made:
        sketch.gives(name)
    return sketch.model()


INT8, UINT8 = TensorProto.INT8, TensorProto.UINT8
SCALAR: tuple[int, ...] = ()
ALONE = {
    "plain": microsoft("FusedMatMul", ("a", "b", "c"), ("a", "c", "d")),
    "turned left": microsoft("FusedMatMul", ("a", "c", "b"), ("a", "c", "d"), transA=1),
    "turned right": microsoft("FusedMatMul", ("a", "b", "c"), ("a", "d", "c"), transB=1),
    "turned both": microsoft(
        "FusedMatMul", ("a", "c", "b"), ("a", "d", "c"), transA=1, transB=1, alpha=0.5
    ),
    "rows first": microsoft("FusedMatMul", ("b", "a", "c"), ("a", "c", "d"), transBatchA=1),
    "rows first of all": microsoft(
        "FusedMatMul", ("b", "e", "a", "c"), ("c", "e", "a", "d"), transBatchA=1, transBatchB=1
    ),
    "last first of all": microsoft(
        "FusedMatMul",
        ("c", "e", "a", "b"),
        ("d", "e", "a", "c"),
        transA=1,
        transB=1,
        transBatchA=1,
        transBatchB=1,
    ),
    "a vector": microsoft("FusedMatMul", ("c",), ("c", "d")),
    "gelu": microsoft("Gelu", ("a", "b")),
    "quick gelu": microsoft("QuickGelu", ("a", "b")),
    "bias gelu": microsoft("BiasGelu", ("a", "b", 8), (8,)),
    "skip": microsoft("SkipLayerNormalization", *[("a", "b", 8)] * 2, (8,), (8,), outputs=4),
    "simple skip": microsoft(
        "SkipSimplifiedLayerNormalization", *[("a", "b", 8)] * 2, (8,), outputs=4
    ),
    "dynamic": microsoft("DynamicQuantizeMatMul", ("a", 8), ((8, "d"), INT8), (1,)),
    "dynamic columns": microsoft("DynamicQuantizeMatMul", ("a", "b", 8), ((8, 6), INT8), (6,)),
    "to float": microsoft("MatMulIntegerToFloat", (("a", 8), UINT8), ((8, "d"), UINT8), (1,), (1,)),
    "added": microsoft(
        "QLinearAdd",
        *[(("a", "b"), UINT8), SCALAR, (SCALAR, UINT8)],
        *[(("b",), UINT8), SCALAR, (SCALAR, UINT8)],
        *[SCALAR, (SCALAR, UINT8)],
    ),
    "rotary": microsoft(
        "RotaryEmbedding",
        *[("a", 2, "b", 16), (("a", "b"), TensorProto.INT64), (64, 8), (64, 8)],
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_operators_of_onnx_runtime_are_as_predicted(name: str) -> None:
    model = ALONE[name]
    for sizes in ({"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}, dict.fromkeys("abcde", 1)):
        assert disagreements(model, models.inputs(model, sizes)) == [], sizes


def test_a_cache_of_positions_bounds_the_length_of_a_text() -> None:
    """The encoder has 64 positions: ONNX Runtime would cut, and then fail or do other work."""
    model = models.encoder()
    interface = interface_of(derive(model))
    for length, fits in ((64, True), (65, False), (10**6, False)):
        shape = [(1, length), (1, length)]
        if fits:
            assert interface.bind(shape)[:2] == (1, length)
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                interface.bind(shape)
            assert caught.value.reason is Reason.INPUT_DEVIATES


def test_an_image_smaller_than_its_windows_is_no_item() -> None:
    model = models.cnn()
    interface = interface_of(derive(model))
    assert interface.bind([(1, 3, 9, 9)])
    with pytest.raises(RemoteProtocolError):
        interface.bind([(1, 3, 4, 9)])


def test_an_output_is_as_it_becomes_and_not_as_it_is_declared() -> None:
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    sketch.add("Concat", "x", "x", axis=0, into="y")
    sketch.gives("y", ["n", 4])
    model = sketch.model()
    assert interface_of(derive(model)).output_shape((3, 6)) == ((6, 4),)
    assert disagreements(model, {"x": np.ones((3, 4), np.float32)}) == []


def test_what_is_said_of_the_inside_is_not_read() -> None:
    model = models.encoder()
    lying = ModelProto()
    lying.CopyFrom(model)
    for node in lying.graph.node:
        for name in node.output:
            lying.graph.value_info.add(name=name).type.tensor_type.elem_type = TensorProto.DOUBLE
    assert derive(lying) == derive(model)


def joined(*dims: Sequence[int | str | None], op: str = "Add", **attributes: Any) -> ModelProto:
    """A graph of one operator over inputs of these dimensions."""
    sketch = Sketch()
    names = [sketch.takes(f"x{place}", each) for place, each in enumerate(dims)]
    sketch.add(op, *names, into="y", **attributes)
    sketch.gives("y")
    return sketch.model()


def symbols_of(model: ModelProto) -> tuple[str, ...]:
    return derive(model).symbols


def test_dimensions_that_meet_become_one() -> None:
    assert symbols_of(joined(["n", 4], ["m", 4])) == ("n",)
    assert symbols_of(joined(["n", "k"], ["m", 4])) == ("n",)
    assert symbols_of(joined(["a"], ["b"], ["c"], ["d"], op="Sum")) == ("a",)
    assert symbols_of(joined(["n", "k"], ["l", "m"], op="MatMul")) == ("n", "k", "m")
    assert symbols_of(joined([None, 4], [None, 4])) == ("x0.0",)
    facts = derive(joined(["n"], ["m"]))
    interface = interface_of(facts)
    assert interface.bind([(3,), (3,)]) == (3,)
    with pytest.raises(RemoteProtocolError):
        interface.bind([(3,), (1,)])  # a broadcast that it would have been, and now is refused


def test_a_dimension_that_meets_one_stays_as_it_is() -> None:
    model = joined(["n", 1], [1, "m"])
    assert symbols_of(model) == ("n", "m")
    for sizes in ({"n": 3, "m": 2}, {"n": 1, "m": 1}):
        assert disagreements(model, models.inputs(model, sizes)) == []


def test_a_dimension_that_is_a_sum_takes_its_place_wherever_it_is_met() -> None:
    sketch = Sketch()
    for name, length in (("past", "p"), ("new", "s"), ("all", "t")):
        sketch.takes(name, [length, 2])
    sketch.add("Add", sketch.add("Concat", "past", "new", axis=0), "all", into="y")
    sketch.gives("y")
    facts = derive(sketch.model())
    assert facts.symbols == ("p", "s")
    assert interface_of(facts).bind([(3, 2), (4, 2), (7, 2)])[:2] == (3, 4)
    with pytest.raises(RemoteProtocolError):
        interface_of(facts).bind([(3, 2), (4, 2), (8, 2)])


def test_halves_meet_what_they_are_halves_of_when_that_is_even() -> None:
    """What comes back up has twice the half: ONNX Runtime takes it, or fails and does no work."""
    sketch = Sketch()
    sketch.takes("x", [1, 1, "n"])
    half = sketch.add("MaxPool", "x", kernel_shape=[2], strides=[2])
    scales = sketch.put(np.array([1, 1, 2], np.float32))
    sketch.add("Add", sketch.add("Resize", half, "", scales), "x", into="y")
    sketch.gives("y")
    model = sketch.model()
    for size in (2, 8, 100):
        assert disagreements(model, {"x": np.ones((1, 1, size), np.float32)}) == []


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (joined(["n"], [3, "n", 2], op="Concat", axis=0), "parts of different ranks"),
        (joined([3], [4]), "3 and 4 should be equal"),
        (joined(["n", 3], [4, 5], op="MatMul"), "3 and 4 should be equal"),
        (joined(["n", "n"], op="Squeeze"), "which axes have size 1"),
        (joined(["n"], op="NonZero"), "known only afterwards"),
        (joined(["n"], op="Einstein"), "no rule"),
        (joined(["n"] * 17, op="Relu"), "rank 17"),
    ],
)
def test_what_cannot_be_said_before_is_refused_by_the_name_of_the_node(
    model: ModelProto, why: str
) -> None:
    with pytest.raises(Refused) as caught:
        derive(model)
    assert caught.value.reason is Reason.NOT_PRICEABLE
    assert why in caught.value.detail
    if "rank 17" not in why:
        assert model.graph.node[0].name in caught.value.detail


def test_a_shape_that_depends_on_data_is_refused_by_the_name_of_the_node() -> None:
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    sketch.takes("shape", [2], TensorProto.INT64)
    sketch.add("Reshape", "x", "shape", into="y")
    sketch.gives("y")
    with pytest.raises(Refused) as caught:
        derive(sketch.model())
    assert caught.value.reason is Reason.NOT_PRICEABLE
    assert "'reshape_0' ('Reshape')" in caught.value.detail
    assert "depends on the data of input 1" in caught.value.detail
