# SPDX-License-Identifier: MIT
"""The executor seam: what it means to run a model. How it is run is in `pool`, or in a simulator.

An executor gives out runners. A **runner** is one loaded model with its memory; it serves one
:class:`Group` (one requester, or one group of people who trust each other) and is never
handed to another. It answers single calls, and it holds **sessions**: streams of calls whose
state (a cache of keys and values, weights in training) stays where the model is.

Whatever goes wrong is a :class:`~protocol.errors.Refused` with its reason:

===============  ===============================================================================
model_refused    the model did not load: broken, forbidden, or too slow to load
input_deviates   an input is not of the type or shape of the interface; nothing was run
deadline         the call was not done in its time; the runner is gone, its sessions with it
over_memory      the call wanted more memory than the cap
run_failed       the model failed on these inputs, or took its runner down; the detail says how
wrong_form       an output is not what the interface says
handed_back      the runner was lost through no fault of the model: another one may be asked
idle             the session or the runner is gone: it was closed, or it ended before
paused           the executor is paused
busy             no memory is left for another runner, and none can be freed
not_contained    this machine lacks a layer of the sandbox that strangers' work needs
===============  ===============================================================================
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from protocol.interface import Dims, Interface
from protocol.tensors import Tensor, TensorHeader

Item = tuple[Tensor, ...]

#: The provider that every ONNX Runtime has, and the only one that runs strangers' work.
CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Group:
    """Who may share a runner and its memory. Names are compared, and nothing is read into them."""

    name: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """Tensors for the optional inputs of a model, fed with every call; named by their digest."""

    digest: bytes
    tensors: tuple[tuple[str, Tensor], ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How ONNX Runtime prepares a graph. Work is done with the defaults; calibration varies them.

    `optimise` is the name of a level, `entries` are further settings of a session.
    """

    optimise: str = "ORT_ENABLE_ALL"
    entries: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """What is loaded: a folder that holds a graph and its tensors, and nothing else.

    `digest` tells models apart. `interface` says which inputs an item has and what comes out;
    without one (a graph whose shapes depend on its data, which only local work may have) the
    order of the graph itself counts, and outputs are not compared with anything.
    `memory_bytes` is what a runner may take for weights and work together; 0 leaves it to the
    executor. Rows of a `batchable` model do not depend on their neighbours, bit by bit.
    """

    digest: bytes
    folder: Path
    interface: Interface | None = None
    memory_bytes: int = 0
    batchable: bool = False
    provider: str = CPU
    adapter: Adapter | None = None
    tuning: Tuning = Tuning()

    def adapter_dims(self) -> dict[str, Dims]:
        """Give the dimensions of the adapter's tensors, as an interface binds them."""
        return {name: each.dims for name, each in self.adapter.tensors} if self.adapter else {}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a call gave. `busy_s`: the time in the runner.

    `finite`: somebody looked, and there is neither NaN nor infinity. Looking costs a pass over
    the data, so it is done for those who ask.
    """

    tensors: Item
    finite: bool
    busy_s: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the sandbox, by name, for `commons doctor` and for people who ask."""

    name: str
    on: bool
    detail: str


class Call(Protocol):
    """One call whose inputs are written where the runner reads them, which spares a copy."""

    inputs: tuple[memoryview, ...]

    async def run(self, *, deadline_s: float, look: bool = False) -> Outputs:
        """Run on what was written. What comes out is lent until the call's block ends.

        The runner can still change it: whoever needs to rely on it reads each byte once.
        """
        ...


class Session(Protocol):
    """A stream of calls with state. State tensors are no part of what goes in and comes out."""

    async def step(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run one call: `inputs` and the outputs are those that are no state, in order."""
        ...

    async def read_state(self) -> Item:
        """Give the state, in the order of the interface's pairs, to go on elsewhere with it."""
        ...

    async def close(self) -> None:
        """Forget the state. Closing twice is fine."""
        ...


class Runner(Protocol):
    """A loaded model. Calls are answered one after another, in the order they came."""

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run one call. When the caller is cancelled, nothing of it is left behind."""
        ...

    def call(self, headers: Sequence[TensorHeader]) -> AbstractAsyncContextManager[Call]:
        """Hold the runner for one call on inputs of these forms."""
        ...

    async def open(self, state: Sequence[Tensor]) -> Session:
        """Begin a session from a state: zeros or empty tensors, or what another one has read."""
        ...


class Executor(Protocol):
    """Gives out runners, within its memory and its share of the processor."""

    def lease(self, model: Model, group: Group) -> AbstractAsyncContextManager[Runner]:
        """Give a runner of this model to this group; warm if there is one, else it is loaded."""
        ...

    async def pause(self, grace_s: float) -> None:
        """Take nothing new, let calls end for a while, then free all memory."""
        ...

    def resume(self) -> None:
        """Take work again."""
        ...

    async def layers(self) -> tuple[Layer, ...]:
        """Say which layers contain a stranger's model here; found out by trying."""
        ...
