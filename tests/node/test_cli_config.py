# SPDX-License-Identifier: MIT
"""`commons config` and `commons paths`: what a person and a script are shown."""

import argparse
import json
import os
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from node.cli.arguments import add_config_flags, config_of, paths_of
from node.cli.main import main
from node.config import KEYS, Config, to_toml
from node.exits import ExitCode
from tests.test_docs import headings
from tests.tree import ROOT

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of its own, without any variable of ours."""
    for name in [name for name in os.environ if name.startswith("COMMONS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path))
    return tmp_path


def written(home: Path, text: str) -> Path:
    file = home / "config" / "config.toml"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    return file


def document(capsys: Printed) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_show_prints_a_file_that_says_the_same(home: Path, capsys: Printed) -> None:
    written(home, "[executor]\nthreads = 3\n")
    assert main(["config", "show", "--set", "log.level=debug"]) == ExitCode.OK
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["executor"]["threads"] == 3
    assert shown["log"]["level"] == "debug"
    assert {section: len(keys) for section, keys in shown.items()} == {
        section: len(keys) for section, keys in asdict(Config()).items()
    }


def test_show_without_origin_has_no_comments(capsys: Printed) -> None:
    assert main(["config", "show"]) == ExitCode.OK
    assert capsys.readouterr().out == to_toml(Config()) + "\n"


def test_origin_says_where_each_value_comes_from(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    file = written(home, "[executor]\nthreads = 3\n")
    monkeypatch.setenv("COMMONS_EXECUTOR_NICE", "5")
    assert main(["config", "show", "--origin", "--set", "log.level=debug"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert f"threads = 3  # {file}, line 2\n" in text
    assert "nice = 5  # COMMONS_EXECUTOR_NICE\n" in text
    assert 'level = "debug"  # --set\n' in text
    assert "runners = 1  # default\n" in text
    assert tomllib.loads(text)["executor"]["nice"] == 5


def test_show_as_json_has_typed_values_and_no_origins_unless_asked(capsys: Printed) -> None:
    assert main(["config", "show", "--json"]) == ExitCode.OK
    shown = document(capsys)
    assert shown == {"v": 1, "config": json.loads(json.dumps(asdict(Config())))}


def test_origins_as_json_name_source_and_place(home: Path, capsys: Printed) -> None:
    file = written(home, "[executor]\nthreads = 3\n")
    assert main(["config", "show", "--json", "--origin"]) == ExitCode.OK
    origins = document(capsys)["origins"]
    assert isinstance(origins, dict)
    assert list(origins) == list(KEYS)
    assert origins["executor.threads"] == {"source": "file", "where": f"{file}, line 2"}
    assert origins["executor.nice"] == {"source": "default", "where": "default"}


def test_path_names_the_file_whether_it_is_there_or_not(home: Path, capsys: Printed) -> None:
    assert main(["config", "path"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{home / 'config' / 'config.toml'}\n"
    assert main(["config", "path", "--json"]) == ExitCode.OK
    assert document(capsys) == {
        "v": 1,
        "file": str(home / "config" / "config.toml"),
        "exists": False,
    }


@pytest.mark.parametrize("words", [["show"], ["check"], ["show", "--json"]])
def test_a_wrong_config_ends_with_its_exit_code_and_a_line_for_each_slip(
    home: Path, words: list[str], capsys: Printed
) -> None:
    file = written(home, "[log]\nleve = 3\nformat = 9\n")
    assert main(["config", *words]) == ExitCode.CONFIG
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"commons: {file}, line 2: there is no key `log.leve`. Did you mean `log.level`?",
        f"commons: {file}, line 3: log.format is 9, and takes one of auto, console, json.",
    ]


def test_check_as_json_lists_what_is_wrong(home: Path, capsys: Printed) -> None:
    file = written(home, "[log]\nlevel = 1\n")
    assert main(["config", "check", "--json"]) == ExitCode.CONFIG
    found = document(capsys)
    assert (found["v"], found["file"], found["ok"]) == (1, str(file), False)
    assert found["problems"] == [
        f"{file}, line 2: log.level is 1, and takes one of debug, info, warning, error."
    ]


def test_check_says_that_all_is_well(home: Path, capsys: Printed) -> None:
    assert main(["config", "check"]) == ExitCode.OK
    assert capsys.readouterr().out.endswith("config.toml is not there: all is well.\n")
    file = written(home, "[log]\n")
    assert main(["config", "check"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{file}: all is well.\n"


def test_check_looks_at_the_variables_too(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setenv("COMMONS_LOG_LEVEL", "loud")
    assert main(["config", "check"]) == ExitCode.CONFIG
    assert "COMMONS_LOG_LEVEL: log.level is " in capsys.readouterr().err


def test_check_of_another_file_looks_at_that_file_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    """As before it is copied to another machine, where other variables hold."""
    written(home, "nonsense")
    monkeypatch.setenv("COMMONS_LOG_LEVEL", "loud")
    other = tmp_path / "other.toml"
    other.write_text("[log]\nlevel = 'error'\n", encoding="utf-8")
    assert main(["config", "check", str(other)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{other}: all is well.\n"


def test_check_of_a_file_that_is_not_there_is_not_found(tmp_path: Path, capsys: Printed) -> None:
    missing = tmp_path / "missing.toml"
    assert main(["config", "check", str(missing)]) == ExitCode.NOT_FOUND
    assert capsys.readouterr().err == f"commons: {missing}: No such file or directory.\n"


def test_paths_shows_every_place_and_makes_none(home: Path, capsys: Printed) -> None:
    assert main(["paths"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert f"state           {home / 'state'}" in lines
    assert f"control_socket  {home / 'runtime' / 'control.sock'}" in lines
    assert list(home.iterdir()) == []


def test_paths_as_json_has_the_same(home: Path, capsys: Printed) -> None:
    assert main(["paths", "--json"]) == ExitCode.OK
    assert document(capsys) == {
        "v": 1,
        "paths": {
            "config": str(home / "config"),
            "config_file": str(home / "config" / "config.toml"),
            "state": str(home / "state"),
            "cache": str(home / "cache"),
            "models": str(home / "cache" / "models"),
            "runtime": str(home / "runtime"),
            "control_socket": str(home / "runtime" / "control.sock"),
        },
    }


def test_paths_shows_them_and_complains_when_the_socket_could_not_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setenv("COMMONS_HOME", "/" + "x" * 120)
    assert main(["paths"]) == ExitCode.CONFIG
    printed = capsys.readouterr()
    assert "control_socket" in printed.out
    assert "choose a shorter COMMONS_HOME" in printed.err


@pytest.mark.parametrize("words", [["paths"], ["config", "path"], ["config", "show"]])
def test_a_commons_home_that_means_nothing_is_a_wrong_config(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setenv("COMMONS_HOME", "relative")
    assert main(words) == ExitCode.CONFIG
    assert capsys.readouterr().err.startswith("commons: COMMONS_HOME is relative, which depends ")


def test_another_command_reads_the_config_with_its_flags(home: Path) -> None:
    parser = argparse.ArgumentParser()
    add_config_flags(parser)
    written(home, "[executor]\nthreads = 3\nnice = 4\n")
    config = config_of(parser.parse_args(["--set", "executor.threads=5"]))
    assert (config.executor.threads, config.executor.nice) == (5, 4)
    assert paths_of().cache == home / "cache"


def test_every_key_has_its_heading() -> None:
    assert set(KEYS) <= headings(ROOT / "docs" / "reference" / "config.md")
