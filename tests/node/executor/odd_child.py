# SPDX-License-Identifier: MIT
"""A throw-away child that behaves as it is told: `python -m ...odd_child FD HOW`."""

import array
import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

from node.executor.errand import Errand


def report() -> bytes:
    """What this process has of its parent's."""
    open_fds = [path for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2]
    said = {
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "leader": os.getsid(0) == os.getpid(),
        "descriptors": len(open_fds) - 1,  # the listing itself has one
        "standard": [str(Path(f"/proc/self/fd/{number}").readlink()) for number in (0, 1)],
    }
    return json.dumps(said).encode()


def main() -> None:
    errand = Errand(int(sys.argv[1]))
    line = errand._socket
    how = sys.argv[2]
    if how == "echo":
        while True:
            data, descriptors = errand.hear_with_descriptors()
            errand.say(data + b"".join(os.pread(each, 100, 0) for each in descriptors))
            for each in descriptors:
                os.close(each)
    elif how == "report":
        errand.say(report())
    elif how == "crash":
        sys.stderr.write("what a pity\n")
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "exit":
        sys.exit("I \x1b[31mcannot go on")
    elif how == "flood":
        line.sendall(struct.pack("<I", 0xFFFF_FFFF) + bytes(1 << 20))
    elif how == "shout":
        os.write(2, b"x" * 10_000_000)
        errand.say(b"done")
    elif how == "half":
        line.sendall(struct.pack("<I", 1000) + b"half")
        line.close()
        time.sleep(3600)
    elif how == "descriptors":
        with Path("/dev/null").open("rb") as null:
            for _ in range(10):
                rights = array.array("i", [null.fileno()] * 50)
                data = struct.pack("<I", 1) + b"x"
                line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        errand.hear()
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)


if __name__ == "__main__":
    main()
