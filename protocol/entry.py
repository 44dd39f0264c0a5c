# SPDX-License-Identifier: MIT
"""One advert in the directory, and how firmly it sits. What makes it give way is in `directory`."""

from typing import TypeVar

from protocol.known import Known
from protocol.limits import RANGE_ADVERTS_MAX, RANGELESS_ADVERTS_MAX

Name = TypeVar("Name")

STAYS, KEPT, VOUCHED, REST = range(4)


class Entry:
    """One advert in the directory, and what this node knows about it first-hand."""

    __slots__ = ("draw", "fits", "known", "met", "near", "revision", "source", "vouched")

    def __init__(self, known: Known, source: bytes, place: int, *, vouched: bool) -> None:
        """Begin with what its source told; `place` is its draw. `met` 0 is never."""
        self.known = known
        self.source = source
        self.vouched = vouched
        self.draw = place
        self.revision = 0
        self.met = 0
        self.fits = False
        self.near = False

    @property
    def standing(self) -> int:
        """Tell how firmly it sits; lower is firmer."""
        if self.met or self.source == self.known.node:
            return STAYS
        if self.fits or self.near:
            return KEPT
        return VOUCHED if self.vouched else REST

    @property
    def order(self) -> tuple[int, int]:
        """Sort by this: who sits firmest comes first."""
        return self.standing, self.draw


class Counts:
    """How many adverts there are of each source, range, and fitting ones of each source."""

    __slots__ = ("_ranges", "fitting", "sources")

    def __init__(self) -> None:
        """Begin with none."""
        self.sources: dict[bytes, int] = {}
        self.fitting: dict[bytes, int] = {}
        self._ranges: dict[tuple[str, bytes], int] = {}

    def have_room(self, entry: Entry) -> bool:
        """Tell whether the range of this advert takes another one."""
        most = RANGE_ADVERTS_MAX if entry.known.range else RANGELESS_ADVERTS_MAX
        return self._ranges.get(_range_key(entry), 0) < most

    def have_room_with(self, entry: Entry, source: bytes) -> bool:
        """Tell whether an advert that is counted may be moved to this source."""
        # A range is the same whoever tells of it; nodes without one are counted by their source.
        return bool(entry.known.range) or self._ranges.get(("", source), 0) < RANGELESS_ADVERTS_MAX

    def add(self, entry: Entry, change: int) -> None:
        """Count an entry in or out, as it is now."""
        _add(self.sources, entry.source, change)
        _add(self._ranges, _range_key(entry), change)
        if entry.fits:
            _add(self.fitting, entry.source, change)


def _range_key(entry: Entry) -> tuple[str, bytes]:
    return (entry.known.range, b"") if entry.known.range else ("", entry.source)


def _add(counts: dict[Name, int], name: Name, change: int) -> None:
    """Count, and forget names whose count is zero, so that books stay as small as the directory."""
    total = counts.get(name, 0) + change
    if total:
        counts[name] = total
    else:
        del counts[name]
