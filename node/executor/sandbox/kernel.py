# SPDX-License-Identifier: MIT
"""System calls that Python has no name for. What is called, and why, is said by the layers."""

import ctypes
import os
import sys
from errno import ENOSYS
from pathlib import Path

from node.executor.sandbox.syscalls import this_machine

# Loaded when this file is imported: after the sandbox stands nothing can be loaded any more.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
if _LIBC is not None:
    _LIBC.syscall.restype = ctypes.c_long
_MACHINE = this_machine()

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


class Off(Exception):
    """A layer does not hold, and no error of the kernel says why: the text does."""


def call(name: str, *arguments: Argument) -> int:
    """Make a system call; OSError where it fails, or where this system does not have it."""
    number = _MACHINE.number(name) if _MACHINE is not None else None
    if _LIBC is None or number is None:
        raise OSError(ENOSYS, os.strerror(ENOSYS))
    # Every argument is as wide as a register: a C int would leave half of one undefined.
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(number), *words)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, *values: int) -> int:
    """Set or read an attribute of this process; what is not given is 0, as the kernel wants."""
    return call("prctl", option, *values, *[0] * (4 - len(values)))


def status_of_self(field: str) -> int:
    """Read a number from what the kernel says about this process: `VmData` in KiB, `Threads`."""
    for line in Path("/proc/self/status").read_bytes().splitlines():
        name, _, rest = line.partition(b":")
        if name == field.encode():
            return int(rest.split()[0])
    raise Off(f"the kernel does not say {field}")
