# SPDX-License-Identifier: MIT
"""The pytest plugin as its users have it: runs of pytest of their own, on tests of their own."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from tests.tree import ROOT

# What the runs inside import must be here before them: pytester takes back what they import, and
# then there would be two of each class.
LOADED = [import_module(f"simulations.{name}") for name in ("again", "sim", "simulate")]

HEAD = "from simulations.sim import Sim\n\n"
MEET = """\
async def test_two_meet(sim: Sim) -> None:
    await sim.spawn(2)
    await sim.settle()
"""


def pytested(pytester: pytest.Pytester, text: str, *words: str, ini: str = "") -> tuple[int, str]:
    """Run pytest on a test file in a folder of its own; give its status and what it said."""
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makepyfile(test_it=HEAD + text)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", *words)
    return done.ret, done.stdout.str() + done.stderr.str()


def test_each_test_runs_with_three_seeds_and_others_as_always(pytester: pytest.Pytester) -> None:
    plain = "\n\ndef test_plain() -> None:\n    pass\n"
    status, said = pytested(pytester, MEET + plain, "-v")
    assert status == 0, said
    assert "4 passed" in said
    assert all(f"test_two_meet[seed{seed}] PASSED" in said for seed in range(3))


@pytest.mark.parametrize("ini", ["", "trio_mode = true\n"])
def test_an_hour_passes_in_no_time_whatever_mode_pytest_trio_has(
    pytester: pytest.Pytester, ini: str
) -> None:
    """Once pytest-trio's own mark came first: the test ran on the clock on the wall."""
    text = (
        "import trio\nfrom trio.testing import MockClock\n\n"
        "async def test_an_hour(sim: Sim) -> None:\n"
        "    assert isinstance(trio.lowlevel.current_clock(), MockClock)\n"
        "    await sim.sleep(3600)\n"
    )
    status, said = pytested(pytester, text, "--sim-seeds=2", ini=ini)
    assert status == 0, said
    assert "2 passed" in said


def test_a_failure_prints_the_line_that_has_it_again_and_that_line_does(
    pytester: pytest.Pytester,
) -> None:
    text = (
        "async def test_it(sim: Sim) -> None:\n"
        "    drawn = sim.dice('x').random()\n"
        "    assert sim.seed != 1, f'drew {drawn}'\n"
    )
    status, said = pytested(pytester, text)
    assert status == 1
    assert "1 failed, 2 passed" in said
    replay = re.search(r"replay: pytest 'test_it.py::test_it' (--sim-seed=1)", said)
    assert replay, said
    again, said_again = pytested(pytester, text, replay[1])
    assert again == 1
    drawn = re.search(r"drew [0-9.]+", said)
    assert drawn
    assert drawn[0] in said_again


def test_what_a_node_had_to_contain_fails_the_test(pytester: pytest.Pytester) -> None:
    """A daemon logs an exception in a handler and goes on; a simulation is fragile there."""
    text = (
        "async def test_it(sim: Sim) -> None:\n"
        "    (node,) = await sim.spawn()\n"
        "    async def bug() -> None:\n"
        "        raise KeyError('a bug')\n"
        "    keep = node.member.ground.supervised.keep\n"
        "    node._tasks.start_soon(keep, 'work', bug)\n"
        "    await sim.sleep(1)\n"
    )
    status, said = pytested(pytester, text, "--sim-seeds=1")
    assert status == 1
    assert re.search(
        r"nothing failed: node-1: 0\.\d+ s task_crashed .*KeyError\('a bug'\)", said
    ), said


def test_no_seed_at_all_is_refused(pytester: pytest.Pytester) -> None:
    status, said = pytested(pytester, MEET, "--sim-seeds=0")
    assert status != 0
    assert "--sim-seeds is less than 1" in said


def test_a_thread_in_a_world_fails_its_test_with_the_virtual_second(
    pytester: pytest.Pytester,
) -> None:
    text = (
        "import trio\n\nasync def test_it(sim: Sim) -> None:\n"
        "    await sim.sleep(7)\n    await trio.Path('.').exists()\n"
    )
    status, said = pytested(pytester, text, "--sim-seeds=1")
    assert status == 1
    assert "a thread was at work at 7.000 s of virtual time" in said


def test_a_second_run_finds_what_does_not_follow_from_the_seed(pytester: pytest.Pytester) -> None:
    """And has nothing to say about a world that does."""
    text = (
        "import time\n\n"
        "async def test_wall(sim: Sim) -> None:\n"
        "    await sim.sleep(3)\n"
        "    sim.trace.note('now', '', str(time.time()))\n\n"
        "async def test_set(sim: Sim) -> None:\n"
        "    for name in set('abcdefgh'):\n"
        "        sim.trace.note('visit', name)\n\n"
    )
    status, said = pytested(pytester, text + MEET, "--sim-check", "--sim-seed=5")
    assert status == 1
    assert "2 failed, 1 passed" in said
    assert re.search(r"seed 5: two runs differ first in row \d+, at 3\.0 s of virtual time", said)
    assert re.search(r"differ first in row \d+, at 0\.0 s(?s:.*)one: .*\"visit\"", said)


def test_the_examples_of_the_how_to_run_as_they_stand(pytester: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "how-to" / "simulate-your-network.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(first.strip().splitlines()) <= 22
    status, said = pytested(pytester, first.replace(HEAD.strip(), ""))
    assert status == 0, said
    assert "3 passed" in said
    command = [sys.executable, "-c", second]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"```\n{done.stdout}```" in page
