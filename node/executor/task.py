# SPDX-License-Identifier: MIT
"""What the daemon wants of a runner, as it travels through the zygote. Both sides import this."""

import json
from dataclasses import asdict, dataclass

from node.executor.executor import CPU

#: A task is one packet of a socket, which every Linux lets be this long. The names of a
#: thousand ports fit, if they are not all as long as they may be.
TASK_BYTES_MAX = 1 << 17


@dataclass(frozen=True, slots=True)
class Task:
    """The model to load, and the rooms and rights that go with it.

    Without `inputs` and `outputs` the order of the graph's own ports counts. A task that is not
    `forked` begins in a new program, unconfined: for providers that need their driver's files.
    A runner that is to be `contained` touches no model when a layer that strangers need fails.
    """

    folder: str
    memory_bytes: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    states: tuple[tuple[int, int], ...] = ()
    adapter: tuple[str, ...] = ()
    provider: str = CPU
    threads: int = 1
    optimise: str = "ORT_ENABLE_ALL"
    entries: tuple[tuple[str, str], ...] = ()
    forked: bool = True
    contained: bool = False

    def document(self) -> str:
        """Write it."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, document: str | bytes) -> "Task":
        """Read it back; the daemon wrote it, so nothing is checked twice."""
        read = json.loads(document)
        for name in ("inputs", "outputs", "adapter"):
            read[name] = tuple(read[name])
        for name in ("states", "entries"):
            read[name] = tuple(map(tuple, read[name]))
        return cls(**read)
