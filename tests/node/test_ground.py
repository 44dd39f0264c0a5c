# SPDX-License-Identifier: MIT
"""What stands below a node before it is in a network: its folders, and what it writes down."""

from pathlib import Path

import pytest
import trio

from node.ground import KEEP_S
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import some_nodes


@in_virtual_time
async def test_a_node_closes_its_cache_folder_to_the_eyes_of_others(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        paths = nodes.make("ann").paths
        paths.cache.mkdir(parents=True, exist_ok=True)
        paths.cache.chmod(0o755)
        await nodes.start("ann")
        assert paths.cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trouble", ["full", "failing"])
def test_a_disk_that_takes_nothing_ends_no_task_and_what_was_used_is_kept_later(
    tmp_path: Path, trouble: str
) -> None:
    """The task that keeps the quotas crashed on a full disk, again and again."""

    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            ann = await nodes.start("ann")
            ann.store.room_bytes = 0 if trouble == "full" else float("inf")
            ann.store.is_failing = trouble == "failing"
            await trio.sleep(3 * KEEP_S)
            health = ann.desk.ground.supervised.healths["quotas"]
            assert (health.crashes, ann.failures) == (0, [])
            ann.end_trouble()
            await ann.desk.ground.keep_quotas()
            await nodes.restart("ann")
            assert ann.failures == []

    run()
