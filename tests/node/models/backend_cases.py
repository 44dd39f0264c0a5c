# SPDX-License-Identifier: MIT
"""The single operators of ONNX's own backend suite, as graphs to derive facts of.

Their inputs get symbolic dimensions, and those that are shapes become constants, as they are
in models. Operators that newer sets have are read in the newest set that ONNX Runtime takes.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from tests.sketch import Array

OPSET_MAX, IR_MAX = 26, 13

# What a shape is made of, and how many elements it has at most.
_SHAPES = {TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL}
_SHAPE_ELEMENTS_MAX, _SCALES_MAX = 64, 8


@dataclass(frozen=True, slots=True)
class Case:
    """A graph and what to feed it with."""

    name: str
    model: ModelProto
    feeds: Mapping[str, Array]


def all_cases() -> Iterator[Case]:
    """Every case whose ports are all tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the makers divide by zero on purpose
        listed = load_model_tests(kind="node")
    for case in listed:
        assert case.model is not None
        assert case.data_sets is not None
        model = ModelProto()
        model.CopyFrom(case.model)
        ports = [*model.graph.input, *model.graph.output]
        given = case.data_sets[0][0]
        plain = all(port.type.HasField("tensor_type") for port in ports)
        if not plain or len(model.functions) or any(not _is_array(value) for value in given):
            continue
        model.ir_version = min(model.ir_version, IR_MAX)
        for each in model.opset_import:
            if not each.domain:
                each.version = min(each.version, OPSET_MAX)
        names = [port.name for port in model.graph.input]
        feeds = dict(zip(names, (np.asarray(value) for value in given), strict=True))
        yield Case(case.name, model, feeds)


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic)


def with_constants(case: Case, first: int) -> Case:
    """Make constants of the inputs from `first` on that could be shapes."""
    model = ModelProto()
    model.CopyFrom(case.model)
    feeds = dict(case.feeds)
    for port in list(model.graph.input)[first:]:
        element, array = port.type.tensor_type.elem_type, feeds[port.name]
        most = _SHAPE_ELEMENTS_MAX if element in _SHAPES else _SCALES_MAX
        if array.size <= most and element in _SHAPES | {TensorProto.FLOAT}:
            constant = numpy_helper.from_array(np.asarray(feeds.pop(port.name)), port.name)
            model.graph.initializer.append(constant)
            model.graph.input.remove(port)
    return Case(case.name, model, feeds)


def symbolic(model: ModelProto, only: tuple[str, int] | None = None) -> ModelProto:
    """Give dimensions of inputs names: all of them, or one."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for port in copy.graph.input:
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            if only in (None, (port.name, axis)):
                dim.dim_param = f"{port.name} {axis}"
    return copy


def axes_of(model: ModelProto) -> list[tuple[str, int]]:
    """Every dimension of every input."""
    return [
        (port.name, axis)
        for port in model.graph.input
        for axis in range(len(port.type.tensor_type.shape.dim))
    ]
