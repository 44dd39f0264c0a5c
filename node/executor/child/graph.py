# SPDX-License-Identifier: MIT
"""One model in ONNX Runtime: loaded, run, and its state kept. Who asks for it is in `runner`.

Two ways lead into ONNX Runtime. `session.run` on arrays is the quickest for little data; a
binding of addresses spares the copies of big data, and takes the types that numpy lacks.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from node.executor.child.values import (
    DTYPES,
    Array,
    address_of,
    array_at,
    bytes_at,
    data_of,
    element_of,
    size_of,
)
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader

#: Nobody names a port like this; a protocol that carries names has to end somewhere.
PORT_NAME_MAX = 4096

_NO_MEMORY = ("failed to allocate memory", "bad_alloc", "bfcarena", "out of memory")
_WRONG_FORM = ("but the computed output shape", "unexpected output data type")


@dataclass(frozen=True, slots=True)
class PortOf:
    """A port as the loaded graph has it; a dimension that is no number is a name, or None."""

    name: str
    element: ElementType
    dims: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor on its way in or out: its form, its bytes, and whoever owns them."""

    header: TensorHeader
    data: memoryview
    owner: object = None

    @classmethod
    def of(cls, element: ElementType, array: Array) -> "Value":
        """Wrap what ONNX Runtime gave as an array."""
        data = memoryview(data_of(array, element))
        return cls(TensorHeader(element, array.shape, len(data)), data, array)


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is loaded; everything but the path has a default that fits strangers' work."""

    path: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    provider: str = "CPUExecutionProvider"
    threads: int = 1
    optimise: str = "ORT_ENABLE_ALL"
    entries: tuple[tuple[str, str], ...] = ()


class Graph:
    """A loaded model. `inputs` and `outputs` are in the order that the daemon named."""

    def __init__(self, loading: Loading) -> None:
        """Load; whatever ONNX Runtime has against the file becomes `model_refused`."""
        try:
            self._session = ort.InferenceSession(
                loading.path, _options(loading), providers=[loading.provider], enable_fallback=0
            )
        except MemoryError:
            raise Refused(Reason.OVER_MEMORY, "the model does not fit under the cap") from None
        except Exception as error:  # noqa: BLE001 - its errors have no base class of their own
            raise _refusal(error, Reason.MODEL_REFUSED) from None
        try:
            self.inputs = _chosen(self._session.get_inputs(), loading.inputs)
            self.outputs = _chosen(self._session.get_outputs(), loading.outputs)
        except UnicodeDecodeError:
            raise Refused(Reason.MODEL_REFUSED, "the name of a port is not UTF-8") from None
        self._constant: dict[str, Value] = {}
        elements = {port.element for port in (*self.inputs, *self.outputs)}
        self._arrays_will_do = elements <= DTYPES.keys() | {ElementType.STRING}

    def adapt(self, tensors: Mapping[str, Value]) -> None:
        """Feed these optional inputs with every call from now on."""
        there = {each.name for each in self._session.get_overridable_initializers()}
        if lost := sorted(tensors.keys() - there):
            raise Refused(Reason.MODEL_REFUSED, f"the model has no place for {lost[0]!r}")
        self._constant = dict(tensors)

    def run(self, feeds: Mapping[str, Value], into: Mapping[str, Value]) -> list[Value]:
        """Run once. Outputs named in `into` are written there; the form is then the caller's."""
        feeds = {**self._constant, **feeds}
        try:
            if self._arrays_will_do and not into:
                return self._run_arrays(feeds)
            return self._run_bound(feeds, into)
        except MemoryError:
            raise Refused(Reason.OVER_MEMORY, "the call wants more memory than the cap") from None
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - its errors have no base class of their own
            raise _refusal(error, Reason.RUN_FAILED) from None

    def _run_arrays(self, feeds: Mapping[str, Value]) -> list[Value]:
        arrays = {name: _as_array(each) for name, each in feeds.items()}
        got = self._session.run([port.name for port in self.outputs], arrays)
        return [
            Value.of(port.element, array) for port, array in zip(self.outputs, got, strict=True)
        ]

    def _run_bound(self, feeds: Mapping[str, Value], into: Mapping[str, Value]) -> list[Value]:
        binding = self._session.io_binding()
        fed = set()
        for name, each in feeds.items():
            if each.header.element is ElementType.STRING:
                raise Refused(Reason.RUN_FAILED, "strings beside types that numpy lacks")
            where = address_of(each.data)
            fed.add(where)
            binding.bind_input(name, "cpu", 0, int(each.header.element), each.header.dims, where)
        for port in self.outputs:
            if place := into.get(port.name):
                where = address_of(place.data)
                form = place.header
                binding.bind_output(port.name, "cpu", 0, int(form.element), form.dims, where)
            else:
                binding.bind_output(port.name, "cpu")
        self._session.run_with_iobinding(binding)
        return [
            _placed(_from_ort(port, value), into.get(port.name), port.name, fed)
            for port, value in zip(self.outputs, binding.get_outputs(), strict=True)
        ]


def _options(loading: Loading) -> ort.SessionOptions:
    """Say how to run: nothing kept that was used once, nothing that spins, nothing said aloud."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = loading.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # an arena never gives back what one call took
    options.log_severity_level = 4
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, loading.optimise)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in loading.entries:
        options.add_session_config_entry(name, value)
    return options


def _chosen(ports: Sequence[ort.NodeArg], names: tuple[str, ...]) -> tuple[PortOf, ...]:
    """Bring ports into the order of `names`; without any, they stay as they are."""
    there = {port.name: port for port in ports}
    if (longest := max(map(len, there), default=0)) > PORT_NAME_MAX:
        raise Refused(Reason.MODEL_REFUSED, f"the name of a port has {longest} characters")
    if lost := [name for name in names if name not in there]:
        raise Refused(Reason.MODEL_REFUSED, f"the graph has no port {lost[0]!r}")
    return tuple(
        PortOf(
            port.name,
            element_of(port.type, port.name),
            tuple(dim if isinstance(dim, int | str) else None for dim in port.shape),
        )
        for port in ([there[name] for name in names] if names else ports)
    )


def _as_array(value: Value) -> Array:
    """Use the array that ONNX Runtime gave, if this value is one; else make a view."""
    if isinstance(value.owner, np.ndarray):
        return value.owner
    return array_at(value.header, value.data)


def _placed(got: Value, place: Value | None, name: str, fed: set[int]) -> Value:
    """See to it that an output stands in its place, or in memory of its own.

    What a graph hands through (an input or a constant that is also an output) is never
    computed, so it is not written where it was bound to. An input's memory (`fed` says where
    each begins) is the next call's.
    """
    if place is None:
        if address_of(got.data) in fed:
            return Value(got.header, memoryview(bytearray(got.data)))
        return got
    if got.header != place.header:
        raise Refused(Reason.WRONG_FORM, f"{name} is {got.header.dims}: {place.header.dims} said")
    if address_of(got.data) != address_of(place.data):
        place.data[:] = got.data
    return place


def _from_ort(port: PortOf, value: ort.OrtValue) -> Value:
    if not value.has_value() or not value.is_tensor():
        raise Refused(Reason.RUN_FAILED, f"{port.name} came out as no tensor")
    if port.element is ElementType.STRING:
        return Value.of(port.element, value.numpy())
    dims = tuple(value.shape())
    size_bytes = size_of(port.element, dims)
    data = bytes_at(value.data_ptr(), size_bytes)
    return Value(TensorHeader(port.element, dims, size_bytes), data, value)


def _refusal(error: Exception, otherwise: Reason) -> Refused:
    """Find the reason in the words of an error; the words themselves are the detail."""
    words = " ".join(str(error).split())
    low = words.lower()
    if any(part in low for part in _NO_MEMORY):
        return Refused(Reason.OVER_MEMORY, words[:400])
    if otherwise is Reason.RUN_FAILED and any(part in low for part in _WRONG_FORM):
        return Refused(Reason.WRONG_FORM, words[:400])
    return Refused(otherwise, f"{type(error).__name__}: {words}"[:400])


def available_providers() -> list[str]:
    """List what the installed ONNX Runtime can compute with."""
    return list(ort.get_available_providers())


def telemetry_is_off() -> bool:
    """Tell whether nothing is reported: it is decided by the environment, before the import."""
    return os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
