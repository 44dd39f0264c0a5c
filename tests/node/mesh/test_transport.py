# SPDX-License-Identifier: MIT
"""The real transport and the made network keep the same promises."""

import pytest

from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.memory_scene import MemoryScene
from tests.node.mesh.transport_promises import LONG, PROMISES, Promise, kept


@pytest.mark.parametrize("promise", PROMISES)
@in_virtual_time
async def test_the_made_network_keeps_its_promises(promise: Promise) -> None:
    await kept(promise, MemoryScene())


@pytest.mark.slow
@pytest.mark.parametrize(
    "promise",
    [pytest.param(each, marks=[pytest.mark.soak] * (each in LONG)) for each in PROMISES],
)
async def test_libp2p_keeps_its_promises(promise: Promise) -> None:
    await kept(promise, Libp2pScene())
