# SPDX-License-Identifier: MIT
"""How the command line prints. What it prints is decided by each command."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from node.printable import printable

OUTPUT_VERSION = 1
"""Grows when a document loses a field or gives one another meaning; new fields do not count."""


def print_json(document: Mapping[str, object]) -> None:
    """Print one document, as every command does under `--json`."""
    text = json.dumps({"v": OUTPUT_VERSION, **document}, indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():  # JSON leaves the controls above 127 as they are
        text = json.dumps({"v": OUTPUT_VERSION, **document}, indent=2)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:  # an ASCII terminal, or the name of a file that is no text
        text = json.dumps({"v": OUTPUT_VERSION, **document}, indent=2)
    print(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table: drawn on a terminal, else plain lines that `cut` and `awk` can read.

    Cells are plain text. Into a pipe goes no colour, no frame and no broken line, and what
    draws tables is not even imported.
    """
    shown = [[printable(cell) for cell in row] for row in (columns, *rows)]
    if sys.stdout.isatty():
        _draw_table(shown[0], shown[1:], title)
        return
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
    for row in shown:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def complain(message: str) -> None:
    """Say on stderr, on one line, what went wrong and what to do."""
    _tell(f"commons: {printable(message)}")


def show_progress(message: str) -> None:
    """Tell a person who waits what is going on; nobody else is told anything."""
    if sys.stderr is not None and sys.stderr.isatty():
        _tell(printable(message))


def _tell(line: str) -> None:
    # Nobody listens where the shell has closed stderr; print would then take stdout.
    if sys.stderr is not None:
        with suppress(OSError):
            print(line, file=sys.stderr)


def _draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # a Text, since brackets in a plain string would be read as colours
        table.add_row(*(Text(cell) for cell in row))
    Console(color_system=None if os.environ.get("NO_COLOR") else "auto").print(table)
