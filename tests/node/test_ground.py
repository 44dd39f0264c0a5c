# SPDX-License-Identifier: MIT
"""What stands below a node before it is in a network: its folders are its owner's alone."""

from pathlib import Path

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
