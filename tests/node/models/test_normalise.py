# SPDX-License-Identifier: MIT
"""A normal graph computes what the graph did, is always the same bytes, and stays itself."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from node.models.constants import check_tensor, raw_bytes
from node.models.normalise import Normal, normalise
from node.models.policy import BLOB_BYTES_MIN, LOCAL, STRANGER, Policy
from node.models.precheck import parse, precheck
from node.models.shelf import Claimed
from protocol.errors import Refused
from protocol.tensors import ElementType
from tests.node.models.small import HEX, Box, doing, external, having, model, node, tensor

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

RAMP = "{" + ", ".join(str(number % 7) for number in range(1024)) + "}"
SCALE = '<domain: "own", opset_import: ["" : 21]> scale <by: float = 3.0> (a) => (b)'
SAMPLES = {
    "plain": model("g (float[1024] x) => (float[1024] y) { y = Relu(x) }"),
    "functions": model(
        """g (float[1024] x) => (float[1024] y) {
            a = own.twice <by: float = 2.0>(x)
            y = own.scale (a)
        }""",
        more=', "own" : 1, "gone" : 7',
        functions=f"""
            {SCALE} {{ k = Constant <value_float: float = @by> ()  b = Mul(a, k) }}
            <domain: "own", opset_import: ["" : 21, "own" : 1]> twice <by> (a) => (b)
            {{ c = own.scale <by: float = @by>(a)  b = Add(c, a) }}
            <domain: "own", opset_import: ["" : 21]> unused (a) => (b) {{ b = Neg(a) }}""",
    ),
    "older function": model(
        "g (float[1024] x) => (float[1024] y) { y = own.f (x) }",
        more=', "own" : 1',
        functions='<domain: "own", opset_import: ["" : 18]> f (a) => (b) { b = Sin(a) }',
    ),
    "dropout": model(
        """g (float[1024] x) => (float[1024] y, float[1024] z) <bool no = {0}> {
            r = Constant <value_float: float = 0.5> ()
            a, m = Dropout(x, r)
            b = Dropout(a, r, no)
            c = Abs(b)
            y = Dropout(c)
            z = Exp(b)
        }"""
    ),
    "weights": model(
        f"g (float[1024] x) => (float[1024] y) <float[1024] w = {RAMP}, float[1024] v = {RAMP}>"
        " { a = Mul(x, w)  y = Add(a, v) }"
    ),
    "large constants": model(
        f"""g (float[1024] x) => (float[1024] y, float[1024] k) {{
            k = Constant <value = float[1024] {RAMP}> ()
            f = Constant <value_floats = [{", ".join(["0.5"] * 1024)}]> ()
            i = Constant <value_ints = [{", ".join(["3"] * 512)}]> ()
            c = Cast <to = 1>(i)
            j = Concat <axis = 0>(c, c)
            a = Mul(x, k)  b = Add(a, f)  y = Sub(b, j)
        }}"""
    ),
    "inner graphs": model(
        f"""g (float[1024] x, bool c) => (float[1024] y) {{
            y = If(c) <
                then_branch = one () => (float[1024] a)
                    <float[1024] w = {RAMP}> {{ d = Dropout(x)  a = Mul(d, w) }},
                else_branch = two () => (float[1024] b)
                    {{ b = Constant <value = float[1024] {RAMP}> () }}>
        }}"""
    ),
    "default of an input": model(
        f"g (float[1024] x, float[1024] w) => (float[1024] y) <float[1024] w = {RAMP}>"
        " { y = Mul(x, w) }"
    ),
    "old": model(
        f"g (float[1024] x, float[1024] w) => (float[1024] y) <float[1024] w = {RAMP}>"
        " { y = Mul(x, w) }",
        ir=3,
        opset=7,
    ),
    "spelled domain": doing(node("Relu", domain="ai.onnx")),
    "strings": model(
        'g (string[1] x) => (bool[2] y) <string[2] w = {"a", "b"}> { y = Equal(x, w) }'
    ),
}


def normal(made: ModelProto, policy: Policy = LOCAL, box: Box | None = None) -> Normal:
    """Normalise as the inspector does, from bytes."""
    model = parse(made.SerializeToString())
    precheck(model, policy)
    done = normalise(model, policy, box or Box())
    precheck(done.model, policy, normal=True)
    return done


def results(path: Path, feeds: Mapping[str, object]) -> list[object]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, ["CPUExecutionProvider"], enable_fallback=0)
    return list(session.run(None, feeds))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_normal_graph_computes_the_same(name: str, tmp_path: Path) -> None:
    sample, box = SAMPLES[name], Box()
    done = normal(sample, LOCAL, box)
    (tmp_path / "before.onnx").write_bytes(sample.SerializeToString())
    (tmp_path / "after.onnx").write_bytes(done.graph)
    for digest, data in box.blobs.items():
        (tmp_path / digest.hex()).write_bytes(data)
    count = 1024 if sample.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1024 else 3
    x = np.linspace(-3, 3, count, dtype=np.float32)
    for truth in (True, False) if name == "inner graphs" else (True,):
        feeds: dict[str, object] = {"x": np.array(["b"]) if name == "strings" else x}
        if name == "inner graphs":
            feeds["c"] = np.array(truth)
        before = results(tmp_path / "before.onnx", feeds)
        after = results(tmp_path / "after.onnx", feeds)
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_normal_graph_is_always_the_same_and_becomes_itself(name: str) -> None:
    once, again = normal(SAMPLES[name]), normal(SAMPLES[name])
    assert once.graph == again.graph
    assert once.tensors == again.tensors
    itself = normalise(parse(once.graph), LOCAL, Claimed())
    assert (itself.graph, itself.tensors) == (once.graph, once.tensors)


def test_what_people_write_into_a_graph_does_not_change_it() -> None:
    sample = SAMPLES["functions"]
    other = parse(sample.SerializeToString())
    other.producer_name, other.doc_string, other.graph.doc_string = "exporter 3", "mine", "its"
    other.graph.name, other.model_version, other.domain = "another", 7, "com.example"
    other.metadata_props.add(key="author", value="somebody")
    other.graph.value_info.add(name="a")
    other.graph.node[0].name, other.graph.node[0].doc_string = "first", "of all"
    other.graph.node[0].metadata_props.add(key="from", value="line 3")
    other.graph.input[0].doc_string = "in"
    other.graph.input[0].type.denotation = "TENSOR"
    other.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    other.training_info.add()
    unknown = parse(other.SerializeToString() + b"\xc2\x3e\x04what")  # field 1000 of a later onnx
    assert normal(unknown).graph == normal(sample).graph


def test_functions_are_written_out_and_unused_ones_are_gone() -> None:
    done = normal(SAMPLES["functions"]).model
    assert not done.functions
    assert [each.op_type for each in done.graph.node] == [
        "Constant",
        "Mul",
        "Add",
        "Constant",
        "Mul",
    ]
    assert [(each.domain, each.version) for each in done.opset_import] == [("", 21)]


# --- tensors ------------------------------------------------------------------------------


def test_large_tensors_are_blobs_and_equal_ones_are_one() -> None:
    box = Box()
    done = normal(SAMPLES["weights"], LOCAL, box)
    (data,) = box.blobs.values()
    digest = sha256(data).digest()
    assert [(each.name, each.blob, each.size_bytes) for each in done.tensors] == [
        ("v", digest, 4096),
        ("w", digest, 4096),
    ]
    for each in done.model.graph.initializer:
        assert not each.HasField("raw_data")
        entries = [(entry.key, entry.value) for entry in each.external_data]
        assert entries == [("location", digest.hex()), ("length", "4096")]


@pytest.mark.parametrize(("count", "is_blob"), [(BLOB_BYTES_MIN // 4, True), (1023, False)])
def test_small_tensors_stay_inside(count: int, is_blob: bool) -> None:
    box = Box()
    done = normal(having(tensor(dims=(count,), float_data=[1.5] * count)), STRANGER, box)
    (only,) = done.model.graph.initializer
    assert (only.data_location == TensorProto.EXTERNAL) == bool(box.blobs) == is_blob
    assert is_blob or only.raw_data == np.full(count, 1.5, "<f4").tobytes()


def test_tensors_in_files_are_taken_from_there_and_small_ones_come_inside() -> None:
    data = bytes(range(256)) * 40
    box = Box(weights=data)
    large = external((1024,), name="large", location="weights", offset="100", length="4096")
    small = external((3,), name="small", location="weights", offset="8")
    empty = external((0,), name="empty", location="weights")
    done = normal(having(large, small, empty), STRANGER, box)
    assert list(box.blobs.values()) == [data[100:4196]]
    by_name = {each.name: each for each in done.model.graph.initializer}
    assert by_name["small"].raw_data == data[8:20]
    assert by_name["empty"].raw_data == b""
    assert [(each.offset, each.size_bytes) for each in box.asked] == [(100, 4096), (8, 12)]


def test_a_tensor_from_a_file_is_held_to_its_type() -> None:
    bools = external((2,), location="flags")
    bools.data_type = TensorProto.BOOL
    with pytest.raises(Refused, match="a bool is 0 or 1"):
        normal(having(bools), STRANGER, Box(flags=b"\1\2"))


def test_large_tensors_of_inner_graphs_are_named_in_the_outermost() -> None:
    done = normal(SAMPLES["inner graphs"])
    assert [each.name for each in done.tensors] == ["b~1", "w~1"]
    (branch,) = done.model.graph.node
    operators = [[each.op_type for each in inner.g.node] for inner in branch.attribute]
    assert operators == [["Identity", "Mul"], ["Identity"]]


def test_a_large_tensor_where_a_node_wants_it_stays_there() -> None:
    """Only constants are the same as a tensor of the graph."""
    labels = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(np.arange(1024)),
        values_tensor=numpy_helper.from_array(np.arange(1024)),
    )
    box = Box()
    normal(doing(labels, more=', "ai.onnx.ml" : 4'), LOCAL, box)
    assert not box.blobs
    outside = external((1024,), location="w")
    encoder = helper.make_node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_tensor=outside
    )
    with pytest.raises(Refused, match="where a node wants them"):
        normal(doing(encoder, more=', "ai.onnx.ml" : 4'), LOCAL, Box(w=bytes(4096)))


def test_a_graph_that_is_not_normal_asks_a_shelf_that_only_believes() -> None:
    for made in (SAMPLES["weights"], having(external((2,), location=HEX))):
        with pytest.raises(Refused, match="not normalised"):
            normalise(parse(made.SerializeToString()), STRANGER, Claimed())


ELEMENTS = [
    each
    for each in ElementType
    if each is not ElementType.STRING and each.name not in {"FLOAT6E2M3", "FLOAT6E3M2"}
]


@pytest.mark.parametrize("element", ELEMENTS)
def test_values_are_written_as_raw_bytes_whatever_field_they_came_in(element: ElementType) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(int(element))
    values = np.array([1, 0, 1, 1, 0]).astype(dtype)
    raw = numpy_helper.from_array(values)
    made = TensorProto(name="w", data_type=int(element), dims=[5])
    field = helper.tensor_dtype_to_field(int(element))
    getattr(made, field).extend(_as_listed(values, raw, element))
    check_tensor(made, STRANGER)
    assert raw_bytes(made) == raw.raw_data


def _as_listed(values: Array, raw: TensorProto, element: ElementType) -> list[float]:
    """How ONNX lists the elements of a tensor in a field of numbers."""
    if element.bits < 8:
        return list(raw.raw_data)
    if element.name.startswith(("FLOAT8", "FLOAT16", "BFLOAT")):  # as bits
        return list(values.view(f"u{values.itemsize}"))
    if values.dtype.kind == "c":
        return list(values.view(f"f{values.itemsize // 2}"))
    return [int(each) for each in values] if element is ElementType.BOOL else list(values)


def test_bits_of_small_types_may_be_written_with_a_sign() -> None:
    for element, listed, raw in (
        (TensorProto.FLOAT16, -1, b"\xff\xff"),
        (TensorProto.UINT8, -1, b"\xff"),
        (TensorProto.INT8, -1, b"\xff"),
        (TensorProto.UINT16, 65535, b"\xff\xff"),
    ):
        assert raw_bytes(tensor(element=element, dims=(1,), int32_data=[listed])) == raw
    for element, listed in (
        (TensorProto.INT8, 128),
        (TensorProto.UINT8, 256),
        (TensorProto.INT16, 1 << 20),
    ):
        with pytest.raises(Refused, match="outside what its type"):
            raw_bytes(tensor(element=element, dims=(1,), int32_data=[listed]))


# --- Dropout ------------------------------------------------------------------------------


def dropout(
    call: str, *, opset: int = 21, more: str = "", outputs: str = "float[N] y"
) -> ModelProto:
    return model(
        f"g (float[N] x, bool t) => ({outputs})"
        " <bool no = {0}, bool yes = {1}, float r = {0.5}>"
        f" {{ {more} {call} y = Relu(a) }}",
        opset=opset,
    )


@pytest.mark.parametrize(
    "made",
    [
        dropout("a = Dropout(x)"),
        dropout("a = Dropout(x, r)"),
        dropout("a = Dropout(x, r, no)"),
        dropout("a, m = Dropout(x, r, no)"),
        dropout("a = Dropout(x, , k)", more="k = Constant <value = bool {0}>()"),
        dropout("a = Dropout <ratio = 0.5>(x)", opset=7),
        dropout("a, m = Dropout <ratio = 0.5>(x)", opset=11),
        dropout("b = Dropout(x) c = Dropout(b) a = Dropout(c)"),
    ],
)
def test_a_dropout_that_does_nothing_is_gone(made: ModelProto) -> None:
    (done,) = (
        each for each in normal(made, STRANGER).model.graph.node if each.op_type != "Constant"
    )
    assert (done.op_type, list(done.input)) == ("Relu", ["x"])


@pytest.mark.parametrize(
    "made",
    [
        dropout("a = Dropout(x, r, yes)"),
        dropout("a = Dropout(x, r, t)"),
        dropout("a, m = Dropout(x)", outputs="float[N] y, bool[N] m"),
        dropout("a, m = Dropout(x) n = Not(m)"),
        dropout("a = Dropout(x, , k)", more="k = Not(no)"),
    ],
)
def test_a_dropout_that_does_something_stays_and_strangers_may_not_have_it(
    made: ModelProto,
) -> None:
    kept = [each.op_type for each in normal(made, LOCAL).model.graph.node]
    assert "Dropout" in kept
    with pytest.raises(Refused, match=r"Dropout.* may run for ever, or differently"):
        normal(made, STRANGER)


@pytest.mark.parametrize(
    ("call", "stays"), [("Dropout(x)", True), ("Dropout <is_test = 1>(x)", False)]
)
def test_the_oldest_dropout_trains_unless_it_says_that_it_does_not(call: str, stays: bool) -> None:
    done = normal(dropout(f"a = {call}", opset=6), LOCAL).model
    assert ("Dropout" in [each.op_type for each in done.graph.node]) == stays


def test_a_default_of_an_input_is_no_promise_that_nothing_is_trained() -> None:
    made = dropout("a = Dropout(x, r, t)")
    made.graph.initializer.append(tensor("t", TensorProto.BOOL, (), raw_data=b"\0"))
    assert "Dropout" in [each.op_type for each in normal(made, LOCAL).model.graph.node]


def test_names_that_mean_two_things_are_not_mixed_up() -> None:
    """Only local work may use a name again inside; it must not come to mean something else."""
    made = model(
        """g (float[N] x, bool c) => (float[N] y) {
            d = Dropout(x)
            y = If(c) <
                then_branch = one () => (float[N] a) { x = Neg(d)  a = Add(x, d) },
                else_branch = two () => (float[N] b) { d = Abs(x)  b = Dropout(d) }>
        }"""
    )
    done = normal(made, LOCAL).model
    outer, branch = done.graph.node
    assert (outer.op_type, list(outer.output)) == ("Identity", ["d"])
    said = [
        [(each.op_type, list(each.input)) for each in attribute.g.node]
        for attribute in branch.attribute
    ]
    assert said == [
        [("Neg", ["d"]), ("Add", ["x", "d"])],
        [("Abs", ["x"]), ("Identity", ["d"])],
    ]
