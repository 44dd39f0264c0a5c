# SPDX-License-Identifier: MIT
"""The exit codes of `commons`, all of them. Why a command failed is a reason, not an exit code.

A script may rely on these numbers: one is never given another meaning. A number that is
not in this table must be read as a failure.
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the shell is told when `commons` ends."""

    meaning: str

    def __new__(cls, number: int, meaning: str = "") -> Self:
        """Build a member from its number and meaning; a lookup gives the number alone."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.meaning = meaning
        return member

    OK = 0, "It was done."
    FAILED = 1, "It was tried and failed; the message says why."
    USAGE = 2, "The command line was not understood; nothing was done."
    NOT_RUNNING = 3, "The node is not running, and this command needs it."
    REFUSED = 4, "It was refused, by credit or by policy; the message gives the reason."
    NOT_FOUND = 5, "What was named does not exist."
    CONFIG = 10, "The configuration is wrong; the message names file and key."
    TAKEN = 11, "A port or a lock is taken, most likely by a node that already runs."
    INTERRUPTED = 130, "It was interrupted from the keyboard."
