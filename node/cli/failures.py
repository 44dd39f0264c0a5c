# SPDX-License-Identifier: MIT
"""How a command that failed ends: one sentence and an exit code for what may well happen.

What is not in here is a mistake of ours and keeps its traceback.
"""

import errno
import os
import select
import sys

from node.cli.output import complain
from node.errors import ConfigError, NotFound, TakenError
from node.exits import ExitCode
from node.leaves import leaves
from protocol.errors import CommonsError, Refused


class Failed(Exception):
    """How a command ends that could not do what it was asked: an exit code, and sentences."""

    def __init__(self, code: ExitCode, *sentences: str) -> None:
        """Say what happened first, then what to do."""
        super().__init__(*sentences)
        self.code = code
        self.sentences = sentences


# Without the name of a file, these come from writing the output.
DISK_TROUBLES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


FORESEEN = (CommonsError, ConfigError, NotFound, Failed, OSError)


def tell(error: BaseException) -> ExitCode | None:
    """Say what happened, and how `commons` ends; None for what nobody foresaw.

    A trio nursery wraps what its tasks raise in groups. The first of several is told: a person
    can act on one thing, and what follows is often caused by it.
    """
    found = list(leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in found):
        return ExitCode.INTERRUPTED
    if not all(isinstance(leaf, FORESEEN) for leaf in found):
        return None
    match found[0]:
        case CommonsError() as told:
            complain(f"{told.reason}: {told.detail or told.reason.sentence}")
            complain(told.reason.next_step)
            return ExitCode.REFUSED if isinstance(told, Refused) else ExitCode.FAILED
        case ConfigError() as told:
            for line in str(told).splitlines():
                complain(line)
            return ExitCode.TAKEN if isinstance(told, TakenError) else ExitCode.CONFIG
        case Failed() as told:
            for line in told.sentences:
                complain(line)
            return told.code
        case NotFound() as told:
            complain(str(told))
            return ExitCode.NOT_FOUND
        case OSError() as told:
            return _tell_os_error(told)
    return None


def _tell_os_error(error: OSError) -> ExitCode:
    says = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        complain(f"{os.fsdecode(error.filename)}: {says}.")
        return ExitCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ExitCode.FAILED
    if isinstance(error, BrokenPipeError) and _reader_has_left():
        # as in `commons explain | head`: it has what it wanted
        _drop_what_is_buffered()
        return ExitCode.OK
    if error.errno in DISK_TROUBLES:  # a full disk, as in `commons explain >/dev/full`
        _drop_what_is_buffered()
        says = f"the output was not written: {says}"
    complain(f"{says}.")
    return ExitCode.TAKEN if error.errno == errno.EADDRINUSE else ExitCode.FAILED


def _reader_has_left() -> bool:
    """Whether it was our own output that broke, and not a pipe to somebody else."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _drop_what_is_buffered() -> None:
    """Send it nowhere, or Python would try again on its way out, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
