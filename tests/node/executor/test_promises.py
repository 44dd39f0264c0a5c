# SPDX-License-Identifier: MIT
"""The executor of this machine and the simulated one keep the same promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from node.executor.rooms import is_supported
from tests.node.executor import promises
from tests.node.executor.promise_scenes import Kept, Models, RealScene, SimulatedScene, build
from tests.node.executor.promises import Promise

ALL = (*promises.PROMISES,)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


@pytest.mark.parametrize("promise", ALL)
async def test_the_simulated_executor_keeps_its_promises(
    promise: Promise, models: Models, autojump_clock: MockClock
) -> None:
    assert autojump_clock.autojump_threshold == 0
    await promise(SimulatedScene(models))


@pytest.mark.slow
@pytest.mark.skipif(not is_supported(), reason="this system has no sealed memory")
@pytest.mark.parametrize("promise", ALL)
async def test_the_executor_of_this_machine_keeps_its_promises(
    promise: Promise, models: Models, kept: Kept
) -> None:
    await promise(RealScene(models, kept))
