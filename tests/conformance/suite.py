# SPDX-License-Identifier: MIT
"""The cases of the official backend suite, all in one form. What becomes of them is elsewhere.

The suite comes with the `onnx` package in two shapes. The cases of single nodes are made in
memory when their modules are imported, each module some operator's; the others are folders
of files. Kind `real` would be downloaded, and is left out.
"""

import importlib
import os
import pkgutil
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node as node_cases
from onnx import ModelProto, TypeProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.runner import Runner

from tests.conformance.judge import Value

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")

_DATA = Path(os.fspath(onnx.__path__[0])) / "backend" / "test" / "data"

# The tolerances of the suite's own runner; models of photos are given more.
_RTOL, _ATOL, _LIGHT_ATOL = 1e-3, 1e-7, 1e-5

# Inputs of these are loops in Python over each pixel: three of the suite's five seconds.
SLOW_TO_MAKE = frozenset({"averagepool", "lppool", "maxpool"})


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A model, and what comes out of it for what goes in."""

    name: str
    kind: str
    model: ModelProto
    data_sets: tuple[tuple[tuple[Value, ...], tuple[Value, ...]], ...]
    rtol: float
    atol: float

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that a data set gives, in order.

        Old models list their weights as inputs too; nobody feeds those.
        """
        weights = {weight.name for weight in self.model.graph.initializer}
        return tuple(port.name for port in self.model.graph.input if port.name not in weights)

    @property
    def tensors_only(self) -> bool:
        """Whether everything that goes in and comes out is a tensor."""
        ports = [*self.model.graph.input, *self.model.graph.output]
        return all(port.type.HasField("tensor_type") for port in ports)


def all_cases(kinds: Iterable[str] = KINDS, pattern: str = "") -> Iterator[Case]:
    """Give every case whose name has the pattern, kind after kind."""
    for kind in kinds:
        cases = node_kind() if kind == "node" else _light() if kind == "light" else _folders(kind)
        yield from (case for case in cases if re.search(pattern, case.name))


def node_kind(without: frozenset[str] = frozenset()) -> Iterator[Case]:
    """Make the cases of single nodes; those of the modules named in `without` are not made.

    What is made once stays in memory, so a later call may give more than it asked for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the makers divide by zero and overflow on purpose
        for module in sorted(_modules(node_cases)):
            if module.rpartition(".")[2] not in without:
                importlib.import_module(module)
    made: list[TestCase] = node_cases._NodeTestCases
    for case in made:
        assert case.model is not None
        assert case.data_sets is not None
        data_sets = tuple((_values(gone_in), _values(out)) for gone_in, out in case.data_sets)
        yield Case(case.name, "node", case.model, data_sets, case.rtol, case.atol)


def _modules(package: Any) -> Iterator[str]:
    for found in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{found.name}"
        yield name
        if found.ispkg:
            yield from _modules(importlib.import_module(name))


def _folders(kind: str) -> Iterator[Case]:
    for folder in sorted(path.parent for path in (_DATA / kind).glob("*/model.onnx")):
        model = onnx.load(folder / "model.onnx")
        data_sets = tuple(
            (
                _files(data, "input", [port.type for port in model.graph.input]),
                _files(data, "output", [port.type for port in model.graph.output]),
            )
            for data in sorted(folder.glob("test_data_set_*"))
        )
        yield Case(folder.name, kind, model, data_sets, _RTOL, _ATOL)


def _light() -> Iterator[Case]:
    for path in sorted((_DATA / "light").glob("*.onnx")):
        model = onnx.load(path)
        weights = {weight.name for weight in model.graph.initializer}
        gone_in = tuple(
            Runner.generate_dummy_data(port)
            for port in model.graph.input
            if port.name not in weights
        )
        types = [port.type for port in model.graph.output]
        out = _files(path.parent, f"{path.stem}_output", types)
        yield Case(f"test_{path.stem}", "light", model, ((gone_in, out),), _RTOL, _LIGHT_ATOL)


def _files(folder: Path, name: str, types: Sequence[TypeProto]) -> tuple[Value, ...]:
    count = len(list(folder.glob(f"{name}_*.pb")))
    paths = [folder / f"{name}_{place}.pb" for place in range(count)]
    return tuple(_read(path, types[place]) for place, path in enumerate(paths))


def _read(path: Path, declared: TypeProto) -> Value:
    """Read a value; the file does not say which kind of value it holds, the model does."""
    raw = path.read_bytes()
    if declared.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(raw))
    if declared.HasField("optional_type"):
        return _value(numpy_helper.to_optional(onnx.OptionalProto.FromString(raw)))
    if declared.HasField("map_type"):
        return dict(numpy_helper.to_dict(onnx.MapProto.FromString(raw)))
    return numpy_helper.to_array(onnx.TensorProto.FromString(raw))


def _values(values: Sequence[object]) -> tuple[Value, ...]:
    return tuple(_value(value) for value in values)


def _value(value: object) -> Value:
    """Give a value its one form: the makers mix arrays, scalars, protobufs and tuples."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_value(part) for part in value]
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    array = np.asarray(value, order="C")
    return array.astype(np.object_) if array.dtype.kind == "U" else array
