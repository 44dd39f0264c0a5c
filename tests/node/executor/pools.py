# SPDX-License-Identifier: MIT
"""A pool as the tests open it: when it is closed, nothing of it may be left."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from tests.node.executor.taken_over import MODULE
from tests.node.executor.traces import Traces, nothing_new_since


@asynccontextmanager
async def a_pool(above: Path, module: str = MODULE, **limits: Any) -> AsyncIterator[Pool]:
    """Open a pool whose runners can be taken over, if their model's folder has a plan for it.

    It makes its folders in one of its own, because other pools on this machine have some too.
    """
    elsewhere, tempfile.tempdir = tempfile.tempdir, mkdtemp(dir=above)
    try:
        before = Traces.now()
        pool = Pool(PoolLimits(**{"runners": 4, **limits}), Zygote(nice=0, module=module))
        async with pool.open():
            yield pool
        nothing_new_since(before)
    finally:
        tempfile.tempdir = elsewhere
