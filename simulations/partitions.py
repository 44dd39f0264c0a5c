# SPDX-License-Identifier: MIT
"""Why nothing passes from one host to another: cuts, partitions, holds, hosts that stand still.

Each reason stands for itself: something passes again when the last one has ended.
"""

from collections.abc import Callable, Iterable


class Partition:
    """A wall between two sets of hosts, or between one set and everybody else."""

    def __init__(
        self,
        these: Iterable[str],
        those: Iterable[str] | None,
        on_lifted: Callable[["Partition"], None],
        *,
        one_way: bool = False,
    ) -> None:
        """With `one_way` nothing leaves these, and what those say to them arrives."""
        self.these = frozenset(these)
        self.those = None if those is None else frozenset(those)
        self.is_one_way = one_way
        self._on_lifted = on_lifted

    def is_between(self, here: str, there: str) -> bool:
        """Whether it keeps what one host says to another one."""
        if self._divides(here, there):
            return True
        return not self.is_one_way and self._divides(there, here)

    def lift(self) -> None:
        """Take it away; twice is fine."""
        self._on_lifted(self)

    def _divides(self, here: str, there: str) -> bool:
        if here not in self.these:
            return False
        return there not in self.these if self.those is None else there in self.those


class Barriers:
    """All reasons for which nothing passes now."""

    def __init__(self) -> None:
        """Begin with none."""
        self.partitions: dict[Partition, None] = {}
        self.cuts: set[frozenset[str]] = set()
        self.holds: set[tuple[str, str]] = set()
        self.frozen: set[str] = set()
        self.off: set[str] = set()
        self.doors: dict[str, frozenset[str]] = {}
        """Hosts that nobody can dial, but for those few."""

    def is_held(self, here: str, there: str) -> bool:
        """Whether what one host says to another one has to wait."""
        if self.frozen and (here in self.frozen or there in self.frozen):
            return True
        if self.off and (here in self.off or there in self.off):
            return True
        if self.cuts and frozenset((here, there)) in self.cuts:
            return True
        if self.holds and (here, there) in self.holds:
            return True
        return any(each.is_between(here, there) for each in self.partitions)

    def may_knock(self, here: str, there: str) -> bool:
        """Whether a host can be dialled by another one."""
        return there not in self.doors or here in self.doors[there]

    def clear(self) -> None:
        """End what lies between hosts; hosts that stand still or are off stay so."""
        self.partitions.clear()
        self.cuts.clear()
        self.holds.clear()
