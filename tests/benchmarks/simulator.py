# SPDX-License-Identifier: MIT
"""What a made world costs: whole nodes, and the scale tier, against bare messages between tasks."""

import subprocess
import sys
from collections.abc import Callable
from time import process_time

import trio

from simulations.determinism import run_in_virtual_time
from simulations.signatures import remembered_signatures
from simulations.sim import made_sim
from tests.benchmarks.figures import Figure

#: Whole nodes that come at once through one door, and how long they live.
NODES, SECONDS = 100, 60.0

#: Nodes of the scale tier, as `python -m simulations.scale` has them.
SCALE_NODES = 1000

#: Two worlds of different size tell what one more node takes; the rest is Python itself.
SMALL = 20


def whole_nodes() -> tuple[float, int]:
    """Give the CPU seconds of a crowd of whole nodes, and how many messages it had."""
    messages = 0

    async def crowd() -> None:
        nonlocal messages
        async with made_sim(1) as sim:
            await sim.spawn(NODES)
            await sim.sleep(SECONDS - sim.now_s)
            messages = sim.net.messages

    with remembered_signatures():
        took_s = _cpu_s(lambda: run_in_virtual_time("1", crowd))
    return took_s, messages


def ping_pong(messages: int) -> float:
    """Give the CPU seconds of as many messages between two tasks of trio."""

    async def play() -> None:
        out, back = trio.open_memory_channel[int](0), trio.open_memory_channel[int](0)

        async def answer() -> None:
            for _ in range(messages // 2):
                await back[0].send(await out[1].receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            for number in range(messages // 2):
                await out[0].send(number)
                await back[1].receive()

    return _cpu_s(lambda: trio.run(play))


def kib_per_node() -> float:
    """Give the memory that one more node takes, between two worlds in processes of their own."""
    return (_peak_kib(NODES) - _peak_kib(SMALL)) / (NODES - SMALL)


def run() -> list[Figure]:
    """All figures of this file."""
    took_s, messages = whole_nodes()
    reference_s = ping_pong(messages)
    per_node = kib_per_node()
    scale_s = _scale_s()
    return [
        Figure(
            "100 whole nodes, 60 s",
            took_s / reference_s,
            f"CPU / as many messages between two tasks of trio; here {took_s:.1f} s for "
            f"{messages:,} messages, and {per_node:,.0f} KiB for each node",
        ),
        Figure(
            "1,000 nodes of the scale tier",
            scale_s / reference_s,
            f"CPU / the same messages; here {scale_s:.1f} s",
        ),
    ]


def _cpu_s(work: Callable[[], object]) -> float:
    begin_s = process_time()
    work()
    return process_time() - begin_s


def _peak_kib(nodes: int) -> int:
    """Run a crowd for a few seconds elsewhere, and give the most memory that it had."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.simulator", str(nodes)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(said.stdout)


def _scale_s() -> float:
    """Give the CPU seconds of a run of the scale tier, in a process of its own."""
    code = (
        "import time; from simulations.scale.__main__ import main; "
        "begin_s = time.process_time(); "
        f"main(['crowd', '--nodes', '{SCALE_NODES}']); print(time.process_time() - begin_s)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(said.stdout.split()[-1])


async def _short_crowd(nodes: int) -> None:
    async with made_sim(1) as sim:
        await sim.spawn(nodes)
        await sim.sleep(5)


def _main() -> None:
    import resource

    with remembered_signatures():
        run_in_virtual_time("1", _short_crowd, int(sys.argv[1]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    _main()
