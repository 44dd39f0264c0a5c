# SPDX-License-Identifier: MIT
"""What is printed: drawn for people, plain for programs, and never without its meaning."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from node.cli.output import complain, print_json, print_table, show_progress
from tests.tree import ROOT

ROWS = [("a", "one"), ("longer", "two words"), ("", "")]
EVIL = "\x1b[31mred\nnext\r\x9b0m[bold]"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Terminal:
    """A terminal for stdout and stderr. No fixture: pytest sets its own ones after those."""
    found = Terminal()
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "stderr", found)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "60", **environ}.items():
        monkeypatch.setenv(name, value)
    return found


def test_into_a_pipe_a_table_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "what"), ROWS, title="not shown")
    assert capsys.readouterr().out == "name    what\na       one\nlonger  two words\n\n"


def test_an_empty_table_has_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "what"), [])
    assert capsys.readouterr().out == "name  what\n"


def test_a_row_that_lacks_a_cell_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        print_table(("name", "what"), [("alone",)])


def test_a_long_cell_stays_on_its_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("x" * 5000,)])
    assert capsys.readouterr().out.splitlines()[1] == "x" * 5000


def test_on_a_terminal_a_table_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    print_table(("name", "what"), ROWS, title="Some things")
    drawn = screen.getvalue()
    assert "Some things" in drawn
    assert "─" in drawn
    assert "two words" in drawn
    assert "\x1b[" in drawn


def test_a_person_who_wants_no_colour_gets_a_table_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch, NO_COLOR="1")
    print_table(("name", "what"), ROWS)
    assert "─" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_on_a_narrow_terminal_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch, NO_COLOR="1", COLUMNS="20")
    print_table(("name", "what"), [("a", "0123456789" * 4)])
    digits = "".join(filter(str.isdigit, screen.getvalue()))
    assert digits == "0123456789" * 4


def test_a_text_of_a_stranger_has_no_power_over_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch, NO_COLOR="1")
    print_table(("name",), [(EVIL,)])
    complain(EVIL)
    show_progress(EVIL)
    shown = screen.getvalue()
    assert shown.count("\\x1b[31mred\\nnext\\r\\x9b0m[bold]") == 3
    assert not {"\x1b", "\r", "\x9b"} & set(shown)


def test_into_a_pipe_neither_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [(EVIL,)])
    assert capsys.readouterr().out == "name\n\\x1b[31mred\\nnext\\r\\x9b0m[bold]\n"


def test_progress_is_for_people_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show_progress("working")
    assert capsys.readouterr().err == ""
    screen = terminal(monkeypatch)
    show_progress("working")
    assert screen.getvalue() == "working\n"


def test_without_stderr_nothing_is_said_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    complain("no")
    show_progress("working")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("text", ["schön", "数", "\ud800", "\x1b[2J", "\u2028", "😀", "a\nb"])
def test_a_document_is_json_in_every_encoding(
    encoding: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    print_json({"text": text})
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {"v": 1, "text": text}
    assert b"\x1b" not in raw.getvalue()


def test_a_document_that_can_be_read_by_people_is_left_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"text": "schön"})
    assert "schön" in capsys.readouterr().out


def piped(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "node.cli.main", *words]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )


@pytest.mark.parametrize("words", ["paths", "config show --origin", "explain", "--help"])
def test_piped_output_has_no_escape_codes_whatever_the_environment_says(words: str) -> None:
    done = piped(*words.split(), FORCE_COLOR="1", CLICOLOR_FORCE="1", TERM="xterm-256color")
    assert done.returncode == 0
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_table_in_a_pipe_does_not_import_what_draws_tables() -> None:
    program = (
        "import sys; from node.cli.main import main; main(['paths']); "
        "print('rich' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "False\n"


def test_an_ascii_terminal_gets_the_rest_escaped() -> None:
    done = piped("paths", COMMONS_HOME="/mesh-ü", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "/mesh-\\xfc/state" in done.stdout


@contextmanager
def a_terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a real terminal."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_real_terminal_gets_a_drawn_table(no_color: str) -> None:
    environ = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm", "COLUMNS": "200"}
    with a_terminal() as (ours, theirs):
        command = [sys.executable, "-m", "node.cli.main", "paths"]
        subprocess.run(command, cwd=ROOT, stdout=theirs, check=True, env=environ)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
    assert "─" in shown
    assert "control_socket" in shown
    assert ("\x1b" in shown) is (no_color == "")
