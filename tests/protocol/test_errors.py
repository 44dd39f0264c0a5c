# SPDX-License-Identifier: MIT
"""Errors say whose fault it was, which rule, and with which value."""

import pytest

from protocol.errors import (
    CommonsError,
    LocalProtocolError,
    ProtocolError,
    Refused,
    RemoteProtocolError,
)
from protocol.reasons import Reason


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (CommonsError, [Exception]),
        (ProtocolError, [CommonsError]),
        (LocalProtocolError, [ProtocolError]),
        (RemoteProtocolError, [ProtocolError]),
        (Refused, [CommonsError]),
    ],
)
def test_the_tree_is_as_documented(error: type[Exception], parents: list[type]) -> None:
    assert list(error.__bases__) == parents


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("error", [RemoteProtocolError, Refused])
def test_a_message_has_the_code_and_the_detail(error: type[CommonsError], reason: Reason) -> None:
    raised = error(reason, "7 is not within 0..1")
    assert str(raised) == f"{reason.value}: 7 is not within 0..1"
    assert raised.reason is reason
    assert raised.detail == "7 is not within 0..1"


def test_without_a_detail_the_message_has_the_sentence_of_the_reason() -> None:
    raised = Refused(Reason.BUSY)
    assert str(raised) == "busy: The queue of the worker is full."
    assert raised.detail == ""


def test_our_own_misuse_is_called_misuse_unless_a_sharper_reason_fits() -> None:
    assert LocalProtocolError("no such field").reason is Reason.MISUSE
    assert str(LocalProtocolError("no such field")) == "misuse: no such field"
    assert LocalProtocolError("9 bytes", Reason.TOO_LARGE).reason is Reason.TOO_LARGE


def test_a_refusal_is_nobodys_fault_and_not_caught_as_one() -> None:
    assert not issubclass(Refused, ProtocolError)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
