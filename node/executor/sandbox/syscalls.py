# SPDX-License-Identifier: MIT
"""The numbers of the system calls, and what else differs between machines. Only data is here.

The test of this table compares it with the headers of the system that it runs on.
"""

import os
import struct
import sys
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of processor, as Linux sees it.

    `audit` is what a filter reads as the architecture of a call. Calls of another architecture
    (32-bit calls on a 64-bit kernel) would have other numbers. `foreign_bit` marks the numbers
    of a third one (x32), which claims to be the first. `open_flags` are the flags of an open
    that can only read: O_CLOEXEC, O_NONBLOCK, O_NOCTTY, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW.
    """

    name: str
    audit: int
    column: int
    open_flags: int
    foreign_bit: int = 0

    def number(self, name: str) -> int | None:
        """Give the number of a call, or None where the machine does not have it."""
        return NUMBERS[name][self.column]


X86_64 = Machine(
    "x86_64",
    audit=0xC000_003E,
    column=0,
    open_flags=0o2000000 | 0o4000 | 0o400 | 0o100000 | 0o200000 | 0o400000,
    foreign_bit=0x4000_0000,
)
ARM64 = Machine(
    "aarch64",
    audit=0xC000_00B7,
    column=1,
    open_flags=0o2000000 | 0o4000 | 0o400 | 0o400000 | 0o40000 | 0o100000,
)
MACHINES = (X86_64, ARM64)


@cache
def this_machine() -> Machine | None:
    """Say what this process runs on, or None where there is no table for it.

    Remembered, because behind a filter the system no longer answers.
    """
    if sys.platform != "linux" or struct.calcsize("P") != 8 or sys.byteorder != "little":
        return None
    here = os.uname().machine
    return next((machine for machine in MACHINES if machine.name == here), None)


#: x86-64, arm64. The newer machine lacks the calls that a newer call replaced.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "brk": (12, 214),
    "capget": (125, 90),
    "capset": (126, 91),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fstat": (5, 80),
    "futex": (202, 98),
    "get_mempolicy": (239, 236),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mmap": (9, 222),
    "mount": (165, 40),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_setaffinity": (203, 122),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "shutdown": (48, 210),
    "sigaltstack": (131, 132),
    "stat": (4, None),
    "sysinfo": (99, 179),
    "tgkill": (234, 131),
    "unshare": (272, 97),
    "write": (1, 64),
    "writev": (20, 66),
}
