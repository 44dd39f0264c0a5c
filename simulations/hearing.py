# SPDX-License-Identifier: MIT
"""Who said what in a made world: the warnings of each node, and what failed inside of it.

A real node contains what nobody foresaw: it logs it, and goes on. A made world is fragile there.
So each line of the log that tells of something contained is a **failure** of the node in whose
tasks it was written. Levels below warning are not kept: a thousand nodes say much.
"""

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from node.leaves import leaves
from node.log import heard_by, shown

#: What is logged with a traceback was contained. These are too, and are logged without one.
CONTAINED = frozenset({"handler_failed", "network_not_entered"})

#: A node that says more has said the same again and again; the first lines tell why.
LINES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """Something that a node logged; `trouble` is what it had caught, if it had caught anything."""

    at_s: float
    level: str
    event: str
    what: str
    trouble: str = ""

    def __str__(self) -> str:
        """Say it as a report does."""
        return " ".join(filter(None, (f"{self.at_s:.3f} s", self.event, self.what, self.trouble)))


@dataclass
class Said:
    """What one node has said. Where its files are is different in each run: that is not told."""

    hides: str = ""
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    """The newest of its warnings and errors."""
    failures: list[str] = field(default_factory=list)
    """What it had to contain, the first of them."""
    failures_count: int = 0
    is_deaf: bool = False
    """Nothing is noted any more: what a dying process says matters to nobody."""

    def hear(self, line: Line, *, has_failed: bool) -> None:
        """Note a line."""
        if self.is_deaf:
            return
        self.lines.append(line)
        if has_failed:
            self.failures_count += 1
            if len(self.failures) < LINES_MAX:
                self.failures.append(str(line))


class Hearing:
    """Listens to all nodes of a made world inside :meth:`listening`."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.others = Said()
        """What was said by nobody's tasks: by whoever sits at a desk, or by the world itself."""
        self._below: dict[trio.Nursery, Said] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen inside the block."""
        with heard_by(self._hear):
            yield

    @contextmanager
    def whose(self, below: trio.Nursery, said: Said) -> Iterator[None]:
        """Take what is said below this nursery for that of one node, inside the block."""
        self._below[below] = said
        try:
            yield
        finally:
            del self._below[below]

    def _hear(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        if level in ("debug", "info"):
            return
        has_failed = event in CONTAINED or bool(fields.get("exc_info"))
        what = ", ".join(
            f"{name}={shown(value)}" for name, value in fields.items() if name != "exc_info"
        )
        said = self._speaker()
        told = [what, _caught(fields.get("exc_info"))]
        if said.hides:
            told = [each.replace(said.hides, "~") for each in told]
        said.hear(Line(_now_s(), level, event, *told), has_failed=has_failed)

    def _speaker(self) -> Said:
        """Find the node by its tasks. Contexts would not do: what arrives brings the sender's."""
        try:
            nursery = trio.lowlevel.current_task().parent_nursery
        except RuntimeError:
            return self.others
        while nursery is not None:
            if said := self._below.get(nursery):
                return said
            nursery = nursery.parent_task.parent_nursery
        return self.others


def _caught(exc_info: object) -> str:
    error = exc_info if isinstance(exc_info, BaseException) else None
    if exc_info and error is None:
        error = sys.exc_info()[1]
    return "; ".join(repr(each) for each in leaves(error)) if error else ""


def _now_s() -> float:
    try:
        return trio.current_time()
    except RuntimeError:
        return 0.0
