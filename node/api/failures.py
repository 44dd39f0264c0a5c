# SPDX-License-Identifier: MIT
"""How a request that failed is answered: a status of HTTP and one JSON object.

What is not in here is a mistake of ours. It is answered with a constant text, since nobody
knows what stands in it, and goes to the log with its traceback.
"""

import trio

from node.errors import ConfigError, NotFound
from node.leaves import leaves
from node.mesh.transport import TransportError
from protocol.errors import Refused, RemoteProtocolError
from protocol.reasons import Reason

API_VERSION = 1
"""Stands in each document; grows when a field changes its meaning or goes away."""

#: What the client's status code means is in docs/design/control-api.md, in a table.
LEFT = 499


class BadRequest(Exception):
    """The request itself is wrong; `next_step` says how it would be right."""

    def __init__(self, reason: Reason, detail: str, next_step: str, status: int = 400) -> None:
        """Say which rule it broke, and with what."""
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.next_step = next_step


class ClientLeft(Exception):
    """The client has gone, and its work was stopped."""


Answer = tuple[int, dict[str, object]]


def answer_to(error: BaseException) -> Answer | None:
    """Say how this failure is answered; None for what nobody foresaw.

    The first of several out of a nursery is told, as the command line does. One that nobody
    foresaw is never hidden behind the others.
    """
    answers = [_answer(leaf) for leaf in leaves(error)]
    return answers[0] if None not in answers else None


def failure(status: int, reason: str, detail: str, next_step: str) -> Answer:
    """Make an answer from its parts."""
    return status, {
        "v": API_VERSION,
        # also in the object: the last line of a stream has no status of its own
        "error": {"status": status, "reason": reason, "detail": detail, "next": next_step},
    }


#: The answer to a mistake of ours: nothing of it is shown, since it may be about a stranger's data.
UNFORESEEN = failure(
    500, Reason.MISUSE, "The node made a mistake and goes on; its log says more.",
    Reason.MISUSE.next_step,
)  # fmt: skip


def _answer(error: BaseException) -> Answer | None:
    match error:
        case BadRequest():
            return failure(error.status, error.reason, error.detail, error.next_step)
        case Refused():
            return _of(409, error.reason, error.detail)
        case RemoteProtocolError():
            return _of(502, error.reason, error.detail)
        case TransportError():
            return _of(502, Reason.UNREACHABLE, str(error))
        case trio.TooSlowError():
            return _of(504, Reason.DEADLINE, "a part of it took too long", "Try again.")
        case NotFound():
            return _of(404, Reason.NOT_FOUND, str(error))
        case ConfigError():
            return _of(422, Reason.OUT_OF_RANGE, str(error), "Change it, and try again.")
        case OSError() if error.filename is not None:
            says = f"{error.filename}: {error.strerror or type(error).__name__}"
            missing = isinstance(error, FileNotFoundError)
            return _of(404 if missing else 422, Reason.NOT_FOUND, says, "Look at the file.")
    return None


def _of(status: int, reason: Reason, detail: str, next_step: str = "") -> Answer:
    return failure(status, reason, detail or reason.sentence, next_step or reason.next_step)
