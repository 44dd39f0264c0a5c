# SPDX-License-Identifier: MIT
"""The demo shows what is true, and the README shows the demo."""

import pytest

from simulations import demo
from tests.tree import ROOT


@pytest.fixture(scope="module")
def output() -> str:
    """What `make demo` prints into a pipe."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda text="", end="\n": lines.append(text + end))
        demo.main()
    return "".join(lines)


@pytest.mark.slow
def test_the_liar_is_caught_unpaid_and_frozen(output: str) -> None:
    """Eve is paid for her honest shards and for nothing else."""
    assert "Not paid, and the account is frozen." in output
    assert "frozen by ann" in output


@pytest.mark.slow
def test_five_hundred_strangers_take_less_than_the_bound(output: str) -> None:
    taken = int(output.split("fresh keys took ")[1].split(maxsplit=1)[0].replace(",", ""))
    assert 0 < taken <= demo.RULES.size_cu // 2


@pytest.mark.slow
def test_the_balances_of_all_nodes_sum_to_zero(output: str) -> None:
    assert "Their sum is 0: nothing was minted." in output


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints(output: str) -> None:
    """To the letter: `make demo` after a change of the story, and paste it there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- demo:begin -->")[1].split("<!-- demo:end -->")[0]
    assert shown.strip().removeprefix("```text").removesuffix("```").strip() == output.strip()
