# SPDX-License-Identifier: MIT
"""What has happened in a made world, row by row, and one digest of all of it.

Two runs of the same seed have the same digest. Where they have not, the first row in which they
differ says where the world let something in that does not follow from the seed.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import trio


@dataclass(frozen=True, slots=True)
class Row:
    """Something that happened: when, what kind of thing, to whom, and what.

    `kind` is a word in snake_case. `who` is the name of a host, or `one>other` for what passes
    between two. `what` is for people and for the digest; nothing in it may depend on more than
    the seed: no path, no address in memory, no time on the wall.
    """

    at_s: float
    kind: str
    who: str
    what: str

    def text(self) -> str:
        """Write it as a line of JSON."""
        return json.dumps([self.at_s, self.kind, self.who, self.what], ensure_ascii=False)


#: So many lines go into the digest at once: a call for each costs more than the digest.
AT_ONCE = 512

Sink = Callable[[Row], object]


class Trace:
    """Collects rows. Rows of single messages go into the digest, and are kept only if wanted."""

    def __init__(self, *, keep_messages: bool = False, sink: Sink | None = None) -> None:
        """`sink` is given each row, kept or not, when it happens."""
        self.rows: list[Row] = []
        self.count = 0
        self._keeps_messages = keep_messages
        self._sink = sink
        self._digest = blake2b(digest_size=16)
        self._fresh: list[str] = []  # lines that are not in the digest yet

    def note(self, kind: str, who: str = "", what: str = "") -> None:
        """Note what has happened just now."""
        row = self._took(kind, who, what)
        self.rows.append(row)

    def message(self, kind: str, who: str, what: str) -> None:
        """Note a message, of which there are many."""
        if self._keeps_messages or self._sink is not None:
            row = self._took(kind, who, what)
            if self._keeps_messages:
                self.rows.append(row)
        else:
            self._count_in(round(trio.current_time(), 9), kind, who, what)

    def digest(self) -> str:
        """Give the digest of all rows so far."""
        self._digest_all()
        return self._digest.hexdigest()

    def _took(self, kind: str, who: str, what: str) -> Row:
        # Nine digits: what floats add in another order must not differ.
        row = Row(round(trio.current_time(), 9), kind, who, what)
        self._count_in(row.at_s, kind, who, what)
        if self._sink is not None:
            self._sink(row)
        return row

    def _count_in(self, at_s: float, kind: str, who: str, what: str) -> None:
        self.count += 1
        self._fresh.append(f"{at_s!r} {kind} {who} {what}\n")
        if len(self._fresh) >= AT_ONCE:
            self._digest_all()

    def _digest_all(self) -> None:
        self._digest.update("".join(self._fresh).encode())
        self._fresh.clear()


@contextmanager
def written_to(path: Path | None) -> Iterator[Sink | None]:
    """Write rows to a file inside the block; nowhere, if there is no path."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: file.write(row.text() + "\n")
