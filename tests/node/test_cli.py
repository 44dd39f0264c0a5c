# SPDX-License-Identifier: MIT
"""The command line: quick to answer, plain in what it says, exact in how it ends."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from node import __version__
from node.cli import main as door
from node.cli import version
from node.exits import ExitCode
from protocol.reasons import Reason
from tests.tree import ROOT

HEAVY = {
    *("trio", "libp2p", "onnxruntime", "onnx", "numpy", "structlog", "cryptography", "msgpack"),
    *("rich", "platformdirs", "psutil", "asyncio", "tomllib", "dataclasses", "subprocess"),
    *("node.config", "node.paths", "node.executor", "node.models"),
}
A_REASON = next(iter(Reason))


def commons(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a person would, in a process of its own."""
    command = [sys.executable, "-m", "node.cli.main", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["version", "--json"],
        ["config", "--help"],
        ["hardware", "--help"],
        ["explain"],
    ],
)
def test_a_question_about_the_program_imports_nothing_heavy(words: list[str]) -> None:
    """It must answer before a person notices; libp2p alone takes longer than that."""
    program = f"""
import sys
from node.cli.main import main
try:
    main({words!r})
except SystemExit:
    pass
print(*({HEAVY!r} & sys.modules.keys()), file=sys.stderr)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr.split() == []


def test_the_program_ends_with_the_exit_code_of_its_command() -> None:
    done = commons("explain", "no_such_reason_anywhere")
    assert done.returncode == ExitCode.NOT_FOUND
    assert done.stdout == ""
    assert "commons explain" in done.stderr


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    """As `commons explain | head -1`, with more output than a pipe holds back."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "node.cli.main", "explain"]
    with os.fdopen(write_end, "w") as pipe:
        done = subprocess.run(
            command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run the program with its output where a person's shell would put it."""
    command = ["sh", "-c", f'"$0" -m node.cli.main {line}', sys.executable]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk always full")
@pytest.mark.parametrize("words", ["explain", "explain --json", "version"])
def test_a_full_disk_is_a_failure_and_one_sentence(words: str) -> None:
    done = in_a_shell(f"{words} >/dev/full")
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == "commons: the output was not written: No space left on device.\n"


@pytest.mark.parametrize("words", ["explain", "version"])
def test_a_closed_output_is_a_failure_and_one_sentence(words: str) -> None:
    done = in_a_shell(f"{words} >&-")
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == "commons: there is nowhere to write to: stdout is closed.\n"


def test_a_stranger_in_our_place_is_named_at_the_start(tmp_path: Path) -> None:
    """Two public distributions install into our folders, and the installer does not warn."""
    stranger = tmp_path / "protocol"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    program = f"""
import sys
from node.cli.main import main
sys.path.insert(0, {str(tmp_path)!r})
sys.exit(main(["explain"]))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.FAILED
    assert "the package `protocol` comes from" in done.stderr
    assert "an environment of its own" in done.stderr


def test_our_packages_are_in_their_place() -> None:
    assert door.stranger_in_our_place() is None


def test_a_missing_package_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "find_spec", lambda _: None)
    assert "comes from nowhere" in (door.stranger_in_our_place() or "")


def test_no_command_shows_the_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main([]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "explain" in printed.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["expl"], "commons: there is no command `expl`. Did you mean `explain`?"),
        (["EXPLAIN"], "commons: there is no command `EXPLAIN`. Did you mean `explain`?"),
        (["config", "shwo"], "commons config: there is no command `shwo`. Did you mean `show`?"),
        (["config", "q"], "there is no command `q`. There are: show, path, check."),
        (["explain", "--js"], "commons explain: there is no argument `--js` here. "),
        (["version", "--jsno"], "there is no argument `--jsno` here. Did you mean `--json`?"),
        (["version", "--jsno=1"], "there is no argument `--jsno=1` here. Did you mean `--json`?"),
        (["explain", "a", "b"], "commons explain: there is no argument `b` here."),
        (["version", "--json=yes"], "commons version: argument --json: "),
        (["--jason"], "commons: there is no argument `--jason` here."),
        (["\x1b[2J"], "commons: there is no command `\\x1b[2J`."),
        ([""], "commons: there is no command ``. There are: "),
        (["config", "show", "--set"], "commons config show: argument --set: expected one argument"),
    ],
)
def test_what_is_not_understood_is_a_usage_error_with_the_nearest_word(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No abbreviations: a script that relies on one breaks with the next command."""
    with pytest.raises(SystemExit) as ended:
        door.main(words)
    assert ended.value.code == ExitCode.USAGE
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.err.startswith("usage: commons")
    assert printed.out == ""


def test_a_slip_below_a_command_shows_the_usage_of_that_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        door.main(["config", "show", "--orign"])
    printed = capsys.readouterr().err
    assert printed.startswith("usage: commons config show ")
    assert "Did you mean `--origin`?" in printed


def test_a_group_alone_shows_its_commands_and_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert door.main(["config"]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    for name in ("show", "path", "check"):
        assert f"\n    {name} " in printed.err


def test_the_help_has_the_table_of_exit_codes() -> None:
    table = door.build_parser().format_help()
    for code in ExitCode:
        assert f"{code.value}  {code.meaning}" in table


def test_an_interrupted_command_ends_as_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> ExitCode:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "run", interrupted)
    assert door.main(["version"]) == ExitCode.INTERRUPTED


def test_version_names_the_program_and_its_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["version"]) == ExitCode.OK
    line = capsys.readouterr().out
    assert line == f"commons {__version__} (Python {platform.python_version()})\n"


def test_version_as_json_is_one_versioned_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["version", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "v": 1,
        "version": __version__,
        "python": platform.python_version(),
        "platform": sys.platform,
    }


def test_explain_says_what_a_reason_means_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert door.main(["explain", A_REASON.value]) == ExitCode.OK
    text = capsys.readouterr().out
    assert A_REASON.sentence in text
    assert A_REASON.next_step in text


def test_explain_without_a_code_lists_every_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["explain"]) == ExitCode.OK
    text = capsys.readouterr().out
    for reason in Reason:
        assert f"{reason.value} " in text
        assert reason.sentence in text


def test_explain_as_json_has_the_whole_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["explain", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert [entry["code"] for entry in document["reasons"]] == [reason.value for reason in Reason]


def test_one_reason_as_json_has_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["explain", A_REASON.value, "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["reasons"] == [
        {"code": A_REASON.value, "sentence": A_REASON.sentence, "next_step": A_REASON.next_step}
    ]


def test_a_misspelt_reason_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["explain", A_REASON.value + "e"]) == ExitCode.NOT_FOUND
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"Did you mean `{A_REASON.value}`?" in printed.err


def test_a_reason_in_capitals_is_answered_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    """It may have been read off a constant; the code itself is never another."""
    assert door.main(["explain", A_REASON.name.upper()]) == ExitCode.NOT_FOUND
    assert f"Did you mean `{A_REASON.value}`?" in capsys.readouterr().err


def test_an_empty_reason_is_told_where_the_list_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["explain", ""]) == ExitCode.NOT_FOUND
    assert capsys.readouterr().err == (
        "commons: no reason was named. `commons explain` lists them all.\n"
    )


def test_a_word_like_no_reason_is_told_where_the_list_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert door.main(["explain", "Q" * 30]) == ExitCode.NOT_FOUND
    assert "lists them all" in capsys.readouterr().err


def test_exit_codes_are_those_that_scripts_rely_on() -> None:
    """A number is never given another meaning; this list only grows."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_RUNNING": 3,
        "REFUSED": 4,
        "NOT_FOUND": 5,
        "CONFIG": 10,
        "TAKEN": 11,
        "INTERRUPTED": 130,
    }
