# SPDX-License-Identifier: MIT
"""Turns rules about system calls into a filter that the kernel runs. Which rules, is in `filters`.

A filter is a program for a tiny machine (classic BPF) that reads one system call and returns
what becomes of it. Ours is a list: one block for each call that has a rule, and a refusal at
the end. Blocks do not jump into each other, so each can be read alone::

    load nr;  is it this call?  no -> next block
    allowed always               ->  return ALLOW
    allowed on conditions        ->  for each way: load halves of arguments, mask, compare;
                                     all equal -> return ALLOW, else the next way;
                                     no way left -> return the refusal
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EPERM

from node.executor.sandbox.syscalls import Machine

Instruction = tuple[int, int, int, int]
"""Code, jump when true, jump when false (both count what is left out), and a constant."""

_LOAD, _AND, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06

# struct seccomp_data: the number, the architecture, the address of the call, six arguments.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

KILL = 0x8000_0000
ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000

_JUMP_MAX = 0xFF
_WORD = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Masked:
    """A condition: of the 64 bits of an argument, those in `mask` are those of `value`.

    An argument that the kernel takes as a C int has a mask of 32 bits, since the kernel does
    not look at the other half either.
    """

    argument: int
    mask: int
    value: int


Way = tuple[Masked, ...]
"""Conditions that must all hold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a call: allowed if one of the ways holds, else refused with an errno."""

    ways: tuple[Way, ...]
    errno: int = EPERM


ALWAYS = Rule(((),))


def refused(errno: int) -> Rule:
    """Give the rule that refuses a call in a way of its own."""
    return Rule((), errno)


def assemble(machine: Machine, rules: Mapping[str, Rule]) -> tuple[Instruction, ...]:
    """Build the filter. Calls that the machine does not have are left out, others are refused."""
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine.foreign_bit:
        program += [(_ANY_BIT, 0, 1, machine.foreign_bit), (_RETURN, 0, 0, KILL)]
    for name, rule in rules.items():
        number = machine.number(name)
        if number is not None:
            block = _block(rule)
            assert len(block) <= _JUMP_MAX
            program += [(_EQUAL, 0, len(block), number), *block]
    return (*program, (_RETURN, 0, 0, _ERRNO | EPERM))


def packed(program: Sequence[Instruction]) -> bytes:
    """Write a filter as the kernel reads it: an array of struct sock_filter."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _block(rule: Rule) -> list[Instruction]:
    block: list[Instruction] = []
    for way in rule.ways:
        block += _way(way)
        if not way:
            return block  # it always holds: nothing behind it is ever reached
    return [*block, (_RETURN, 0, 0, _ERRNO | rule.errno)]


def _way(way: Way) -> list[Instruction]:
    """Test one condition after another; the first that fails jumps behind the way."""
    steps: list[Instruction] = [(_RETURN, 0, 0, ALLOW)]
    for condition in reversed(way):
        for half in (1, 0):
            mask = condition.mask >> 32 * half & _WORD
            if mask:
                value = condition.value >> 32 * half & _WORD
                place = _ARGUMENTS + 8 * condition.argument + 4 * half
                masking = [] if mask == _WORD else [(_AND, 0, 0, mask)]
                steps = [(_LOAD, 0, 0, place), *masking, (_EQUAL, 0, len(steps), value), *steps]
    return steps
