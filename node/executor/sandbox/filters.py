# SPDX-License-Identifier: MIT
"""The two seccomp filters: which system calls a runner may make while it loads, and afterwards.

Both are lists of what is allowed; all else fails with EPERM. The kernel keeps both once they
stand, and the stricter answer counts. A pointer is a number to a filter: it cannot see names
of files or addresses of sockets, which is what landlock and the namespaces are for.
"""

import ctypes
import os
import struct
from errno import ENOSYS

from node.executor.sandbox.bpf import ALWAYS, Masked, Rule, Way, assemble, packed, refused
from node.executor.sandbox.kernel import Off, call
from node.executor.sandbox.syscalls import Machine, this_machine

_INT = 0xFFFF_FFFF
_LONG = 0xFFFF_FFFF_FFFF_FFFF

_PROT_EXEC = 0x4
_MAP_SHARED, _MAP_PRIVATE, _MAP_TYPE = 0x1, 0x2, 0xF
_MAP_ANONYMOUS, _MAP_GROWSDOWN, _MAP_HUGETLB = 0x20, 0x100, 0x4_0000

# What glibc and musl ask for when they start a thread: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM,
# SETTLS, PARENT_SETTID and CHILD_CLEARTID. musl adds DETACHED, which has no meaning any more.
_CLONE_OF_A_THREAD = 0x3D_0F00
_CLONE_DETACHED = 0x40_0000

_MSG_OOB = 0x1
_PR_SET_NAME = 15
_AT_EMPTY_PATH = 0x1000
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1

# What inference with native threads needs; found by running the official backend tests.
_PLAIN = (
    *("read", "write", "readv", "writev", "pread64", "lseek", "close", "fstat"),
    *("shutdown", "poll", "ppoll"),
    *("brk", "munmap", "mremap", "madvise", "get_mempolicy", "membarrier"),
    *("futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday"),
    *("getpid", "gettid", "getrusage", "sysinfo", "getrandom", "exit", "exit_group"),
)


def rules_of_run(pid: int) -> dict[str, Rule]:
    """Give filter 2: nothing can be opened or started, nobody else can be reached."""
    own = Masked(0, _INT, pid)
    return {
        **dict.fromkeys(_PLAIN, ALWAYS),
        **_rules_of_memory(),
        # sockets that are open already; out-of-band bytes on unix sockets have had holes, and
        # nobody needs them
        **dict.fromkeys(("sendto", "recvfrom"), Rule(((Masked(3, _MSG_OOB, 0),),))),
        **dict.fromkeys(("sendmsg", "recvmsg"), Rule(((Masked(2, _MSG_OOB, 0),),))),
        "kill": Rule(((own,),)),
        "tgkill": Rule(((own,),)),
        "sched_setaffinity": Rule(((own,), (Masked(0, _INT, 0),))),
        "prctl": Rule(((Masked(0, _INT, _PR_SET_NAME),),)),
        # some versions of the C library ask like this for the size of an open descriptor
        "newfstatat": Rule(((Masked(3, _INT, _AT_EMPTY_PATH),),)),
    }


def rules_of_load(machine: Machine, pid: int, *, files: bool, threads: bool) -> dict[str, Rule]:
    """Give filter 1: filter 2, and what a load needs: files to read, threads, filter 2 itself."""
    rules = rules_of_run(pid)
    rules["seccomp"] = Rule((_install_a_filter(),))
    if files:
        rules["openat"] = Rule(((Masked(2, _INT & ~machine.open_flags, 0),),))
        # ONNX Runtime finds out where external tensors really are before it opens them
        rules |= dict.fromkeys(("stat", "newfstatat", "readlink", "readlinkat"), ALWAYS)
    if threads:
        thread = Masked(0, _LONG & ~_CLONE_DETACHED, _CLONE_OF_A_THREAD)
        rules["clone"] = Rule(((thread,),))
        # its flags lie in memory, where no filter sees them; the C library falls back to clone
        rules["clone3"] = refused(ENOSYS)
    return rules


def _rules_of_memory() -> dict[str, Rule]:
    """Allow memory that RLIMIT_DATA counts, and files and memfds; nothing that can be executed.

    The limit does not count shared memory without a file, nor stacks that grow: so a program
    could have as much of these as it wants.
    """
    not_executable = Masked(2, _PROT_EXEC, 0)
    kind = _MAP_TYPE | _MAP_GROWSDOWN | _MAP_HUGETLB
    private = Masked(3, kind, _MAP_PRIVATE)
    shared_file = Masked(3, kind | _MAP_ANONYMOUS, _MAP_SHARED)
    return {
        "mmap": Rule(((not_executable, private), (not_executable, shared_file))),
        "mprotect": Rule(((not_executable,),)),
    }


def _install_a_filter() -> Way:
    """Without the flag that gives out a descriptor to answer system calls of others with."""
    return (
        Masked(0, _INT, _SECCOMP_SET_MODE_FILTER),
        Masked(1, _INT, _SECCOMP_FILTER_FLAG_TSYNC),
    )


def install_load(*, files: bool, threads: bool) -> str:
    """Put filter 1 on all threads of this process."""
    machine = _machine()
    return _install(machine, rules_of_load(machine, os.getpid(), files=files, threads=threads))


def install_run() -> str:
    """Put filter 2 on all threads of this process."""
    return _install(_machine(), rules_of_run(os.getpid()))


def _machine() -> Machine:
    machine = this_machine()
    if machine is None:
        raise Off("no table of system calls for this machine")
    return machine


def _install(machine: Machine, rules: dict[str, Rule]) -> str:
    program = assemble(machine, rules)
    code = ctypes.create_string_buffer(packed(program))
    # struct sock_fprog: how many instructions, and where they are
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    stranger = call("seccomp", _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, header)
    if stranger:
        raise Off(f"thread {stranger} has a filter of its own")
    return f"{len(rules)} calls of {machine.name}, all others are refused"
