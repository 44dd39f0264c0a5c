# SPDX-License-Identifier: MIT
"""The world of a node: the five seams through which it touches anything."""

from dataclasses import dataclass

from node.clock import Clock
from node.executor.executor import Executor
from node.host.host import Host
from node.mesh.transport import Transport
from node.paths import Paths
from node.store.store import Store


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a node touches. `paths` say where its few plain files are."""

    clock: Clock
    transport: Transport
    executor: Executor
    store: Store
    host: Host
    paths: Paths
