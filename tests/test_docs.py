# SPDX-License-Identifier: MIT
"""What is promised is written down, and every link leads somewhere."""

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from node.cli.main import build_parser
from node.exits import ExitCode
from protocol.reasons import Reason
from tests.tree import ROOT, name_of, our_files
from tools.reference import PAGES, PARTS, commands_of, with_part

REFERENCE = ROOT / "docs" / "reference"
DEPENDENCIES = ROOT / "docs" / "decisions" / "0002-dependencies.md"
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """The headings of a page, without the marks for code."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {line.replace("`", "") for line in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)}


def anchors(page: Path) -> set[str]:
    """The fragments that a link to a page may have, as they are made from its headings."""
    return {
        re.sub(r"[^\w\- ]", "", name).strip().lower().replace(" ", "-") for name in headings(page)
    }


def pages() -> list[Path]:
    """Every Markdown file of ours."""
    return [path for path in our_files() if path.suffix == ".md"]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Every link of a page that stays in the tree: the file it names, and the fragment."""
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in link and not link.startswith("mailto:"):
            path, _, fragment = link.partition("#")
            yield ((page.parent / path).resolve() if path else page), fragment


def test_every_command_has_its_heading() -> None:
    assert {f"commons {name}" for name in commands_of(build_parser())} <= headings(
        REFERENCE / "cli.md"
    )


def test_every_command_says_what_it_does() -> None:
    for name, command in commands_of(build_parser()).items():
        assert command.description, name
        for action in command._actions:
            assert action.help not in {None, argparse.SUPPRESS}, f"{name}: {action.dest}"


def test_every_exit_code_has_its_heading() -> None:
    wanted = {f"{code.value} {code.name.lower()}" for code in ExitCode}
    assert wanted <= headings(REFERENCE / "exit-codes.md")


def test_every_reason_has_its_heading() -> None:
    assert {reason.value for reason in Reason} <= headings(REFERENCE / "reasons.md")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """`make docs` writes them again."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_page_that_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """`make docs` writes it again."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == with_part(page, PARTS[name]())


def test_every_dependency_has_its_row_and_every_row_its_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev = DEPENDENCIES.read_text(encoding="utf-8").split("### For development")
    for page, needs in (
        (runtime, project["project"]["dependencies"]),
        (dev, project["dependency-groups"]["dev"]),
    ):
        rows = re.findall(r"^\| `([\w-]+)` \| .+ \|$", page, re.MULTILINE)
        assert sorted(rows) == sorted(Requirement(need).name for need in needs)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_inside_the_tree_leads_somewhere(page: Path) -> None:
    for path, fragment in links(page):
        assert path.exists(), f"{name_of(page)} links to {path}"
        if fragment:
            assert fragment in anchors(path), f"{name_of(page)} links to #{fragment} of {path}"


def test_every_page_of_the_documentation_can_be_found_from_its_index() -> None:
    documentation = {page for page in pages() if ROOT / "docs" in page.parents}
    found: set[Path] = set()
    new = {ROOT / "docs" / "README.md"}
    while new:
        found |= new
        new = {path for page in new for path, _ in links(page)} & documentation - found
    lost = [name_of(page) for page in documentation - found]
    assert lost == [], "link them from docs/README.md or docs/decisions/README.md"


def test_every_module_of_the_protocol_is_named_in_its_page_once_and_after_what_it_needs() -> None:
    """The page promises an order of reading; a row needs itself and the rows above it."""
    page = (ROOT / "protocol" / "README.md").read_text(encoding="utf-8")
    rows = [
        re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.+?) \| ", page, re.MULTILINE)
    ]
    place = {room: number for number, row in enumerate(rows) for room in row}
    modules = [path for path in (ROOT / "protocol").glob("*.py") if path.stem != "__init__"]
    assert sorted(room for row in rows for room in row) == sorted(path.stem for path in modules)
    for path in modules:
        needs = re.findall(
            r"^from protocol\.(\w+) import", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        late = [need for need in needs if place[need] > place[path.stem]]
        assert late == [], f"protocol/README.md names {path.stem} before {late}"


def test_every_word_of_make_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*## .+$", makefile, re.MULTILINE)
    assert sorted(explained) == sorted(phony.split())


def test_the_readme_keeps_its_place_for_the_demo() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("<!-- demo:begin -->") < readme.index("<!-- demo:end -->")
