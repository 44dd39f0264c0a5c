# SPDX-License-Identifier: MIT
"""How a node of the scale tier comes in and comes back, as `node/mesh/discovery.py` has it.

The house is left out, and so is the disk: a node that was killed does not start again here.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING

from node.mesh.discovery import (
    ALONE_S_MAX,
    ALONE_S_MIN,
    LOOK_S,
    PARALLEL_MAX,
    REUNION_S,
    ROUND_MAX,
    SAVE_S,
    SAVE_S_MIN,
)

if TYPE_CHECKING:
    from simulations.scale.node import ScaleNode


class Company:
    """Keeps one node in company."""

    __slots__ = ("_bootstrap", "_busy", "_cache", "_dice", "_left", "_node", "_save_s", "_wait_s")

    def __init__(self, node: "ScaleNode", bootstrap: tuple[bytes, ...], dice: Random) -> None:
        """Begin with the nodes that it was given."""
        self._node = node
        self._bootstrap = bootstrap
        self._dice = dice
        self._cache: dict[bytes, None] = {}
        self._wait_s = ALONE_S_MIN
        self._save_s = SAVE_S
        self._left: list[bytes] = []
        self._busy = 0

    def start(self) -> None:
        """Begin with nobody around."""
        self.go_on(0.0, SAVE_S_MIN, self._wait(REUNION_S))
        self._save_s = SAVE_S_MIN

    def go_on(self, look_s: float, save_s: float, reunion_s: float) -> None:
        """Do all for the next time after so long, as one that has been there for long."""
        world = self._node.world
        world.later(look_s, self._look)
        world.later(save_s, self._save)
        world.later(reunion_s, self._reunite)

    def _wait(self, least_s: float) -> float:
        return least_s * self._dice.uniform(0.75, 1.25)

    @property
    def _is_alone(self) -> bool:
        return self._node.is_alive and not self._node.view.neighbours.linked

    # --- alone ----------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._is_alone:
            self._node.world.later(self._wait(self._wait_s), self._try)
            self._wait_s = min(ALONE_S_MAX, self._wait_s * 2)
        elif self._node.is_alive:
            self._wait_s = ALONE_S_MIN
            self._node.world.later(LOOK_S, self._look)

    def _try(self) -> None:
        """Dial the next few, some at a time, until there is company."""
        if self._is_alone:
            self._left = [key for key, _ in zip(self._mixed(), range(ROUND_MAX), strict=False)]
            for _ in range(PARALLEL_MAX):
                self._busy += 1
                self._next()
        else:
            self._look()

    def _next(self) -> None:
        if self._is_alone and self._left:
            self._node.introduce(self._left.pop(0), self._next)
            return
        self._busy -= 1
        if not self._busy:
            self._look()

    # --- the cache --------------------------------------------------------------------------------

    def _save(self) -> None:
        if self._node.is_alive:
            self._save_s = min(SAVE_S, self._save_s * 2)
            self._node.world.later(self._save_s, self._save)
            self._take()

    def _take(self) -> None:
        directory = self._node.view.directory
        directory.expire(self._node.world.now_s)
        for key in directory.entries:
            self._cache.pop(key, None)
            self._cache[key] = None
        kept = directory.room + directory.room // 3
        for key in list(self._cache)[: max(0, len(self._cache) - kept)]:
            del self._cache[key]

    def _reunite(self) -> None:
        node = self._node
        if not node.is_alive:
            return
        node.world.later(self._wait(REUNION_S), self._reunite)
        if node.view.neighbours.linked:
            self._take()
            for key in self._mixed(lambda key: key not in node.view.directory):
                if key not in node.ends:
                    node.introduce(key, lambda: None)
                    break

    def _mixed(self, wanted: Callable[[bytes], bool] = lambda _: True) -> Iterator[bytes]:
        """Go through all nodes that are known, in turns of where they are known from, by lot."""
        sources = [list(self._bootstrap), list(self._cache)]
        for source in sources:
            self._dice.shuffle(source)
        seen = {self._node.key}
        while any(sources):
            for source in sources:
                while source:
                    key = source.pop()
                    if key not in seen and wanted(key):
                        seen.add(key)
                        yield key
                        break
