# SPDX-License-Identifier: MIT
"""The filters, run by a small machine of our own: so that of arm64 is proven on any machine."""

import errno
import struct
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.executor.sandbox.bpf import (
    ALLOW,
    ALWAYS,
    KILL,
    Instruction,
    Masked,
    Rule,
    assemble,
    packed,
    refused,
)
from node.executor.sandbox.filters import rules_of_load, rules_of_run
from node.executor.sandbox.syscalls import ARM64, MACHINES, NUMBERS, X86_64, Machine
from tests.node.executor.forbidden_calls import FORBIDDEN

PID = 4711
ERRNO = 0x0005_0000
EPERM, ENOSYS = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
SYSTEM_CALLS_MAX = 1024
LONG = (1 << 64) - 1
INT = (1 << 32) - 1
NOTHING = (0,) * 6

Program = Sequence[Instruction]
Arguments = Sequence[int]


def decide(program: Program, number: int, audit: int, arguments: Arguments = NOTHING) -> int:
    """What the kernel would say: runs classic BPF, that part of it which filters are made of."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments)
    accumulator = at = 0
    while True:
        code, when_true, when_false, constant = program[at]
        at += 1
        if code == 0x20:
            assert constant % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x15:
            at += when_true if accumulator == constant else when_false
        elif code == 0x45:
            at += when_true if accumulator & constant else when_false
        elif code == 0x06:
            return constant
        else:
            pytest.fail(f"code {code:#x} is none that we build")


def number_of(name: str, machine: Machine) -> int | None:
    return (FORBIDDEN | NUMBERS)[name][MACHINES.index(machine)]


def load_filter(machine: Machine, *, files: bool = True, threads: bool = True) -> Program:
    return assemble(machine, rules_of_load(machine, PID, files=files, threads=threads))


def run_filter(machine: Machine) -> Program:
    return assemble(machine, rules_of_run(PID))


# What a call may be asked for, written down once more, by name and in the kernel's own words.
ALWAYS_ALLOWED = {
    *("read", "write", "readv", "writev", "pread64", "lseek", "close", "fstat", "shutdown"),
    *("poll", "ppoll", "brk", "munmap", "mremap", "madvise", "get_mempolicy", "membarrier"),
    *("futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "rt_sigaction"),
    *("rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "clock_gettime"),
    *("clock_nanosleep", "nanosleep", "gettimeofday", "getpid", "gettid", "getrusage"),
    *("sysinfo", "getrandom", "exit", "exit_group"),
}
WHILE_LOADING = {"stat", "newfstatat", "readlink", "readlinkat"}
O_CLOEXEC, O_NONBLOCK, O_NOCTTY = 0o2000000, 0o4000, 0o400
O_HARMLESS = {  # O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW
    X86_64: O_CLOEXEC | O_NONBLOCK | O_NOCTTY | 0o100000 | 0o200000 | 0o400000,
    ARM64: O_CLOEXEC | O_NONBLOCK | O_NOCTTY | 0o400000 | 0o40000 | 0o100000,
}
A_THREAD = 0x3D0F00


def expected_of_run(name: str, arguments: Arguments) -> bool:
    first, _, third, fourth = (argument & INT for argument in arguments[:4])
    match name:
        case "kill" | "tgkill":
            return first == PID
        case "sched_setaffinity":
            return first in {PID, 0}
        case "prctl":
            return first == 15
        case "newfstatat":
            return fourth == 0x1000
        case "sendto" | "recvfrom":
            return not fourth & 1
        case "sendmsg" | "recvmsg":
            return not third & 1
        case "mprotect":
            return not third & 4
        case "mmap":
            shared, anonymous = fourth & 0xF == 1, bool(fourth & 0x20)
            private = fourth & 0xF == 2
            odd = fourth & (0x100 | 0x40000)
            return not third & 4 and not odd and (private or (shared and not anonymous))
    return name in ALWAYS_ALLOWED


def expected_of_load(
    name: str, arguments: Arguments, machine: Machine, *, files: bool, threads: bool
) -> int:
    first, second, third = (argument & INT for argument in arguments[:3])
    allowed = expected_of_run(name, arguments)
    if name == "seccomp":
        allowed = (first, second) == (1, 1)
    elif files and name in WHILE_LOADING:
        allowed = True
    elif files and name == "openat":
        allowed = not third & ~O_HARMLESS[machine]
    elif threads and name == "clone":
        allowed = arguments[0] in {A_THREAD, A_THREAD | 0x400000}
    elif threads and name == "clone3":
        return ENOSYS
    return ALLOW if allowed else EPERM


# Values that mean something to some call, alone and with other bits beside them.
MEANINGS = [0, 1, 2, PID, 15, 0x1000, 4, 7, 0x22, 0x21, 0x122, 0x40022, A_THREAD, 0x11]
MEANINGS += [O_CLOEXEC, 0o100000, 0o400000, 0o1, 0o2, 0o100, 0o1000, 0o2000, 0o20200000, 0o10000000]
arguments = st.tuples(
    *[
        st.one_of(
            st.sampled_from(MEANINGS),
            st.builds(lambda low, high: low | high << 32, st.sampled_from(MEANINGS), st.just(1)),
            st.builds(lambda one, two: one | two, *[st.sampled_from(MEANINGS)] * 2),
            st.builds(
                lambda one, bit: one ^ 1 << bit, st.sampled_from(MEANINGS), st.integers(0, 63)
            ),
            st.integers(0, LONG),
        )
    ]
    * 6
)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@given(
    name=st.sampled_from(sorted(FORBIDDEN | NUMBERS)),
    arguments=arguments,
    files=st.booleans(),
    threads=st.booleans(),
)
def test_the_filter_of_a_load_says_what_it_should(
    machine: Machine, name: str, arguments: Arguments, files: bool, threads: bool
) -> None:
    number = number_of(name, machine)
    if number is None:
        return
    program = load_filter(machine, files=files, threads=threads)
    wanted = expected_of_load(name, arguments, machine, files=files, threads=threads)
    assert decide(program, number, machine.audit, arguments) == wanted


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@given(name=st.sampled_from(sorted(FORBIDDEN | NUMBERS)), arguments=arguments)
def test_the_filter_of_a_run_says_what_it_should(
    machine: Machine, name: str, arguments: Arguments
) -> None:
    number = number_of(name, machine)
    if number is None:
        return
    wanted = ALLOW if expected_of_run(name, arguments) else EPERM
    assert decide(run_filter(machine), number, machine.audit, arguments) == wanted


PRIVATE, SHARED, ANONYMOUS, GROWSDOWN, HUGETLB = 0x02, 0x01, 0x20, 0x100, 0x40000
NORESERVE, FIXED, STACK = 0x4000, 0x10, 0x20000
READ, WRITE, EXECUTE = 1, 2, 4
HIGH = 1 << 32

EXAMPLES: list[tuple[str, Arguments, bool]] = [
    ("mmap", (0, 4096, READ | WRITE, PRIVATE | ANONYMOUS), True),
    ("mmap", (0, 4096, 0, PRIVATE | ANONYMOUS | NORESERVE | STACK | FIXED), True),
    ("mmap", (0, 4096, READ, PRIVATE), True),
    ("mmap", (0, 4096, READ | WRITE, SHARED), True),
    ("mmap", (0, 4096, READ | EXECUTE, PRIVATE), False),
    ("mmap", (0, 4096, READ | WRITE | EXECUTE, PRIVATE | ANONYMOUS), False),
    ("mmap", (0, 4096, READ | EXECUTE, SHARED), False),
    ("mmap", (0, 4096, READ | EXECUTE | HIGH, SHARED | HIGH), False),
    ("mmap", (0, 4096, READ | WRITE, SHARED | ANONYMOUS), False),
    ("mmap", (0, 4096, READ | WRITE, PRIVATE | ANONYMOUS | GROWSDOWN), False),
    ("mmap", (0, 4096, READ | WRITE, PRIVATE | ANONYMOUS | HUGETLB), False),
    ("mmap", (0, 4096, READ | WRITE, SHARED | HUGETLB), False),
    ("mmap", (0, 4096, READ | WRITE, SHARED | PRIVATE), False),
    ("mmap", (0, 4096, READ | WRITE, 0), False),
    ("mprotect", (0, 4096, READ | WRITE), True),
    ("mprotect", (0, 4096, READ | EXECUTE), False),
    ("kill", (PID, 9), True),
    ("kill", (PID | HIGH, 9), True),  # the kernel takes an int: it sees the same process
    ("kill", (PID + 1, 9), False),
    ("kill", (0, 9), False),  # a group
    ("kill", (INT, 9), False),  # -1: everybody
    ("kill", (LONG - PID + 1, 9), False),  # another group
    ("tgkill", (PID, PID + 1, 9), True),
    ("tgkill", (PID + 1, PID, 9), False),
    ("sched_setaffinity", (0,), True),
    ("sched_setaffinity", (PID,), True),
    ("sched_setaffinity", (PID + 1,), False),
    ("prctl", (15,), True),
    ("prctl", (4, 1), False),
    ("prctl", (22, 2), False),
    ("newfstatat", (5, 0, 0, 0x1000), True),
    ("sendto", (5, 0, 1, 0x4000), True),
    ("sendto", (5, 0, 1, 0x4001), False),
    ("recvfrom", (5, 0, 1, 1), False),
    ("sendmsg", (5, 0, 1), False),
    ("recvmsg", (5, 0, 0x4000_0000), True),
    ("recvmsg", (5, 0, 1), False),
]

O_WRITES = [0o1, 0o2, 0o3, 0o100, 0o1000, 0o2000, 0o20000000, 0o10000000, 0o20000]
LOAD_EXAMPLES: list[tuple[str, Arguments, bool]] = [
    ("newfstatat", (INT, 0, 0, 0), True),
    ("newfstatat", (5, 0, 0, 0x1100), True),
    ("stat", (), True),
    ("readlink", (), True),
    ("readlinkat", (INT,), True),
    ("clone", (A_THREAD,), True),
    ("clone", (A_THREAD | 0x400000,), True),
    ("clone", (17,), False),  # a fork
    ("clone", (A_THREAD | 0x1000_0000,), False),  # a user namespace
    ("clone", (A_THREAD | 0x8000,), False),  # a child of the parent
    ("clone", (A_THREAD | 0x2000,), False),  # traced with it
    ("clone", (A_THREAD | HIGH,), False),
    ("clone", (0x10000,), False),
    ("seccomp", (1, 1), True),
    ("seccomp", (1, 0), False),
    ("seccomp", (1, 1 | 8), False),  # a listener that answers calls
    ("seccomp", (0, 1), False),  # the strict mode
    ("openat", (INT, 0, 0), True),
    *[("openat", (INT, 0, flag), False) for flag in O_WRITES],
    *[("openat", (INT, 0, flag | O_CLOEXEC), False) for flag in O_WRITES],
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_examples_are_decided_as_they_should(machine: Machine) -> None:
    """A run may do nothing of what only a load may."""
    load, run = load_filter(machine), run_filter(machine)
    cases = [(load, *example) for example in EXAMPLES + LOAD_EXAMPLES]
    cases += [(run, *example) for example in EXAMPLES]
    cases += [(run, name, arguments, False) for name, arguments, _ in LOAD_EXAMPLES]
    for program, name, few, allowed in cases:
        number = number_of(name, machine)
        if number is not None:
            arguments = (*few, *[0] * (6 - len(few)))
            wanted = ALLOW if allowed else EPERM
            assert decide(program, number, machine.audit, arguments) == wanted, (name, few)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_each_flag_that_only_reads_may_be_set_when_opening(machine: Machine) -> None:
    number = number_of("openat", machine) or 0
    for bit in range(32):
        wanted = ALLOW if O_HARMLESS[machine] >> bit & 1 else EPERM
        arguments = (INT, 0, 1 << bit, 0, 0, 0)
        assert decide(load_filter(machine), number, machine.audit, arguments) == wanted


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("ones", [NOTHING, (LONG,) * 6])
def test_every_other_number_is_refused(machine: Machine, ones: Arguments) -> None:
    named = {number_of(name, machine) for name in NUMBERS}
    for program in (load_filter(machine), run_filter(machine)):
        for number in range(SYSTEM_CALLS_MAX):
            if number not in named:
                assert decide(program, number, machine.audit, ones) == EPERM


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@given(name=st.sampled_from(sorted(FORBIDDEN)), arguments=arguments)
def test_no_arguments_make_a_forbidden_call_pass(
    machine: Machine, name: str, arguments: Arguments
) -> None:
    number = number_of(name, machine)
    for program in (load_filter(machine), run_filter(machine)):
        assert number is None or decide(program, number, machine.audit, arguments) == EPERM


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@given(number=st.integers(0, INT), audit=st.integers(0, INT), arguments=arguments)
def test_another_architecture_kills(
    machine: Machine, number: int, audit: int, arguments: Arguments
) -> None:
    if audit == machine.audit:
        return
    for program in (load_filter(machine), run_filter(machine)):
        assert decide(program, number, audit, arguments) == KILL


def test_the_architectures_of_32_bits_and_of_each_other_kill() -> None:
    i386, arm, big_endian = 0x4000_0003, 0x4000_0028, 0x8000_00B7
    for machine, others in (
        (X86_64, [ARM64.audit, i386]),
        (ARM64, [X86_64.audit, arm, big_endian]),
    ):
        for audit in others:
            assert decide(load_filter(machine), 0, audit) == KILL


@given(number=st.integers(0x4000_0000, INT), arguments=arguments)
def test_numbers_of_x32_kill_on_x86_64(number: int, arguments: Arguments) -> None:
    wanted = KILL if number & 0x4000_0000 else EPERM
    for program in (load_filter(X86_64), run_filter(X86_64)):
        assert decide(program, number, X86_64.audit, arguments) == wanted


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_filter_is_one_that_the_kernel_takes(machine: Machine) -> None:
    """It checks that a filter is short, that each jump stays inside, and that each end returns."""
    for program in (load_filter(machine), run_filter(machine)):
        assert len(program) <= 4096
        assert program[-1][0] == 0x06
        for at, (code, when_true, when_false, constant) in enumerate(program):
            assert code in {0x20, 0x54, 0x15, 0x45, 0x06}
            assert 0 <= constant <= INT
            if code in {0x15, 0x45}:
                assert max(when_true, when_false) <= 255
                assert at + 1 + max(when_true, when_false) < len(program)
            if code == 0x20:
                assert constant <= 60
        assert len(packed(program)) == 8 * len(program)


# --- the assembler by itself ----------------------------------------------------------------------

conditions = st.lists(
    st.builds(
        lambda argument, mask, value: Masked(argument, mask, value & mask),
        st.integers(0, 5),
        st.one_of(st.just(LONG), st.just(INT), st.integers(0, LONG)),
        st.integers(0, LONG),
    ),
    max_size=4,
).map(tuple)
rules = st.dictionaries(
    st.sampled_from(["read", "write", "poll", "openat", "clone3"]),
    st.builds(Rule, st.lists(conditions, max_size=4).map(tuple), st.integers(1, 100)),
)


def by_the_rules(rules: Mapping[str, Rule], name: str, arguments: Arguments) -> int:
    rule = rules.get(name, Rule(()))
    for way in rule.ways:
        if all(arguments[one.argument] & one.mask == one.value for one in way):
            return ALLOW
    return ERRNO | rule.errno


@given(
    rules=rules,
    name=st.sampled_from(["read", "write", "poll", "openat", "clone3", "close"]),
    arguments=arguments,
    pick=st.integers(0, 15),
)
def test_a_filter_decides_as_its_rules_do(
    rules: Mapping[str, Rule], name: str, arguments: Arguments, pick: int
) -> None:
    ways = rules[name].ways if name in rules else ()
    if ways:  # else hardly anything random would ever be allowed
        fitting = list(arguments)
        for one in ways[pick % len(ways)]:
            fitting[one.argument] = fitting[one.argument] & ~one.mask | one.value
        arguments = fitting
    for machine in MACHINES:
        number = number_of(name, machine)
        if number is not None:
            answer = decide(assemble(machine, rules), number, machine.audit, arguments)
            assert answer == by_the_rules(rules, name, arguments)


@given(bit=st.integers(0, 63))
def test_both_halves_of_an_argument_are_compared(bit: int) -> None:
    wanted = 0x1234_5678_9ABC_DEF0
    program = assemble(ARM64, {"read": Rule(((Masked(1, LONG, wanted),),))})
    number = number_of("read", ARM64) or 0
    assert decide(program, number, ARM64.audit, (0, wanted, 0, 0, 0, 0)) == ALLOW
    assert decide(program, number, ARM64.audit, (0, wanted ^ 1 << bit, 0, 0, 0, 0)) == EPERM


def test_a_call_that_a_machine_does_not_have_is_left_out() -> None:
    rules = {"poll": ALWAYS, "clone3": refused(errno.ENOSYS)}
    assert len(assemble(ARM64, rules)) < len(assemble(X86_64, rules))


def test_instructions_are_written_as_the_kernel_reads_them() -> None:
    assert packed([(0x15, 1, 2, 0xC000_003E)]) == bytes.fromhex("15 00 01 02 3e 00 00 c0")
