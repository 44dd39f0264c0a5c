# SPDX-License-Identifier: MIT
"""The peer cache: adverts that outlive the process, and the nodes that one could try again.

Adverts in force go back into the directory after a restart. Those that are over stay here for
a while: whoever was alone for a day, or cut off with half of the mesh, begins with them again.
"""

from dataclasses import dataclass

from node.store.store import Database, Statement
from protocol.directory import Directory
from protocol.errors import RemoteProtocolError
from protocol.known import Known, Verify
from protocol.limits import DIRECTORY_MAX
from protocol.view import View

#: A whole directory, and a third more of nodes that are gone from it.
KEPT_MAX = DIRECTORY_MAX + DIRECTORY_MAX // 3


@dataclass(frozen=True, slots=True)
class _Row:
    """An advert as it is kept; `place` orders the nodes that we have met, first met first."""

    known: Known
    met: bool
    place: int


class PeerCache:
    """What is remembered of other nodes; in memory only where there is no database."""

    def __init__(self, verify: Verify, database: Database | None = None) -> None:
        """Begin with nothing; see :meth:`load`."""
        self._verify = verify
        self._database = database
        self._rows: dict[bytes, _Row] = {}
        self._saved: dict[bytes, _Row] = {}

    def __len__(self) -> int:
        """Count the nodes that are remembered."""
        return len(self._rows)

    def load(self, view: View, now_s: float) -> None:
        """Read the database, and give the view what is still in force of it."""
        if self._database is None:
            return
        cells = self._database.read(
            "SELECT wire, met, place FROM adverts ORDER BY met DESC, place LIMIT ?", (KEPT_MAX,)
        )
        for wire, met, place in cells:
            try:
                known = self._verify(bytes(wire) if isinstance(wire, bytes) else b"")
            except RemoteProtocolError:
                continue  # of another version; it goes when the next ones are saved
            self._rows[known.node] = _Row(known, bool(met), int(place or 0))
        rows = self._rows.values()
        view.restore(
            [row.known.wire for row in rows if row.met],
            [row.known.wire for row in rows if not row.met],
            now_s,
        )
        self._saved = dict(self._rows)

    def take(self, directory: Directory) -> None:
        """Remember what the directory holds now; what it holds no more is the first to go."""
        for entry in directory:
            row = _Row(entry.known, bool(entry.met), entry.met)
            self._rows.pop(entry.known.node, None)
            self._rows[entry.known.node] = row
        for node in list(self._rows)[: max(0, len(self._rows) - KEPT_MAX)]:
            del self._rows[node]

    async def save(self) -> None:
        """Write down what has changed since the last time; OSError when the disk takes nothing."""
        if self._database is None:
            return
        now = dict(self._rows)
        changes: list[Statement] = [
            ("DELETE FROM adverts WHERE node = ?", (node,))
            for node in self._saved
            if node not in now
        ]
        for node, row in now.items():
            if self._saved.get(node) != row:
                cells = (node, row.known.wire, int(row.met), row.place)
                sql = "REPLACE INTO adverts (node, wire, met, place) VALUES (?, ?, ?, ?)"
                changes.append((sql, cells))
        if changes:
            await self._database.write(changes)
            self._saved = now

    def candidates(self) -> list[tuple[bytes, tuple[str, ...]]]:
        """Give nodes that one could dial, whether their adverts are over or not."""
        return [
            (node, row.known.advert.addresses)
            for node, row in self._rows.items()
            if row.known.advert.addresses
        ]
