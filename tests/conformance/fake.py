# SPDX-License-Identifier: MIT
"""The smallest executor: ONNX Runtime in this process, with nothing around it. For tests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import trio

from node.executor.executor import Group, Layer, Model, Outputs, Session
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor, TensorHeader
from tests.conformance.convert import array_of
from tests.conformance.inprocess import load, run_tensors


class InProcess:
    """An executor that trusts everything. It holds no sessions, and nothing to pause."""

    @asynccontextmanager
    async def lease(self, model: Model, group: Group) -> AsyncIterator["InProcessRunner"]:
        """Load the model, and forget it afterwards."""
        await trio.lowlevel.checkpoint()
        assert group.trusted
        try:
            session = load(str(model.folder / "graph.onnx"))
        except Exception as error:
            raise Refused(Reason.MODEL_REFUSED, str(error)) from error
        yield InProcessRunner(session)

    async def pause(self, grace_s: float) -> None:
        """There is nothing to free."""

    def resume(self) -> None:
        """There is nothing to take up again."""

    async def layers(self) -> tuple[Layer, ...]:
        """There is nothing around a model here."""
        return ()


class InProcessRunner:
    """A loaded model."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run; the deadline is nobody's concern here."""
        await trio.lowlevel.checkpoint()
        assert deadline_s > 0
        ports = [*self._session.get_inputs(), *self._session.get_outputs()]
        if other := [port.type for port in ports if not port.type.startswith("tensor(")]:
            raise Refused(Reason.MODEL_REFUSED, f"a port of type {other[0]}")
        try:
            tensors = run_tensors(self._session, inputs)
        except Exception as error:
            raise Refused(Reason.RUN_FAILED, str(error)) from error
        arrays = [array_of(tensor) for tensor in tensors]
        numbers = [array for array in arrays if array.dtype.kind not in "biuOc"]
        finite = all(np.isfinite(array.astype(np.float64)).all() for array in numbers)
        return Outputs(tensors, look and finite, 0.0)

    @asynccontextmanager
    async def call(self, headers: Sequence[TensorHeader]) -> AsyncIterator["InProcessCall"]:
        """Give room for the inputs."""
        await trio.lowlevel.checkpoint()
        yield InProcessCall(self, headers)

    async def open(self, state: Sequence[Tensor]) -> Session:
        """Refuse: no case of the suite has state."""
        raise NotImplementedError


class InProcessCall:
    """Room for the inputs of one call."""

    def __init__(self, runner: InProcessRunner, headers: Sequence[TensorHeader]) -> None:
        self._runner, self._headers = runner, headers
        self.inputs = tuple(memoryview(bytearray(header.size_bytes)) for header in headers)

    async def run(self, *, deadline_s: float, look: bool = False) -> Outputs:
        """Run on what was written."""
        forms = zip(self._headers, self.inputs, strict=True)
        tensors = [Tensor(header.element, header.dims, data) for header, data in forms]
        return await self._runner.run(tensors, deadline_s=deadline_s, look=look)
