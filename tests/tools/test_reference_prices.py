# SPDX-License-Identifier: MIT
"""The page of prices says what protocol/roofline.py computes."""

import re
from typing import Any

import pytest

from protocol import roofline
from tools.reference_prices import FORMULAS, prices_page
from tools.reference_wire import MEANINGS, _meaning, messages_page

CASES: dict[str, dict[str, Any]] = {
    "matrix product": {"m": 2, "n": 3, "k": 5},
    "convolution": {"outputs": 7, "channels_in": 12, "groups": 3, "kernel": (3, 5)},
    "attention": {"heads": 2, "queries": 3, "keys": 5, "width": 7},
    "recurrent": {"gates": 4, "steps": 3, "width_in": 5, "hidden": 7},
    "all others": {"op": "Gelu", "outputs": 11},
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_of_the_page_is_that_of_the_code(name: str) -> None:
    function, formula = FORMULAS[name]
    terms = (
        formula.format(softmax=roofline.FLOPS_PER_OUTPUT["Softmax"])
        .replace("·", "*")
        .replace("div", "//")
        .replace("product of the kernel's sizes", "3 * 5")
        .replace("the number of the table below, 1 for what is not in it", "8")
    )
    case = CASES[name]
    assert eval(terms, {"__builtins__": {}}, dict(case)) == function(**case)


def test_every_operator_with_a_cost_of_its_own_has_its_row() -> None:
    page = prices_page("")
    rows = {
        op: int(flops) for op, flops in re.findall(r"^\| `(\w+)` \| (\d+) \|$", page, re.MULTILINE)
    }
    assert rows == {op: flops for op, flops in roofline.FLOPS_PER_OUTPUT.items() if flops}
    for op in roofline.VIEWS | roofline.NOT_PRICEABLE:
        assert f"`{op}`" in page


def test_every_meaning_of_a_number_stands_at_its_field() -> None:
    page = messages_page("")
    for field in MEANINGS:
        kind, *_, name = field.split(".")
        section = page.split(f"\n## `{kind}`\n")[1].split("\n## ")[0]
        assert re.search(rf"`{name}`.*{re.escape(_meaning(field))}", section), field
