# SPDX-License-Identifier: MIT
"""The plain files beside a report: the rows of the trace, the options, the command to repeat it."""

import json
import math
import re
from collections.abc import Iterator

from simulations.record import Record
from simulations.report.summary import RUN, VERSION

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def trace_lines(record: Record) -> Iterator[str]:
    """Give a head that says what this is, then each row that was kept, one a line."""
    head = {
        "v": VERSION,
        "kind": RUN,
        "scenario": record.scenario,
        "seed": record.seed,
        "digest": record.digest,
        "rows": len(record.rows),
        "versions": record.versions,
    }
    yield json.dumps(head, ensure_ascii=False) + "\n"
    for row in record.rows:
        yield row.text() + "\n"


def as_options(record: Record) -> str:
    """Write the options of a run as TOML, its seed first."""
    lines = [f"# {_line(record.scenario)}: everything that this run was given."]
    for name, value in {"seed": record.seed, **record.options}.items():
        key = name if _BARE.fullmatch(name) else _quoted(name)
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def as_replay(record: Record) -> str:
    """Write the command that repeats the run, and what it needs."""
    needs = ", ".join(f"{_line(name)} {_line(each)}" for name, each in record.versions.items())
    lines = [
        f"# Repeats this run: seed {record.seed} has the digest {_line(record.digest)}.",
        f"# It needs {needs or 'the same version of everything'}, and nothing from this folder.",
        _line(record.replay),
    ]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    """Keep a text on its line, or a comment would end where a command begins."""
    return " ".join(text.splitlines())


def _toml(value: str | float | bool) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return repr(value)


def _quoted(text: str) -> str:
    # TOML's strings are those of JSON, but for DEL, and it has no halves of pairs.
    plain = text.encode("utf-8", "replace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")
