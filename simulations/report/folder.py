# SPDX-License-Identifier: MIT
"""Writes a report into its folder: all of it or nothing, and never over somebody else's files."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from simulations.record import Record
from simulations.report.page import as_html
from simulations.report.seeds import as_html_of_many
from simulations.report.summary import (
    RUN,
    SEEDS,
    as_summary,
    as_summary_of_many,
    folder_name,
)
from simulations.report.texts import as_options, as_replay, trace_lines

_SUMMARY = "summary.json"
# A file has this ending until all files of the report are written.
_PART = ".part"
_OURS = frozenset(
    {_SUMMARY, "trace.jsonl", "options.toml", "replay.txt", "report.html", "index.html"}
)
_SEED = re.compile(r"seed--?\d+")


def write_report(record: Record, folder: Path) -> Path:
    """Write the report of one run into a folder that is new, empty or an earlier report.

    It gives the page. It raises FileExistsError where other files are, and another OSError that
    names the folder where they cannot be written; an earlier report is then still there.
    """
    files: dict[str, Iterable[str]] = {
        _SUMMARY: [as_summary(record)],
        "report.html": [as_html(record)],
        "options.toml": [as_options(record)],
        "replay.txt": [as_replay(record)],
        "trace.jsonl": trace_lines(record),
    }
    _write(folder, files)
    return folder / "report.html"


def write_reports(records: Sequence[Record], folder: Path) -> Path:
    """Write the page of many seeds, and the report of each in a folder beside it."""
    page = write_summary_of_many(records, folder)
    for record in records:
        write_report(record, folder / folder_name(record))
    return page


def write_summary_of_many(records: Sequence[Record], folder: Path) -> Path:
    """Write the page and the summary of some seeds of one scenario; it raises as the others do.

    It links to the report of each seed in `folder / folder_name(record)`, which may have been
    written long before: a record needs no rows here.
    """
    if len({record.scenario for record in records}) > 1:
        raise ValueError("a page of many seeds is of one scenario")
    page = as_html_of_many(records)
    _write(folder, {_SUMMARY: [as_summary_of_many(records)], "index.html": [page]})
    return folder / "index.html"


def check_folder(folder: Path) -> None:
    """Find out whether a report may be written into a folder, before there is one.

    It raises FileExistsError where files are that are no report.
    """
    try:
        names = sorted(each.name for each in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _told(error, folder) from error
    others = [name for name in names if name.removesuffix(_PART) not in _OURS]
    seeds = [name for name in others if _SEED.fullmatch(name) and (folder / name).is_dir()]
    others = [name for name in others if name not in seeds]
    if _OURS & set(names) and not _is_report(folder / _SUMMARY):
        others.append(min(_OURS & set(names)))
    if others:
        raise FileExistsError(
            f"{folder} has files that are no report, such as {others[0]}; name a new folder"
        )
    for name in seeds:
        check_folder(folder / name)


def _is_report(path: Path) -> bool:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") in {RUN, SEEDS}


def _write(folder: Path, files: Mapping[str, Iterable[str]]) -> None:
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, lines in files.items():
                with (folder / f"{name}{_PART}").open("wb") as file:
                    # What is no text, such as half of a pair, is written as what it is.
                    file.writelines(line.encode("utf-8", "backslashreplace") for line in lines)
            for name in files:
                # The summary is the first: by it the folder is known as a report from then on.
                (folder / f"{name}{_PART}").replace(folder / name)
            for name in _OURS - files.keys():
                # Of an earlier report of the other kind, which would contradict this one.
                (folder / name).unlink(missing_ok=True)
        finally:
            for name in _OURS:
                (folder / f"{name}{_PART}").unlink(missing_ok=True)
    except OSError as error:
        raise _told(error, folder) from error


def _told(error: OSError, folder: Path) -> OSError:
    """Say of which folder it is; the number of the error stays, so its class does too."""
    reason = error.strerror or str(error)
    return OSError(error.errno, f"the report cannot be written to {folder}: {reason}")
