# SPDX-License-Identifier: MIT
"""A probe that measures nothing: `python -m tests.node.executor.odd_probe SOCKET TASK`.

The environment of a child is bare. What it should do stands where the task has the GPUs that
are visible, which a test sets with `CUDA_VISIBLE_DEVICES`.
"""

import json
import os
import signal
import socket
import struct
import sys
import time

GOOD = {
    "fp32_mflops": 100_000,
    "int8_mops": 400_000,
    "memory_mbps": 20_000,
    "weights_mib": 256,
    "on_core_percent": 100,
    "providers": ["CPUExecutionProvider"],
    "gpus": [],
    "runtime": "onnxruntime 0.0.1",
}

ANSWERS = {
    "good": json.dumps(GOOD),
    "garbage": "\x00{]",
    "empty": "",
    "list": "[1, 2]",
    "deep": "[" * 10_000,
    "less": json.dumps({"fp32_mflops": 1}),
    "more": json.dumps({**GOOD, "favourite_colour": 1}),
    "nan": json.dumps({**GOOD, "fp32_mflops": float("nan")}),
    "azure": json.dumps({**GOOD, "providers": ["AzureExecutionProvider", "CPUExecutionProvider"]}),
}


def say(line: socket.socket, data: bytes) -> None:
    line.sendall(struct.pack("<I", len(data)) + data)


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    how = json.loads(sys.argv[2])["gpus_visible"]
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif how == "die":
        sys.exit("there is no engine here")
    elif how == "crash":
        os.kill(os.getpid(), signal.SIGILL)
    elif how == "flood":
        say(line, b"1" * 10_000_000)
    elif how == "shout":
        for descriptor in (1, 2):
            os.write(descriptor, b"x" * 10_000_000)
        say(line, json.dumps(GOOD).encode())
    elif how == "news":
        # another figure each time
        say(line, json.dumps({**GOOD, "fp32_mflops": time.time_ns() // 1000 % 10**9 + 1}).encode())
    else:
        say(line, ANSWERS[how].encode())


if __name__ == "__main__":
    main()
