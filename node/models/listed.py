# SPDX-License-Identifier: MIT
"""The models at hand as rows: where each came from, and when it was used last.

What a row says of a model is read at the start; what it is made of is in `library`.
"""

from dataclasses import dataclass
from typing import cast

from node.clock import Clock
from node.store.store import Database, Statement
from protocol.model import Manifest

_COLUMNS = (
    "digest, manifest, name, origin, served, bytes, comparator, tolerance, batchable,"
    " added_s, used_s"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A model as it was written down. `origin` is a peer in hex, and empty where it is ours."""

    digest: bytes
    body: bytes
    origin: str
    served: bool
    batchable: bool


class Listed:
    """Reads and writes the rows."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Look into this database."""
        self._database = database
        self._clock = clock
        self._used_s: dict[bytes, float] = {}
        self._newly_used: set[bytes] = set()

    def read(self) -> list[Row]:
        """Give all rows, and know from now on when each was used."""
        found = []
        for digest, body, origin, served, batchable, used_s in self._database.read(
            "SELECT digest, manifest, origin, served, batchable, used_s FROM models"
        ):
            name = cast("bytes", digest)
            self._used_s[name] = cast("float", used_s)
            row = Row(name, cast("bytes", body), cast("str", origin), bool(served), bool(batchable))
            found.append(row)
        return found

    async def put(self, row: Row, manifest: Manifest, size_bytes: int) -> None:
        """Write down a model that is used from now on."""
        now_s = self._clock.now().wall_s
        marks = ", ".join("?" * 11)
        insert = f"INSERT OR REPLACE INTO models ({_COLUMNS}) VALUES ({marks})"  # noqa: S608 - columns of ours
        cells = (
            *(row.digest, row.body, manifest.name, row.origin, int(row.served), size_bytes),
            *(manifest.comparator, manifest.tolerance, int(row.batchable), now_s, now_s),
        )
        await self._database.write([(insert, cells)])
        self._used_s[row.digest] = now_s

    async def remove(self, digest: bytes) -> None:
        """Forget a model."""
        self._used_s.pop(digest, None)
        await self._database.write([("DELETE FROM models WHERE digest = ?", (digest,))])

    # --- when it was used -----------------------------------------------------------------------

    def used(self, digest: bytes) -> None:
        """Note that a model is used now; one that is not there is used by nobody."""
        if digest in self._used_s:
            self._used_s[digest] = self._clock.now().wall_s
            self._newly_used.add(digest)

    def last_used_s(self, digest: bytes) -> float:
        """Tell when a model was used; a time that is still to come was told by a wrong clock."""
        return min(self._used_s.get(digest, 0.0), self._clock.now().wall_s)

    def uses(self) -> list[Statement]:
        """Word what is not written down yet of when models were used: it is, now and then."""
        used, self._newly_used = self._newly_used, set()
        return [
            ("UPDATE models SET used_s = ? WHERE digest = ?", (self._used_s[each], each))
            for each in used
            if each in self._used_s
        ]
