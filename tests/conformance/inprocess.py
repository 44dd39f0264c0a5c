# SPDX-License-Identifier: MIT
"""ONNX Runtime in this very process: loading and running, with no sandbox around it.

Tensors travel as ONNX Runtime's own values, whose bytes are written and read at their
address. The way through numpy knows no bfloat16, no float8 and nothing below eight bits.
Whoever runs what may hang or crash does it in a child (see `forked`).
"""

import ctypes
import os
from collections.abc import Sequence
from typing import Any

# Before the import: afterwards it is too late for either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime as ort

from protocol.tensors import ElementType, Tensor
from tests.conformance.convert import array_of, tensor_of
from tests.conformance.judge import Value

VERSION: str = ort.__version__


class NotCarried(Exception):
    """The model answered with something that the protocol's tensors cannot hold."""


def load(source: str | bytes) -> Any:
    """Load a model from its path or its bytes, with the options of a runner."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(
        source, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def run_tensors(session: Any, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Run a model whose inputs, in order, and outputs are all tensors."""
    names = [port.name for port in session.get_inputs()]
    outputs = run_values(session, names, [array_of(tensor) for tensor in inputs])
    try:
        return tuple(tensor_of(value) for value in outputs)
    except (ValueError, TypeError) as error:
        raise NotCarried(str(error)) from error


def run_values(
    session: Any,
    names: Sequence[str],
    inputs: Sequence[Value],
) -> list[Value]:
    """Run a model whose inputs and outputs may be sequences, maps and absent values too."""
    feed = {name: _given(value) for name, value in zip(names, inputs, strict=True)}
    options = ort.RunOptions()
    options.log_severity_level = 4
    outputs = [port.name for port in session.get_outputs()]
    kinds = {port.type for port in [*session.get_inputs(), *session.get_outputs()]}
    if all(isinstance(value, ort.OrtValue) for value in feed.values()) and all(
        kind.startswith("tensor(") for kind in kinds
    ):
        taken = session.run_with_ort_values(outputs, feed, options)
        try:
            return [array_of(_taken(value)) for value in taken]
        except ValueError as error:
            raise NotCarried(str(error)) from error
    return list(session.run(outputs, feed, options))


def _given(value: Value) -> Any:
    """Give a value the form in which it is fed; strings and what is no tensor stay as they are."""
    if value is None or isinstance(value, list | dict) or value.dtype == np.object_:
        return value
    tensor = tensor_of(value)
    data = bytes(tensor.data)
    given = ort.OrtValue.ortvalue_from_shape_and_type(list(tensor.dims), int(tensor.element))
    assert given.tensor_size_in_bytes() == len(data)
    ctypes.memmove(given.data_ptr(), data, len(data))
    return given


def _taken(value: Any) -> Tensor:
    element = ElementType(value.element_type())
    if element is ElementType.STRING:
        return tensor_of(value.numpy())
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return Tensor(element, tuple(value.shape()), data)
