# SPDX-License-Identifier: MIT
"""The log: what is written where, what is never written, and that nothing depends on it."""

import ast
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from node.clock import SystemClock
from node.log import LEVELS, Log, close_log, configure_log
from protocol.events import Instant
from protocol.reasons import Reason
from tests.tree import ROOT, name_of, python_files

EVENT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
SECRET = "my-private-prompt"


class StoppedClock(SystemClock):
    def now(self) -> Instant:
        return Instant(mono_s=5.0, wall_s=1_800_000_000.25)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise ValueError("I/O operation on closed file.")


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    yield
    close_log()
    structlog.contextvars.clear_contextvars()


def configured(
    stream: io.StringIO, *, level: str = "info", form: str = "auto", **environ: str
) -> Log:
    configure_log(level, form, stream, clock=StoppedClock(), environ=environ)
    return Log()


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_before_it_is_configured_a_log_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Log().error("something_happened", at="all")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_a_module_with_a_log_does_not_import_structlog() -> None:
    program = (
        "import sys; from node.log import Log; Log().info('a_b'); print('structlog' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_line_is_one_json_document_with_time_level_and_event_first() -> None:
    stream = io.StringIO()
    configured(stream).info("runner_started", pid=7, model="m", warm=True, reason=Reason.BUSY)
    (line,) = lines_of(stream)
    assert list(line.items())[:3] == [
        ("timestamp", "2027-01-15T08:00:00.250Z"),
        ("level", "info"),
        ("event", "runner_started"),
    ]
    assert line["pid"] == 7
    assert line["warm"] is True
    assert line["reason"] == "busy"


def test_a_terminal_gets_lines_for_people_and_colour() -> None:
    stream = Terminal()
    configured(stream).info("runner_started", pid=7)
    assert "\x1b[" in stream.getvalue()
    assert "runner_started" in stream.getvalue()
    assert "{" not in stream.getvalue()


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_person_who_wants_no_colour_gets_none(environ: dict[str, str]) -> None:
    stream = Terminal()
    log = configured(stream, **environ)
    log.error("it_failed", exc_info=ValueError("no"))
    assert "\x1b" not in stream.getvalue()
    assert "it_failed" in stream.getvalue()


def test_an_empty_no_color_means_nothing() -> None:
    stream = Terminal()
    configured(stream, NO_COLOR="").info("it_worked")
    assert "\x1b[" in stream.getvalue()


def test_console_into_a_file_has_no_colour() -> None:
    stream = io.StringIO()
    configured(stream, form="console").info("runner_started", pid=7)
    assert stream.getvalue().split() == [
        "2027-01-15T08:00:00.250Z", "[info", "]", "runner_started", "pid=7",
    ]  # fmt: skip


def test_json_on_a_terminal_when_it_is_wanted() -> None:
    stream = Terminal()
    configured(stream, form="json").info("it_worked")
    assert lines_of(stream)[0]["event"] == "it_worked"


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_less_important_than_the_level_is_not_written(level: str) -> None:
    stream = io.StringIO()
    log = configured(stream, level=level)
    for write in (log.debug, log.info, log.warning, log.error):
        write("it_happened")
    written = [line["level"] for line in lines_of(stream)]
    assert written == list(LEVELS)[list(LEVELS).index(level) :]


def test_what_libraries_log_is_forwarded_from_a_warning_upwards() -> None:
    stream = io.StringIO()
    configured(stream)
    library = logging.getLogger("some.library")
    library.info("chatter")
    library.warning("disk %s is full", "one")
    (line,) = lines_of(stream)
    assert line["event"] == "disk one is full"
    assert line["logger"] == "some.library"
    assert line["level"] == "warning"


def test_at_debug_libraries_are_heard_wholly() -> None:
    stream = io.StringIO()
    configured(stream, level="debug")
    logging.getLogger("some.library").debug("chatter")
    assert lines_of(stream)[0]["event"] == "chatter"


def test_at_error_libraries_are_heard_from_an_error_upwards() -> None:
    stream = io.StringIO()
    configured(stream, level="error")
    logging.getLogger("some.library").warning("chatter")
    assert stream.getvalue() == ""


def test_the_last_configuration_counts_and_the_one_before_is_gone() -> None:
    first, second = io.StringIO(), io.StringIO()
    configured(first)
    log = configured(second)
    log.info("it_worked")
    logging.getLogger("some.library").warning("too")
    assert first.getvalue() == ""
    assert len(lines_of(second)) == 2


def test_a_closed_log_is_silent() -> None:
    stream = io.StringIO()
    log = configured(stream)
    close_log()
    log.error("it_failed")
    assert stream.getvalue() == ""


def test_what_is_bound_once_stands_in_every_line() -> None:
    stream = io.StringIO()
    log = configured(stream)
    with structlog.contextvars.bound_contextvars(job="j1"):
        log.info("it_began")
        logging.getLogger("some.library").warning("too")
    log.info("it_ended")
    assert [line.get("job") for line in lines_of(stream)] == ["j1", "j1", None]


class Prompt:
    def __repr__(self) -> str:
        return SECRET


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value",
    [
        SECRET.encode(),
        bytearray(SECRET.encode()),
        memoryview(SECRET.encode()),
        Prompt(),
        [Prompt(), SECRET.encode()],
        ([[Prompt()]],),
        {"text": SECRET},
        {SECRET},
        np.frombuffer(SECRET.encode(), np.uint8),
    ],
)
def test_inputs_of_a_model_do_not_get_into_a_log_by_a_slip(form: str, value: object) -> None:
    stream = io.StringIO()
    configured(stream, form=form).error("it_failed", inputs=value)
    assert "inputs" in stream.getvalue()
    assert SECRET not in stream.getvalue()
    assert "my-private" not in stream.getvalue()


def test_bytes_are_written_as_their_number() -> None:
    stream = io.StringIO()
    configured(stream).info("it_worked", data=b"12345", view=memoryview(b"12345678").cast("I"))
    (line,) = lines_of(stream)
    assert (line["data"], line["view"]) == ("5 bytes", "8 bytes")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("tty", [True, False])
def test_a_traceback_has_no_values_of_variables(form: str, *, tty: bool) -> None:
    """structlog would show them by itself, both in JSON and, where rich is there, on a terminal."""

    def fail(prompt: str) -> None:
        raise ValueError(len(prompt))

    stream = Terminal() if tty else io.StringIO()
    log = configured(stream, form=form)
    try:
        fail(bytes(reversed(b"tpmorp-etavirp-ym")).decode())  # in no line of the source either
    except ValueError:
        log.exception("it_failed")
        logging.getLogger("some.library").exception("and failed")
    assert stream.getvalue().count("ValueError: 17") == 2
    assert "in fail" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_a_group_of_exceptions_is_shown_with_each_of_them() -> None:
    """A trio nursery raises them."""
    stream = io.StringIO()
    group = ExceptionGroup("two", [ValueError("one"), KeyError("other")])
    configured(stream).error("it_failed", exc_info=group)
    shown = lines_of(stream)[0]["exception"]
    assert "ValueError: one" in shown
    assert "KeyError: 'other'" in shown


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_text_of_a_stranger_has_no_power_over_the_terminal(form: str) -> None:
    stream = io.StringIO()
    log = configured(stream, form=form)
    evil = "a\x1b[2Jb\nc\r\x9b0m\u202e"
    log.warning("peer_complained", says=evil, more=[evil])
    logging.getLogger("some.library").warning("it said %s", evil)
    log.error("it_failed", exc_info=ValueError(evil))
    written = stream.getvalue()
    assert not {"\x1b", "\r", "\x9b", "\u202e"} & set(written)
    marks = ("{", "}", "2027-", "  ")
    assert all(line.startswith(marks) for line in written.splitlines())


def test_a_long_text_is_cut_and_so_is_a_long_list() -> None:
    stream = io.StringIO()
    configured(stream).info("it_worked", text="x" * 5000, many=list(range(50)))
    (line,) = lines_of(stream)
    assert len(line["text"]) == 303
    assert line["many"][-1] == "and 34 more"
    assert len(line["many"]) == 17


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_know_is_a_text(number: float) -> None:
    stream = io.StringIO()
    configured(stream).info("it_worked", number=number)
    assert json.loads(stream.getvalue(), parse_constant=pytest.fail)["number"] == str(number)


def test_a_field_may_have_any_name() -> None:
    stream = io.StringIO()
    configured(stream).info("it_worked", exception=b"abc", logger="me", stack="s")
    (line,) = lines_of(stream)
    assert line["exception"] == "3 bytes"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_stream_that_breaks_stops_nobody(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As a terminal that was closed above a running node."""
    log = configured(Broken(), form=form)
    log.error("it_failed", exc_info=ValueError("no"))
    logging.getLogger("some.library").error("too")
    assert capsys.readouterr().err == ""


def calls_of_logs(path: Path) -> Iterator[tuple[int, ast.Call]]:
    """Every call such as `log.info(...)` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr=method, value=ast.Name(id="log" | "_log"))):
                if method in {*LEVELS, "exception"}:
                    yield node.lineno, node


def misnamed(path: Path) -> list[str]:
    """Calls whose event is no constant phrase in snake_case."""
    return [
        f"{path.name}:{line}"
        for line, call in calls_of_logs(path)
        if not (
            len(call.args) == 1
            and isinstance(call.args[0], ast.Constant)
            and EVENT.fullmatch(str(call.args[0].value))
        )
    ]


def test_every_event_is_a_constant_in_snake_case() -> None:
    """So that a line that somebody saw leads to the place that wrote it."""
    found = {name_of(path): misnamed(path) for path in python_files("node", "simulations")}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("event", ['f"job_{number}"', '"Job accepted"', '"job"', "name", ""])
def test_an_event_that_is_put_together_is_found(tmp_path: Path, event: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"log.info({event})", encoding="utf-8")
    assert misnamed(path) == ["module.py:1"]
