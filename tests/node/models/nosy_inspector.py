# SPDX-License-Identifier: MIT
"""The real inspector, but whoever wrote the graph runs code of his own as soon as it is read.

What he tries is what the model is called; what came of it is the refusal.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from node.models import inspector
from node.models.dialogue import parse_task
from protocol.errors import Refused
from protocol.reasons import Reason


def serve_others() -> None:
    with socket.socketpair()[0]:
        pass


WAYS: dict[str, Callable[[], object]] = {
    "read a file": lambda: Path("/etc/hostname").read_text(encoding="utf-8"),
    "list a folder": lambda: list(Path("/").iterdir()),
    "write a file": lambda: Path("/tmp/commons-was-here").write_text("x", encoding="utf-8"),
    "look at the parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "open a socket": lambda: socket.socket(socket.AF_INET),
    "open a pair": serve_others,
    "start a program": lambda: subprocess.run(["/bin/true"], check=False),
    "fork": os.fork,
    "kill the parent": lambda: os.kill(os.getppid(), 0),
    "take all memory": lambda: bytearray(8 << 30),
}


def taken_over(how: str) -> None:
    try:
        WAYS[how]()
    except (OSError, MemoryError) as error:
        raise Refused(Reason.MODEL_REFUSED, f"contained: {type(error).__name__}") from None
    raise Refused(Reason.MODEL_REFUSED, "not contained")


def main() -> None:
    names: list[str] = []

    def heard(said: bytes) -> object:
        task = parse_task(said)
        names.append(task.name)
        return task

    vars(inspector).update(parse_task=heard, parse=lambda _: taken_over(names[0]))
    inspector.main(sys.argv[1:])


if __name__ == "__main__":
    main()
