# SPDX-License-Identifier: MIT
"""The tree of errors of this package. It says whose fault a failure is, and never how to recover.

::

    CommonsError                    anything that this project raises on purpose
    ├── ProtocolError               two nodes cannot go on with this message or stream
    │   ├── LocalProtocolError      our own misuse: a bug on this side
    │   └── RemoteProtocolError     the peer broke a rule: costs it score, ends the stream
    └── Refused                     a well-formed wish that is not granted: nobody's fault

Every error names what happened, with which value, and carries a
:class:`~protocol.reasons.Reason`, so that log, command line, API and page can say the
same sentence and the same next step.
"""

from protocol.reasons import Reason


class CommonsError(Exception):
    """Base of all errors raised on purpose; raise one of the leaves."""

    reason: Reason

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """Say which rule it was about, and in `detail` which value broke it."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail or reason.sentence}")


class ProtocolError(CommonsError):
    """Two nodes cannot go on; raise the local or the remote kind."""


class LocalProtocolError(ProtocolError):
    """This side asked for something that the protocol forbids."""

    def __init__(self, detail: str, reason: Reason = Reason.MISUSE) -> None:
        """Describe the misuse; the reason is `misuse` unless a sharper one fits."""
        super().__init__(reason, detail)


class RemoteProtocolError(ProtocolError):
    """The peer sent something that no honest node sends."""


class Refused(CommonsError):
    """The wish was well-formed and is not granted."""
