# SPDX-License-Identifier: MIT
"""`commons completion`: scripts that each shell can read, and that complete what there is."""

import json
import shutil
import subprocess

import pytest

from node.cli.completion import SHELLS, script_of
from node.cli.main import build_parser, main
from node.exits import ExitCode
from tools.reference import commands_of


def completed(line: str) -> list[str]:
    """What bash offers when a person types this and presses the tab key."""
    program = f"""
{script_of("bash")}
COMP_WORDS=({line.replace("|", '""')})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_commons
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_can_read_its_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    subprocess.run([shell, "-n"], input=script_of(shell), text=True, check=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_knows_every_command(shell: str) -> None:
    script = script_of(shell)
    for name in commands_of(build_parser()):
        assert f"commons {name}" in script


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("commons sta", ["status"]),
        ("commons pe", ["peers"]),
        ("commons network ro", ["rotate"]),
        ("commons peers ban --f", ["--for"]),
        ("commons --js", []),
        ("commons status --js", ["--json"]),
        ("commons completion z", ["zsh"]),
        ("commons network --json ret", ["retire"]),
        ("commons try", ["try"]),
        ("commons config sh", ["show"]),
        ("commons join show --", ["--help", "--json"]),
    ],
)
def test_bash_completes_what_was_begun(line: str, words: list[str]) -> None:
    assert completed(line) == words


def test_bash_offers_all_commands_where_none_was_begun() -> None:
    top = [name for name in commands_of(build_parser()) if " " not in name]
    assert completed("commons |") == [*top, "-h", "--help", "--version"]


def test_as_json_it_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["v"], document["shell"]) == (1, "fish")
    assert document["script"] == script_of("fish")


def test_a_shell_that_is_not_known_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bsh"])
    assert ended.value.code == ExitCode.USAGE
    assert "Did you mean `bash`?" in capsys.readouterr().err
