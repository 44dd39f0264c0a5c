# SPDX-License-Identifier: MIT
"""The table of system calls is that of the kernel's own headers, where they are installed."""

import os
import re
from pathlib import Path

import pytest

from node.executor.sandbox.syscalls import ARM64, MACHINES, NUMBERS, X86_64, Machine, this_machine
from tests.node.executor.forbidden_calls import FORBIDDEN

INCLUDE = Path("/usr/include")
HEADERS = {
    X86_64: (INCLUDE / "x86_64-linux-gnu/asm/unistd_64.h", INCLUDE / "asm/unistd_64.h"),
    ARM64: (INCLUDE / "asm-generic/unistd.h",),
}
ALL = FORBIDDEN | NUMBERS
DEFINITION = re.compile(r"^#define\s+(__NR\w+)\s+(\w+)\s*$", re.MULTILINE)


def numbers_in_the_header(machine: Machine) -> dict[str, int]:
    path = next((path for path in HEADERS[machine] if path.exists()), None)
    if path is None:
        pytest.skip(f"the headers of the kernel for {machine.name} are not installed")
    said = dict(DEFINITION.findall(path.read_text(encoding="utf-8")))
    found = {}
    for name, value in said.items():
        while value in said:  # some calls of the generic table are numbered through another name
            value = said[value]  # noqa: PLW2901 - follows the chain to its end
        if name.startswith("__NR_") and value.isdecimal():
            found[name.removeprefix("__NR_")] = int(value)
    return found


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_table_is_that_of_the_header(machine: Machine) -> None:
    header = numbers_in_the_header(machine)
    column = MACHINES.index(machine)
    known = {name: numbers[column] for name, numbers in ALL.items() if name in header}
    assert known == {name: header[name] for name in known}
    newest = max(header.values())
    missing = {
        name
        for name, numbers in ALL.items()
        if name not in header and (numbers[column] or 0) in range(1, newest + 1)
    }
    assert missing == set()


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_two_calls_have_one_number(machine: Machine) -> None:
    column = MACHINES.index(machine)
    numbers = [pair[column] for pair in ALL.values() if pair[column] is not None]
    assert len(numbers) == len(set(numbers))


def test_what_is_forbidden_is_not_in_the_table() -> None:
    assert FORBIDDEN.keys() & NUMBERS.keys() == set()


@pytest.mark.skipif(this_machine() is None, reason="the table is for other machines")
def test_flags_of_an_open_are_those_of_this_machine() -> None:
    machine = this_machine()
    assert machine is not None
    large_file = machine.open_flags & (0o100000 if machine is X86_64 else 0o400000)
    assert machine.open_flags == (
        os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_DIRECTORY | os.O_NOFOLLOW | large_file
    )
    for machine in MACHINES:
        assert machine.open_flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND) == 0
        assert machine.open_flags & 0o20000000 == 0  # O_TMPFILE
        assert machine.open_flags & 0o10000000 == 0  # O_PATH
