# SPDX-License-Identifier: MIT
"""What every group of commands keeps, so that the next one is made like the others."""

import argparse
import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.main import GROUPS, build_parser, main
from node.exits import ExitCode
from tests.tree import ROOT
from tools.reference import commands_of

FOLDER = ROOT / "node" / "cli"
LIGHT = {
    *("argparse", "collections.abc", "contextlib", "errno", "io", "json", "os", "pathlib"),
    *("platform", "select", "sys", "typing", "importlib", "importlib.util"),
    *("node", "node.errors", "node.exits", "node.leaves", "node.printable"),
    *("protocol.errors", "protocol.reasons"),
}
"""What a file of node/cli/ may import at its top."""


def leaves() -> dict[str, argparse.ArgumentParser]:
    """Every command that does something, by its full name."""
    found = commands_of(build_parser())
    return {
        name: command
        for name, command in found.items()
        if not any(other.startswith(f"{name} ") for other in found)
    }


def imported_at_the_top(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_only_light_modules_are_imported_at_the_top(path: Path) -> None:
    """All of these files are read for `commons --help`."""
    heavy = [
        name
        for name in imported_at_the_top(path)
        if name not in LIGHT and not name.startswith("node.cli.")
    ]
    assert heavy == []


def test_every_file_with_commands_is_a_group_and_every_group_a_file() -> None:
    files = [
        path.stem
        for path in FOLDER.glob("*.py")
        if "\ndef register(commands: Commands) -> None:" in path.read_text(encoding="utf-8")
    ]
    assert sorted(files) == sorted(GROUPS)


@pytest.mark.parametrize("name", leaves())
def test_every_command_takes_json(name: str) -> None:
    flags = [flag for action in leaves()[name]._actions for flag in action.option_strings]
    assert "--json" in flags


@pytest.mark.parametrize("name", commands_of(build_parser()))
def test_every_command_is_described_in_the_list_and_above_its_help(name: str) -> None:
    command = commands_of(build_parser())[name]
    assert command.description
    assert command.description.endswith(".")
    assert command.description[0].isupper()


@pytest.mark.parametrize("name", leaves())
def test_the_help_of_every_command_can_be_printed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lone percent sign in a sentence would make argparse fail."""
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == ExitCode.OK
    assert capsys.readouterr().out.startswith(f"usage: commons {name} ")


@pytest.mark.parametrize(
    "words",
    ["config show", "config show --origin", "config path", "config check", "paths", "version"],
)
def test_json_is_one_document_with_the_version_of_its_form(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path))
    assert main([*words.split(), "--json"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out)["v"] == 1
    assert printed.err == ""
