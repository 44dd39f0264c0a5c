# SPDX-License-Identifier: MIT
"""Elements are written so that whatever is in them stays text."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.report.markup import number, tag


@given(st.text())
def test_any_text_is_read_back_as_text(text: str) -> None:
    read = ET.fromstring(str(tag("text", text, class_=text)))
    assert len(read) == 0
    for found in (read.text or "", read.get("class", "")):
        assert len(found) == len(text)


def test_what_looks_like_an_element_is_a_text() -> None:
    evil = "</text><script>alert('1')</script>&\"'"
    read = ET.fromstring(str(tag("text", evil, class_=evil)))
    assert (read.text, read.get("class")) == (evil, evil)


def test_what_no_reader_takes_is_replaced() -> None:
    assert str(tag("b", "a\x00b\x1bc\ud800d")) == "<b>a\ufffdb\ufffdc\ufffdd</b>"


def test_names_of_attributes_are_written_as_in_a_page() -> None:
    made = tag("line", class_="grid", stroke_width=1.5, viewBox="0 0 1 1", id=None)
    assert str(made) == '<line class="grid" stroke-width="1.5" viewBox="0 0 1 1"/>\n'


def test_only_what_may_close_itself_does() -> None:
    assert str(tag("td")) == "<td></td>"
    assert str(tag("meta", name="x")) == '<meta name="x"/>\n'
    assert str(tag("rect", tag("b", "x"), None)) == "<rect><b>x</b></rect>\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.001, "0"), (12.0, "12"), (1.005, "1"), (1.239, "1.24"), (100, "100")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
