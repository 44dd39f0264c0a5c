# SPDX-License-Identifier: MIT
"""`commons bench`: what a person sees who tries a model of his own."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from node.cli.main import main
from node.exits import ExitCode

pytestmark = pytest.mark.slow

SHORT = ["--seconds", "0.05"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A matrix product over rows, with weights large enough to stand beside the graph."""
    weights = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tried",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 32])],
        [numpy_helper.from_array(weights, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "tried.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def unpriced(tmp_path: Path) -> Path:
    """What comes out depends on the data: it runs at home, and has no price."""
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"])],
        "unpriced",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2, "found"])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "unpriced.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_a_model_is_measured_both_ways_and_priced(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(model), *SHORT]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "plain ONNX Runtime" in said
    assert "An item is x float[1, 64]" in said
    assert "CU an hour" in said
    assert "Contained by: " in said


def test_the_document_has_every_figure_with_its_unit(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(model), "--dim", "rows=3", *SHORT, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"] == [{"name": "x", "type": "float", "dims": [3, 64]}]
    # 1 + ceil(2 * 3 * 32 * 64 operations, less than the bytes moved) + ceil(io / 1000)
    assert found["price_cu"] == 1 + 1 + 2
    assert found["sandbox"]["run_s"] > 0 < found["plain"]["run_s"]
    assert {each["name"] for each in found["sandbox"]["layers"]} >= {"landlock", "seccomp_run"}
    hour = found["earns_cu_per_s"] * 3600 * found["runners"]
    assert found["earns_cu_per_hour"] == pytest.approx(hour)


def test_a_model_without_a_price_is_measured_and_says_why_it_earns_nothing(
    unpriced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(unpriced), *SHORT]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "It earns nothing from others" in said
    assert "NonZero" in said


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nowhere.onnx"], ExitCode.NOT_FOUND, "there is no file nowhere.onnx"),
        (["{model}", "--dim", "columns=3"], ExitCode.USAGE, "no dimension is named 'columns'"),
        (["{garbage}"], ExitCode.REFUSED, "not an ONNX file"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(
    words: list[str],
    code: ExitCode,
    sentence: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no model at all")
    filled = [each.format(model=model, garbage=garbage) for each in words]
    assert main(["bench", *filled, *SHORT]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err


@pytest.mark.parametrize("words", [["--dim", "rows"], ["--dim", "=3"], ["--seconds", "0"]])
def test_a_wrong_argument_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["bench", "any.onnx", *words])
    assert left.value.code == ExitCode.USAGE
    assert words[-1] in capsys.readouterr().err
