# SPDX-License-Identifier: MIT
"""Whatever is killed, and whenever: each call has one answer, and nothing is left behind."""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import trio

from node.executor.executor import Group, Model, Runner
from node.executor.pool import Pool, PoolLimits
from node.executor.sandbox.syscalls import this_machine
from node.executor.zygote import Child, Zygote
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.executor.folders import accumulate, add_one, array, endless, tensor
from tests.node.executor.taken_over import MODULE
from tests.node.executor.traces import Traces, nothing_new_since, strays, until
from tests.tree import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(this_machine() is None, reason="there is no sandbox here"),
]

LONG_S = 60.0
BIG = 300_000  # floats, more than a message carries

# What somebody may be told whose runner or zygote was killed. Nothing of it blames the caller.
LOST = {
    *(Reason.RUN_FAILED, Reason.HANDED_BACK, Reason.IDLE, Reason.BUSY, Reason.MODEL_REFUSED),
}


@dataclass
class Load:
    """Callers who want answers, and a killer among them."""

    pool: Pool
    zygote: Zygote
    die: random.Random
    small: Model
    sums: Model
    asked: int = 0
    answered: int = 0
    refused: int = 0
    kills: int = 0
    killed: list[Child] = field(default_factory=list)
    moved: trio.Event = field(default_factory=trio.Event)

    def move(self) -> None:
        """Tell the killer that something happened."""
        self.moved.set()
        self.moved = trio.Event()

    async def ask_for_ever(self, number: int) -> None:
        """Ask again and again, each time for something that nobody else asks for."""
        group = Group(f"group {number % 2}")
        call = 0
        while True:
            call += 1
            self.asked += 1
            self.move()
            first = float(1000 * call + number)
            count = BIG if call % 3 == 0 else 3
            wanted = np.arange(first, first + count, dtype=np.float32)
            try:
                if call % 2:
                    async with self.pool.lease(self.small, group) as runner:
                        outputs = await runner.run((tensor(wanted),), deadline_s=LONG_S)
                else:
                    outputs = await self.pool.run(
                        self.small, group, (tensor(wanted),), deadline_s=LONG_S
                    )
            except Refused as refused:
                assert refused.reason in LOST, refused
                self.refused += 1
                await trio.lowlevel.checkpoint()
            else:
                assert len(outputs.tensors) == 1
                assert np.array_equal(array(outputs.tensors[0]), wanted + 1)
                self.answered += 1
            self.move()

    async def step_for_ever(self, number: int) -> None:
        """Keep a sum in a runner: a step that was answered counts once, and no other one does."""
        while True:
            try:
                async with self.pool.lease(self.sums, Group(f"sums {number}")) as runner:
                    await self._steps(runner, float(number))
            except Refused as refused:
                assert refused.reason in LOST, refused
                self.refused += 1
                self.move()
                await trio.lowlevel.checkpoint()

    async def _steps(self, runner: Runner, step: float) -> None:
        session = await runner.open((tensor([0.0]),))
        try:
            for done in range(1, 50):
                self.asked += 1
                outputs = await session.step((tensor([step]),), deadline_s=LONG_S)
                assert array(outputs.tensors[0]).tolist() == [done * step]
                self.answered += 1
                self.move()
        finally:
            await session.close()

    async def kill(self, kills: int) -> None:
        """Kill somebody after a few moves of the others; every fifth time it is the zygote."""
        while self.kills < kills:
            for _ in range(self.die.randrange(1, 30)):
                with trio.move_on_after(1):
                    await self.moved.wait()
            links = self.pool.links
            if self.die.random() < 0.2 and self.zygote.pid:
                os.kill(self.zygote.pid, signal.SIGKILL)
            elif links:
                self.killed.append(self.die.choice(links).child)
                self.killed[-1].kill()
            else:
                continue
            self.kills += 1


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    above = tmp_path / "temporary"
    above.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(above))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{above}")  # ours, see strays()
    before = Traces.now()
    yield
    nothing_new_since(before)
    assert list(above.iterdir()) == []


async def under_fire(above: Path, seed: int, kills: int) -> Load:
    zygote = Zygote(nice=0, module=MODULE)
    limits = PoolLimits(runners=2, memory_bytes=3 << 30, runner_memory_bytes=400 << 20)
    pool = Pool(limits, zygote)
    load = Load(pool, zygote, random.Random(seed), add_one(above), accumulate(above))
    async with pool.open():
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(load.ask_for_ever, number)
            for number in range(2):
                nursery.start_soon(load.step_for_ever, number)
            await load.kill(kills)
            nursery.cancel_scope.cancel()
        with trio.fail_after(LONG_S):
            for child in load.killed:
                await child.ended.wait()
        for number in range(2):  # once all deaths are known, all is as it was
            async with pool.lease(load.small, Group(f"group {number}")) as runner:
                outputs = await runner.run((tensor([1]),), deadline_s=LONG_S)
                assert array(outputs.tensors[0]).tolist() == [2]
    await until(lambda: not strays(MODULE))
    return load


async def test_under_random_kills_each_call_has_one_answer(tmp_path: Path) -> None:
    load = await under_fire(tmp_path, seed=1, kills=20)
    assert load.answered > load.refused > 0
    assert load.zygote.started_count > 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
async def test_under_many_random_kills_each_call_has_one_answer(tmp_path: Path, seed: int) -> None:
    load = await under_fire(tmp_path, seed=seed, kills=200)
    assert load.answered > load.refused > 0
    assert load.zygote.started_count > 10


async def test_kills_while_the_zygote_starts(tmp_path: Path) -> None:
    zygote = Zygote(nice=0, module=MODULE)
    pool = Pool(PoolLimits(), zygote)
    die = random.Random(2)
    started = 0
    async with pool.open():
        for _ in range(12):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kill_soon, zygote, die.uniform(0.0, 0.5))
                try:
                    await pool.layers()
                    started += 1
                except Refused as refused:
                    assert refused.reason is Reason.RUN_FAILED
                nursery.cancel_scope.cancel()
            await zygote.end()
        async with pool.lease(add_one(tmp_path), Group("a")) as runner:
            await runner.run((tensor([1]),), deadline_s=LONG_S)
    assert zygote.started_count == 13
    await until(lambda: not strays(MODULE))


async def kill_soon(zygote: Zygote, wait_s: float) -> None:
    await trio.sleep(wait_s)
    if zygote.pid:
        os.kill(zygote.pid, signal.SIGKILL)


# --- the daemon itself ----------------------------------------------------------------------------

DAEMON = """
import sys, trio
from pathlib import Path
from node.executor.executor import Group, Model
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from protocol.tensors import ElementType, Tensor

async def work_for_ever(pool, model, group):
    async with pool.lease(model, Group(group)) as runner:
        await runner.run([Tensor(ElementType.FLOAT, (1,), bytes(4))], deadline_s=3600)

async def main(folder, module):
    zygote = Zygote(nice=0, module=module)
    pool = Pool(PoolLimits(runners=2), zygote)
    model = Model(b"x" * 32, Path(folder))
    async with pool.open(), trio.open_nursery() as nursery:
        for group in "ab":
            nursery.start_soon(work_for_ever, pool, model, group)
        while len(pool.pids) < 2:
            await trio.sleep(0.001)
        print(zygote.pid, *pool.pids, flush=True)
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:])
"""


async def test_when_the_daemon_is_killed_all_of_its_children_go(tmp_path: Path) -> None:
    folder = str(endless(tmp_path).folder)
    daemon = subprocess.Popen(  # noqa: ASYNC220 - it is killed, not waited for
        [sys.executable, "-c", DAEMON, folder, MODULE], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert daemon.stdout
    try:
        with trio.fail_after(LONG_S):
            await trio.lowlevel.wait_readable(daemon.stdout.fileno())
        pids = [int(word) for word in daemon.stdout.readline().split()]
        assert len(pids) == 3
        pidfds = [os.pidfd_open(pid) for pid in pids]
    finally:
        daemon.kill()
        daemon.stdout.close()
        daemon.wait()
    try:
        with trio.fail_after(LONG_S):
            for pidfd in pidfds:
                await trio.lowlevel.wait_readable(pidfd)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)
    await until(lambda: not strays(MODULE))
