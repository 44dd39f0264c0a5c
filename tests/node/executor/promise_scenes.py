# SPDX-License-Identifier: MIT
"""Where the promises of the executor seam are tried: the real one and the simulated one.

Both get the same small models. Those of the real one are ONNX files; the simulated one knows
of each what a world would tell it: what it costs, and what is wrong with it.
"""

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import trio
from onnx import helper, numpy_helper

from node.executor.executor import Executor, Group, Layer, Model
from node.executor.leases import PoolLimits
from node.executor.pool import Pool
from node.executor.zygote import Zygote
from protocol.interface import Interface, PortShape
from protocol.ports import Derived
from protocol.price import Polynomial, symbol
from protocol.tensors import ElementType
from simulations.executor import SimulatedExecutor
from simulations.faults import Called, Fault, not_finite, wrong_shape
from simulations.link import SimulatedLink, Traits
from tests.node.executor import folders

FLOAT, INT64, BOOL = ElementType.FLOAT, ElementType.INT64, ElementType.BOOL

GROUP = Group("ann", trusted=True)

#: Little enough that a model which wants much is refused and not only slow.
RUNNER_MEMORY_BYTES = 512 << 20
LIMITS = PoolLimits(
    runners=2, memory_bytes=4 * RUNNER_MEMORY_BYTES, runner_memory_bytes=RUNNER_MEMORY_BYTES
)


class Tried(Executor, Protocol):
    """An executor with what the promises look at beside the seam."""

    @property
    def memory_bytes(self) -> int:
        """What is reserved."""
        ...


class Scene(Protocol):
    """One kind of executor, and what a test does to it from outside."""

    models: "Models"

    def open(self, limits: PoolLimits = LIMITS) -> AbstractAsyncContextManager[Tried]:
        """Give a new executor."""
        ...

    def runners(self, executor: Tried) -> list[int]:
        """Tell the runners apart; a number is not used twice within a test."""
        ...

    async def kill(self, executor: Tried) -> None:
        """End every runner as the kernel would, and wait for the news of it."""
        ...


# --- models ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Models:
    """What executors are tried with.

    `plain`: a float for each float. `joined`: the same, and its rows may be joined. `typed`:
    three types. `words`: strings. `endless`: never done. `hungry`: memory by the square of its
    rows. `cache`: state that grows. `open_to_adapters`: optional inputs. `liar`: gives another
    shape than it says. `root`: NaN below zero.
    """

    plain: Model
    joined: Model
    typed: Model
    words: Model
    endless: Model
    hungry: Model
    cache: Model
    open_to_adapters: Model
    liar: Model
    root: Model
    broken: Model
    unknown: Model


def build(above: Path) -> Models:
    """Write them all."""
    plain = folders.add_one(above)
    broken = above / "broken"
    broken.mkdir(mode=0o755)
    (broken / "graph.onnx").write_bytes(b"\x08\x0b not a graph")
    return Models(
        plain=plain,
        joined=replace(plain, batchable=True),
        typed=_typed(above),
        words=folders.identity(above, ElementType.STRING),
        endless=folders.endless(above),
        hungry=_hungry(above),
        cache=_cache(above),
        open_to_adapters=_open_to_adapters(above),
        liar=folders.doubled(above),
        root=folders.root(above),
        broken=replace(plain, digest=b"broken", folder=broken),
        unknown=replace(plain, digest=b"unknown", folder=above / "nothing"),
    )


def _typed(above: Path) -> Model:
    nodes = [
        helper.make_node("Neg", ["a"], ["p"]),
        helper.make_node("Add", ["b", "b"], ["q"]),
        helper.make_node("Not", ["c"], ["r"]),
    ]
    return folders.write(
        above,
        nodes,
        [("a", FLOAT, ("n", 2)), ("b", INT64, ("n",)), ("c", BOOL, ("n",))],
        [("p", FLOAT, ("n", 2)), ("q", INT64, ("n",)), ("r", BOOL, ("n",))],
    )


def _hungry(above: Path) -> Model:
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["column"]),
        helper.make_node("Unsqueeze", ["x", "zero"], ["row"]),
        helper.make_node("MatMul", ["column", "row"], ["square"]),
        helper.make_node("ReduceSum", ["square"], ["y"], keepdims=0),
    ]
    weights = [
        numpy_helper.from_array(np.asarray([1], np.int64), "one"),
        numpy_helper.from_array(np.asarray([0], np.int64), "zero"),
    ]
    return folders.write(above, nodes, [folders.X], [("y", FLOAT, ())], weights=weights)


def _cache(above: Path) -> Model:
    """Write a model that remembers all rows, and adds their sum to each new one."""
    nodes = [
        helper.make_node("Concat", ["past", "x"], ["present"], axis=0),
        helper.make_node("ReduceSum", ["present", "rows"], ["sum"], keepdims=1),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    model = folders.write(
        above,
        nodes,
        [("x", FLOAT, ("n", 2)), ("past", FLOAT, ("p", 2))],
        [("y", FLOAT, ("n", 2)), ("present", FLOAT, ("all", 2))],
        weights=[numpy_helper.from_array(np.asarray([0], np.int64), "rows")],
        bound=False,
    )
    interface = Interface(
        (_port("x", (1, 0), (0, 2)), _port("past", (1, 1), (0, 2))),
        (_port("y", (1, 0), (0, 2)), _port("present", (1, 2), (0, 2))),
        ((1, 1),),
        2,
        (Derived(0, 1, 1, 1, 0, 0, 1),),
    )
    return replace(model, interface=interface)


def _open_to_adapters(above: Path) -> Model:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["narrow"]),
        helper.make_node("MatMul", ["narrow", "b"], ["wide"]),
        helper.make_node("Add", ["x", "wide"], ["y"]),
    ]
    model = folders.write(
        above,
        nodes,
        [("x", FLOAT, ("n", 2)), ("a", FLOAT, (2, "r")), ("b", FLOAT, ("r", 2))],
        [("y", FLOAT, ("n", 2))],
        weights=[
            numpy_helper.from_array(np.zeros((2, 0), np.float32), "a"),
            numpy_helper.from_array(np.zeros((0, 2), np.float32), "b"),
        ],
        bound=False,
    )
    inputs = (
        _port("x", (1, 0), (0, 2)),
        _port("a", (0, 2), (1, 1), optional=True),
        _port("b", (1, 1), (0, 2), optional=True),
    )
    return replace(model, interface=Interface(inputs, (_port("y", (1, 0), (0, 2)),), (), 2, ()))


def _port(name: str, *dims: tuple[int, int], optional: bool = False) -> PortShape:
    return PortShape(name, FLOAT, optional, dims)


# --- the simulated one ----------------------------------------------------------------------------


class SimulatedScene:
    """Executors of a made world; its time is virtual, which the test sees to."""

    def __init__(self, models: Models) -> None:
        """The world knows what is special about each model."""
        self.models = models
        self._seen: list[SimulatedLink] = []
        known = [getattr(models, name) for name in models.__slots__]
        self._traits = {each.digest: Traits() for each in known}
        del self._traits[models.unknown.digest]
        self._traits |= {
            models.endless.digest: Traits(price=lambda *_: 10**12),
            models.hungry.digest: Traits(work_bytes=_square()),
            models.broken.digest: Traits(broken="what it says is no graph"),
        }
        self._faults: dict[bytes, Fault] = {
            models.liar.digest: wrong_shape(),
            models.root.digest: not_finite(),
        }

    @asynccontextmanager
    async def open(self, limits: PoolLimits = LIMITS) -> AsyncIterator[SimulatedExecutor]:
        """Give a new executor."""
        executor = SimulatedExecutor(limits, self._traits, faults=self._fault)
        async with executor.open():
            yield executor
        assert executor.links == []

    def runners(self, executor: Tried) -> list[int]:
        """Number them in the order in which they are seen."""
        assert isinstance(executor, SimulatedExecutor)
        self._seen += [each for each in executor.links if each not in self._seen]
        return [self._seen.index(each) for each in executor.links]

    async def kill(self, executor: Tried) -> None:
        """End every runner."""
        assert isinstance(executor, SimulatedExecutor)
        for each in executor.links:
            each.die("it was ended by SIGKILL")

    def _fault(self, called: Called) -> Fault | None:
        first = called.inputs[0]
        if called.model.digest == self.models.root.digest and not first.data[3] & 0x80:
            return None  # what is not below zero has a root
        return self._faults.get(called.model.digest)


def _square() -> Polynomial:
    return symbol(0) * symbol(0) * 4


# --- the real one ---------------------------------------------------------------------------------


class Kept:
    """The process of a zygote that serves one test after another: starting it takes long."""

    process: subprocess.Popen[bytes] | None = None
    control: socket.socket | None = None
    layers: tuple[Layer, ...] = ()
    providers: tuple[str, ...] = ()

    def runners(self) -> list[int]:
        """Give the runners that are left; one that is dead already may wait to be buried."""
        left = []
        for pid in children_of(self.process.pid) if self.process else []:
            with suppress(OSError, psutil.NoSuchProcess):  # it was buried meanwhile
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    left.append(pid)
        return left

    def descriptors(self) -> int:
        """Count what this process has open, but for the socket that waits here."""
        return len(list(Path("/proc/self/fd").iterdir())) - bool(self.control)

    def end(self) -> None:
        """End the process."""
        if self.process and self.control:
            self.control.close()
            self.process.kill()
            self.process.wait()
        self.process = self.control = None


def children_of(pid: int) -> list[int]:
    """Give the processes that this one has started, dead ones that nobody buried too."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class KeptZygote(Zygote):
    """A zygote that takes its process from the test before, and leaves it for the next one."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(nice=0)
        self._kept = kept

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        async with super().held():
            try:
                yield
            finally:
                self._leave()

    def _leave(self) -> None:
        if self._process and self._control:
            self._kept.process, self._process = self._process, None
            self._kept.control = socket.socket(fileno=os.dup(self._control.fileno()))
            self._kept.layers, self._kept.providers = self.layers, self.providers

    async def _start(self) -> None:
        kept = self._kept
        if self._process or not (kept.process and kept.control and self._nursery):
            await super()._start()
            return
        self._process = kept.process
        self.layers, self.providers = kept.layers, kept.providers
        self._control = trio.socket.from_stdlib_socket(kept.control)
        kept.process = kept.control = None
        self._answers, self._heard = trio.open_memory_channel(4)
        self._nursery.start_soon(self._hear, self._control, self._answers)


class RealScene:
    """Executors of this machine."""

    def __init__(self, models: Models, kept: Kept) -> None:
        """`kept` spares the start of a zygote."""
        self.models = models
        self._kept = kept

    @asynccontextmanager
    async def open(self, limits: PoolLimits = LIMITS) -> AsyncIterator[Pool]:
        """Give a new executor; afterwards no process is left of it."""
        before = self._kept.descriptors()
        pool = Pool(limits, KeptZygote(self._kept))
        async with pool.open():
            yield pool
        assert self._kept.runners() == []
        assert self._kept.descriptors() == before

    def runners(self, executor: Tried) -> list[int]:
        """Number them by their processes."""
        assert isinstance(executor, Pool)
        return executor.pids

    async def kill(self, executor: Tried) -> None:
        """End every runner."""
        assert isinstance(executor, Pool)
        children = [link.child for link in executor.links]
        for each in children:
            with suppress(ProcessLookupError):  # it is about to be buried
                os.kill(each.pid, signal.SIGKILL)
        for each in children:
            await each.ended.wait()
