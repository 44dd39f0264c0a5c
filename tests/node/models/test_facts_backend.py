# SPDX-License-Identifier: MIT
"""The operators of ONNX's own suite: what has facts, and that the facts are what happens."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from node.models.facts.derive import derive
from node.models.facts.live import FOLDED
from node.models.facts.operation import full_name
from node.models.facts.rules import RULES
from protocol.errors import Refused, RemoteProtocolError
from tests.node.models.backend_cases import Case, all_cases, axes_of, symbolic, with_constants
from tests.node.models.facts_world import disagreements
from tests.tree import ROOT

AXES_MAX = 4  # of each case: minutes are no better than one of them
PARTS = 6

FEEDABLE = {*range(1, 14)} - {TensorProto.COMPLEX64, TensorProto.COMPLEX128}

# What has no rule, and why that is so: each of these is refused by its name.
NO_RULE = {
    "a branch, a loop or dice": {"If", "Loop", "Scan", "Bernoulli", "Dropout", "RandomUniformLike"},
    "the data decide on the shape": {
        *("Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"),
    },
    "of other domains": {
        *("ai.onnx.ml:ArrayFeatureExtractor", "ai.onnx.ml:Binarizer", "ai.onnx.ml:LabelEncoder"),
        *("ai.onnx.ml:TreeEnsemble", "ai.onnx.preview:FlexAttention"),
        *("ai.onnx.preview.training:Adagrad", "ai.onnx.preview.training:Adam"),
        "ai.onnx.preview.training:Momentum",
    },
    "of text, whose length has no price": {
        *("RegexFullMatch", "StringConcat", "StringNormalizer", "TfIdfVectorizer"),
    },
    "of training": {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"},
    "of no tensors": {"OptionalGetElement", "OptionalHasElement"},
    "rare": {
        *("AffineGrid", "BitCast", "BlackmanWindow", "CausalConvWithState", "CenterCropPad"),
        *("Col2Im", "DFT", "DeformConv", "Det", "HammingWindow", "HannWindow", "ImageDecoder"),
        *("LinearAttention", "MaxUnpool", "MelWeightMatrix", "RoiAlign", "STFT", "SwiGLU"),
    },
}


@cache
def cases() -> tuple[Case, ...]:
    """All cases; they take some seconds to make."""
    return tuple(all_cases())


def forms(case: Case) -> Iterator[Case]:
    """A case as it is, with its shapes as constants, and with everything small as a constant."""
    yield case
    yield with_constants(case, 1)
    yield with_constants(case, 0)


def first_with_facts(case: Case) -> tuple[Case | None, str]:
    """The first form of a case that has facts, or why none has."""
    why = ""
    for form in forms(case):
        try:
            derive(form.model)
        except Refused as error:
            why = error.detail
        else:
            return form, ""
    return None, why


def outcome(model: ModelProto, case: Case) -> str:
    """Compare the facts of a graph with a run; a graph that does not run says nothing."""
    kinds = {port.type.tensor_type.elem_type for port in model.graph.input}
    try:
        wrong = disagreements(model, case.feeds) if kinds <= FEEDABLE else ["not fed"]
    except Refused:
        return "refused"
    except RemoteProtocolError:
        return "the interface takes no such item"
    except Exception as error:  # noqa: BLE001 - ONNX Runtime says no in many classes
        assert "ONNXRuntime" in str(error) or "OrtValue" in str(error), case.name
        return "it does not run here"
    if wrong == ["not fed"]:
        return "it does not run here"
    assert wrong == [], case.name
    return "agrees"


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_every_operator_that_has_facts_does_what_they_say(part: int) -> None:
    counted: Counter[str] = Counter()
    symbolised: Counter[str] = Counter()
    for case in cases()[part::PARTS]:
        form, _ = first_with_facts(case)
        if form is None:
            counted["refused"] += 1
            continue
        counted[outcome(form.model, form)] += 1
        for only in (None, *axes_of(form.model)[:AXES_MAX]):
            symbolised[outcome(symbolic(form.model, only), form)] += 1
    sys.stdout.write(f"\ncases {dict(counted)}\nwith symbols {dict(symbolised)}\n")
    assert counted["agrees"] >= 1200 // PARTS
    assert symbolised["agrees"] >= 4500 // PARTS


@pytest.mark.soak
def test_what_has_no_rule_is_known() -> None:
    lacking = set()
    for case in cases():
        form, why = first_with_facts(case)
        if form is None and ("no rule" in why or "known only afterwards" in why):
            lacking |= {full_name(node) for node in case.model.graph.node} - RULES.keys()
    assert lacking == set().union(*NO_RULE.values())


OPSET_MIN = 7  # older operators have no kernels
FOLDABLE = {TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL}


def folds(case: Case, folder: Path) -> bool:
    """Whether ONNX Runtime folds an operator over constants; its results are added to an input."""
    model = with_constants(case, 0).model
    for port in list(model.graph.input):
        model.graph.initializer.append(numpy_helper.from_array(case.feeds[port.name], port.name))
        model.graph.input.remove(port)
    for each in model.opset_import:
        each.version = max(each.version, OPSET_MIN)
    outputs = [port.name for port in model.graph.output]
    del model.graph.output[:]
    model.graph.input.append(helper.make_tensor_value_info("in", TensorProto.FLOAT, []))
    for place, name in enumerate(outputs):
        cast = helper.make_node("Cast", [name], [f"cast {place}"], to=TensorProto.FLOAT)
        added = helper.make_node("Add", [f"cast {place}", "in"], [f"out {place}"])
        model.graph.node.extend([cast, added])
        port = helper.make_tensor_value_info(f"out {place}", TensorProto.FLOAT, None)
        model.graph.output.append(port)
    path = folder / "optimised.onnx"
    optimise(model, path)
    return {node.op_type for node in onnx.load(path).graph.node} <= {"Add", "Identity"}


def optimise(model: ModelProto, path: Path) -> None:
    """Have ONNX Runtime write down what it made of a graph."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


@pytest.mark.soak
def test_what_is_free_because_it_is_folded_is_folded(tmp_path: Path) -> None:
    tried: Counter[str] = Counter()
    for case in cases():
        ports = [*case.model.graph.input, *case.model.graph.output]
        ops = {full_name(node) for node in case.model.graph.node}
        plain = {port.type.tensor_type.elem_type for port in ports} <= FOLDABLE
        empty = any(not array.size for array in case.feeds.values())  # ONNX Runtime errs on these
        if len(case.model.graph.node) == 1 and ops <= FOLDED and plain and not empty:
            assert folds(case, tmp_path), case.name
            tried[next(iter(ops))] += 1
    # Of these the suite has no case with plain types alone, or none that ONNX Runtime takes.
    assert FOLDED - tried.keys() <= {"Cast", "Range", "Not", "Mod", "Round"}, tried


@pytest.mark.soak
def test_operators_with_changed_attributes_shapes_and_constants_do_what_their_facts_say() -> None:
    """In a program of its own, because ONNX Runtime does not survive all of it."""
    command = [sys.executable, "-m", "tests.node.models.changed_cases", "1", "3000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
