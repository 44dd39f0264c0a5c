# SPDX-License-Identifier: MIT
"""Landlock: which files may be read, by a rule of the kernel that no process can take back.

Newer kernels know more (their ABI says what). All that this kernel knows is forbidden, and then
one folder may be read. Reading what a path names is asked each time a file is opened; what is
open already stays open. Landlock does not hide names, sizes and times of files.
"""

import os
import struct

from node.executor.sandbox.kernel import Off, call

_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3

# (from this ABI on, so many rights or scopes)
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
_TCP_RIGHTS = ((4, 2),)
_SCOPES = ((6, 2),)

# `struct landlock_ruleset_attr` grew with the rights; an older kernel refuses a longer one.
_SIZES = ((1, 8), (4, 16), (6, 24))

_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1

# From this ABI on a refusal is written to the audit log: hostile code could fill it in a loop.
_ABI_WITH_AUDIT = 7
_LOG_NOTHING = 1

_WORDS = (
    (1, "files"),
    (4, "TCP"),
    (6, "abstract sockets and signals"),
)


def abi_here() -> int:
    """Ask the kernel how much of landlock it knows; OSError where it knows nothing of it."""
    return call("landlock_create_ruleset", None, 0, _ASK_VERSION)


def restrict(folder: int | None) -> str:
    """Forbid all that this kernel can forbid, but for reading below an open folder."""
    abi = abi_here()
    if abi < 1:
        raise Off("switched off")
    wanted = [(1 << _at(abi, table)) - 1 for table in (_FILE_RIGHTS, _TCP_RIGHTS, _SCOPES)]
    attributes = struct.pack("<QQQ", *wanted)[: _at(abi, _SIZES)]
    ruleset = call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        if folder is not None:
            rule = struct.pack("<Qi", _READ_FILE | _READ_DIRECTORY, folder)
            call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
        flags = _LOG_NOTHING if abi >= _ABI_WITH_AUDIT else 0
        call("landlock_restrict_self", ruleset, flags)
    finally:
        os.close(ruleset)
    covered = ", ".join(word for since, word in _WORDS if abi >= since)
    return f"ABI {abi}: {covered}"


def _at(abi: int, table: tuple[tuple[int, int], ...]) -> int:
    return max((value for since, value in table if abi >= since), default=0)
