# SPDX-License-Identifier: MIT
"""The pytest plugin: the fixture `sim`, and the options that choose its seeds.

::

    async def test_newcomers_find_each_other(sim: Sim) -> None:
        await sim.spawn(8)
        await sim.settle()

A test that takes `sim` runs once for each seed, in virtual time. A failure prints the command
that has it again. It needs pytest-trio, which runs tests that are `async`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulations.sim import Sim

SEEDS = 3
"""How many seeds a test gets when nobody says otherwise."""

OPTION = "commons simulations"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose seeds."""
    group = parser.getgroup(OPTION)
    group.addoption(
        "--sim-seeds",
        type=int,
        default=SEEDS,
        metavar="N",
        help=f"run each test that takes `sim` with the seeds 0 to N-1 (default {SEEDS})",
    )
    group.addoption(
        "--sim-seed",
        type=int,
        default=None,
        metavar="S",
        help="run each test that takes `sim` with this seed alone",
    )
    group.addoption(
        "--sim-check",
        action="store_true",
        help="run each of them twice, in processes with other hash seeds, and tell where the two "
        "runs differ first",
    )
    group.addoption(
        "--sim-trace",
        type=Path,
        default=None,
        metavar="FILE",
        help="write each row of the trace, messages too, to this file; for one test and one seed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be meant."""
    if config.getoption("--sim-seeds") < 1:
        raise pytest.UsageError("--sim-seeds is less than 1: then no test that takes `sim` runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes `sim` its seeds."""
    if "sim" in metafunc.fixturenames:
        one = metafunc.config.getoption("--sim-seed")
        seeds = range(metafunc.config.getoption("--sim-seeds")) if one is None else [one]
        metafunc.parametrize("sim_seed", seeds, ids=lambda seed: f"seed{seed}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let them run in virtual time, as their seed has it.

    Our mark comes before pytest-trio's own one: with `trio_mode` and another order of plugins
    that one would win, and the clock on the wall with it.
    """
    for item in items:
        if "sim" in getattr(item, "fixturenames", ()):
            run = partial(_run, str(item.callspec.params["sim_seed"]))  # type: ignore[attr-defined]  # parametrized above
            item.add_marker(pytest.mark.trio(run=run), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run a test; when it fails, say how to have that again."""
    if "sim" not in getattr(item, "fixturenames", ()):
        return (yield)
    from node.leaves import the_only

    if item.config.getoption("--sim-check"):
        from simulations.again import check_test

        check_test(item)
    try:
        return (yield)
    except Exception as raised:  # noqa: BLE001 - it is raised again, with a word more
        error = the_only(raised)
        seed = item.callspec.params["sim_seed"]  # type: ignore[attr-defined]  # as above
        name, _, _ = item.nodeid.partition("[")
        error.add_note(f"replay: pytest '{name}' --sim-seed={seed}")
        raise error from error.__cause__  # without the groups around it, which say nothing


@pytest.fixture
def sim_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the world of this test."""
    seed: int = request.param
    return seed


def _run(seed: str, main: Callable[..., Awaitable[Any]], *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - pytest-trio's own door
    """Run a test; what pytest-trio has chosen beside is for the clock on the wall."""
    from simulations.determinism import run_in_virtual_time

    del more
    return run_in_virtual_time(seed, main, *arguments)


# Each run of pytest imports this wherever the package is installed: it needs no pytest-trio as
# long as no test takes `sim`.
try:
    from pytest_trio import trio_fixture  # type: ignore[import-untyped]  # it ships none
except ImportError:  # pragma: no cover - here it is installed

    @pytest.fixture
    def sim() -> None:
        """Say what is missing."""
        pytest.fail("the fixture `sim` needs pytest-trio: install it beside pytest")
else:

    @trio_fixture  # type: ignore[untyped-decorator]  # it has no types
    async def sim(sim_seed: int, request: pytest.FixtureRequest) -> "AsyncIterator[Sim]":
        """A made world, and nobody in it yet; it follows from the seed of the test."""
        from simulations.sim import made_sim
        from simulations.trace import Trace, written_to

        with written_to(request.config.getoption("--sim-trace")) as sink:
            async with made_sim(sim_seed, trace=Trace(sink=sink)) as world:
                yield world
