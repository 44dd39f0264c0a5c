# SPDX-License-Identifier: MIT
"""The one vocabulary of reasons: codes for machines, a sentence and a next step for people."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import Code
from protocol.reasons import CODE_PATTERN, Reason, explain, is_code
from tests.strategies import reason_codes

(CODE,) = get_args(Code)[1:]
FOR_EVERY_REASON = pytest.mark.parametrize("reason", Reason)


@FOR_EVERY_REASON
def test_a_code_has_the_form_that_statements_carry(reason: Reason) -> None:
    assert CODE_PATTERN.fullmatch(reason.value)
    assert is_code(reason)
    assert CODE.unpack(CODE.pack(reason.value)) == reason


@FOR_EVERY_REASON
def test_a_code_is_the_name_in_small_letters(reason: Reason) -> None:
    assert reason.value == reason.name.lower() == str(reason)


@FOR_EVERY_REASON
def test_a_reason_has_one_or_more_sentences_and_a_next_step(reason: Reason) -> None:
    for text in (reason.sentence, reason.next_step):
        assert re.fullmatch(r"[A-Z`][^\n]+\.", text)
        assert text == text.strip()
    assert reason.sentence != reason.next_step


def test_no_two_reasons_share_a_code_or_a_sentence() -> None:
    every = Reason.__members__.values()
    assert len({reason.value for reason in every}) == len(Reason.__members__)
    assert len({reason.sentence for reason in every}) == len(Reason.__members__)


@FOR_EVERY_REASON
def test_a_known_code_is_explained_by_its_sentence(reason: Reason) -> None:
    assert explain(reason.value) == reason.sentence


@given(reason_codes().filter(lambda code: code not in set(Reason)))
def test_a_code_of_a_newer_node_is_explained_as_unknown(code: str) -> None:
    assert is_code(code)
    assert repr(code) in explain(code)
    assert explain(code).startswith("A reason that this version does not know yet")


@pytest.mark.parametrize("text", ["", "x", "Busy", "1st", "a-b", "busy\n", "a" * 41, "büsy"])
def test_what_is_no_code_is_told(text: str) -> None:
    assert not is_code(text)


@given(st.text(max_size=50))
def test_any_text_is_a_code_exactly_if_a_statement_could_carry_it(text: str) -> None:
    try:
        carried = CODE.unpack(text.encode()) == text
    except ValueError:
        carried = False
    assert is_code(text) == carried
