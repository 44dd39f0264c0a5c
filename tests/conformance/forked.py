# SPDX-License-Identifier: MIT
"""Functions run in forked children, so that a crash or a hang is an answer like another.

A child begins with everything its parent had imported, which takes milliseconds where a new
process takes half a second. So the parent must have one thread, and nothing open that
matters: this is for programs of their own, not for the process of pytest.
"""

import json
import os
import resource
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

Work = Callable[[], dict[str, object]]
Batch = list[tuple[str, Work]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a work ended: what it said, or the signal that ended it, or neither by its deadline.

    `said` is empty when it said nothing, which is what a work that raises says. `peak_bytes`
    is the most memory that its child had at once.
    """

    name: str
    said: dict[str, object]
    signal: int
    hung: bool
    took_s: float
    peak_bytes: int


@dataclass(eq=False, slots=True)
class _Child:
    """A child with its works, one line of answer for each, and since when it is at the next."""

    batch: Batch
    pid: int
    pipe: int
    since: float
    heard: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)

    def hear(self) -> bool:
        """Read what there is; false when there will be no more."""
        piece = os.read(self.pipe, 1 << 16)
        *lines, self.heard = (self.heard + piece).split(b"\n")
        for line in lines:
            now = time.monotonic()
            self.lines.append(line)
            self.took_s.append(now - self.since)
            self.since = now
        return bool(piece)


def in_children(
    works: Iterable[tuple[str, Work]],
    *,
    deadline_s: float,
    at_once: int = 2,
    per_child: int = 1,
    data_bytes: int = 0,
) -> Iterator[Ending]:
    """Run the works in children, a few at once; endings come as they happen.

    A child runs `per_child` works, one after another; what took a child down that had run others
    before is run again alone. `data_bytes` caps what a child may allocate; 0 is no cap.
    """
    coming = iter(works)
    again: deque[Batch] = deque()
    children: dict[int, _Child] = {}
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while len(children) < at_once:
                    batch = again.popleft() if again else list(islice(coming, per_child))
                    if not batch:
                        break
                    child = _fork(batch, data_bytes)
                    children[child.pipe] = child
                    selector.register(child.pipe, selectors.EVENT_READ)
                if not children:
                    return
                for child in _listen(selector, children, deadline_s):
                    selector.unregister(child.pipe)
                    del children[child.pipe]
                    yield from _endings(child, again, deadline_s)
        finally:
            for child in children.values():
                _end(child, kill=True)


def _fork(batch: Batch, data_bytes: int) -> _Child:
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid:
        os.close(write_end)
        return _Child(batch, pid, read_end, began)
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if data_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
        with os.fdopen(write_end, "wb") as pipe:
            for _, work in batch:
                pipe.write(json.dumps(work()).encode() + b"\n")
                pipe.flush()
        code = 0
    finally:
        # Nothing of the parent's may run here: no exit handler, no `finally` of a caller.
        os._exit(code)


def _listen(
    selector: selectors.BaseSelector, children: dict[int, _Child], deadline_s: float
) -> list[_Child]:
    """Wait until a child has closed its pipe, or has been at one work for too long."""
    first_end = min(child.since for child in children.values()) + deadline_s
    ready = selector.select(max(0.0, first_end - time.monotonic()))
    ended = [children[key.fd] for key, _ in ready if not children[key.fd].hear()]
    late = time.monotonic() - deadline_s
    return ended + [each for each in children.values() if each.since <= late and each not in ended]


def _endings(child: _Child, again: deque[Batch], deadline_s: float) -> Iterator[Ending]:
    """Give what the child said, and see to what it did not come to."""
    took_s = time.monotonic() - child.since
    done = len(child.lines)
    hung = done < len(child.batch) and took_s >= deadline_s
    ended_by, peak_bytes = _end(child, kill=hung)
    for (name, _), line, line_s in zip(child.batch, child.lines, child.took_s, strict=False):
        yield Ending(name, json.loads(line), 0, hung=False, took_s=line_s, peak_bytes=peak_bytes)
    left = child.batch[done:]
    if not left:
        return
    if done:
        again.extend([left[:1], left[1:]] if left[1:] else [left])
        return
    yield Ending(left[0][0], {}, 0 if hung else ended_by, hung, took_s, peak_bytes)
    if left[1:]:
        again.append(left[1:])


def _end(child: _Child, *, kill: bool) -> tuple[int, int]:
    """Wait for the child; give the signal that ended it, and its peak of memory."""
    if kill:
        os.kill(child.pid, signal.SIGKILL)
    os.close(child.pipe)
    _, status, usage = os.wait4(child.pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, usage.ru_maxrss * 1024
