# SPDX-License-Identifier: MIT
"""The log: events with fields, for people on a terminal and for machines elsewhere.

::

    log = Log()
    log.info("runner_started", model=cid, pid=pid)

An event is a constant in snake_case that a person can search for; what varies is a field. Ids
of a job or a peer are bound once, with `structlog.contextvars`, and stand in each line of the
tasks below. Levels: **error** wants a person to act, **warning** may soon, **info** is the
life of the node, **debug** is for whoever mends it.

What a model is given or gives is nobody's business: `bytes` are written as their number, and
objects as the name of their type, so that not even a slip puts them into a log. Tracebacks
come without the values of variables for the same reason.

structlog takes 100 ms to import, and most commands log nothing: it is imported by
:func:`configure_log`. Until then nothing is written.
"""

import logging
import math
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO

from node.clock import Clock
from node.printable import printable

Fields = MutableMapping[str, Any]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# Enough for an error message; a text that is longer may be the input of a model.
TEXT_MAX = 300
ITEMS_MAX = 16

Ear = Callable[[str, str, Mapping[str, object]], None]
"""Is told the level, the event and the fields of what is logged, as it is: nothing is guarded."""

_sink: Any = None
_ears: list[Ear] = []
_handler: logging.Handler | None = None


class Log:
    """Writes events to where :func:`configure_log` says; before that, nowhere."""

    def debug(self, event: str, **fields: object) -> None:
        """Say something that helps to mend the node."""
        _write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Say what happens in the life of the node."""
        _write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Say what may soon need a person."""
        _write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Say what a person must act on."""
        _write("error", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Say it where an exception is handled, and add its traceback."""
        _write("error", event, {"exc_info": True, **fields})


def configure_log(
    level: str, form: str, stream: TextIO, *, clock: Clock, environ: Mapping[str, str] = os.environ
) -> None:
    """Send events of this level and above to a stream, and what libraries log with them.

    `form` is `console`, `json`, or `auto`: console where a person is watching. Libraries are
    heard from a warning upwards, and wholly at `debug`.
    """
    global _sink, _handler  # noqa: PLW0603 - a process has one log, as it has one stderr
    import structlog  # noqa: PLC0415 - slow to import, and most commands log nothing

    watched = stream.isatty()
    if form == "json" or (form == "auto" and not watched):
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        plain = not watched or bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        renderer = structlog.dev.ConsoleRenderer(
            colors=not plain, exception_formatter=structlog.dev.plain_traceback
        )
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _Stamp(clock),
        _guard,
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    lines: Any = _Lines(stream)
    close_log()
    _sink = structlog.wrap_logger(
        structlog.WriteLogger(lines),
        processors=[*first, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    _handler = logging.StreamHandler(lines)
    _handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.addHandler(_handler)
    root.setLevel(LEVELS[level] if level == "debug" else max(LEVELS[level], logging.WARNING))


def close_log() -> None:
    """Write nothing any more. What libraries log goes where it went before."""
    global _sink, _handler  # noqa: PLW0603 - see configure_log
    if _handler is not None:
        logging.getLogger().removeHandler(_handler)
        logging.getLogger().setLevel(logging.WARNING)
    _sink = _handler = None


@contextmanager
def heard_by(ear: Ear) -> Iterator[None]:
    """Tell somebody each event inside the block, whatever is configured.

    A made world has many nodes in one process, and has to know which of them says what.
    """
    _ears.append(ear)
    try:
        yield
    finally:
        _ears.remove(ear)


class _Stamp:
    """Adds the time of the node's clock, so that a simulation logs its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: object, _method: str, event: Fields) -> Fields:
        now = datetime.fromtimestamp(self._clock.now().wall_s, tz=UTC)
        event["timestamp"] = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event


class _Lines:
    """A stream that may break: a terminal that was closed must not stop the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the stream was closed from inside
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _write(level: str, event: str, fields: Mapping[str, object]) -> None:
    for ear in _ears:
        ear(level, event, fields)
    if _sink is not None:
        getattr(_sink, level)(event, **fields)


def _traceback(exc_info: Any) -> str:  # noqa: ANN401 - what sys.exc_info gives, in structlog's spelling
    """Write a traceback without variables, and with messages of a bearable length."""
    lines = "".join(traceback.format_exception(*exc_info)).splitlines()
    # indented, so that a line break in a stranger's message cannot begin a line of the log
    return "\n".join(f"  {_text(line)}" for line in lines)


def _guard(_logger: object, _method: str, event: Fields) -> Fields:
    """Let through what may stand in a log, in the order in which it is read."""
    names = dict.fromkeys(("timestamp", "level", "event", *event))
    return {
        name: event[name] if name == "exc_info" or name.startswith("_") else shown(event[name])
        for name in names
    }


def shown(value: object) -> object:
    """Give what may be shown of a value: no content of a model, no object, no long text."""
    match value:
        case None | bool() | int():
            return value
        case float():  # JSON has no word for the others
            return value if math.isfinite(value) else str(value)
        case str():
            return _text(value)
        case bytes() | bytearray() | memoryview():
            return f"{memoryview(value).nbytes} bytes"
        case PurePath() | BaseException():
            return _text(str(value))
        case list() | tuple():
            rest = len(value) - ITEMS_MAX
            return [*map(shown, value[:ITEMS_MAX]), *([f"and {rest} more"] if rest > 0 else [])]
    return type(value).__name__


def _text(text: str) -> str:
    return printable(text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}...")
