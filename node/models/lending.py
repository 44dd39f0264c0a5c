# SPDX-License-Identifier: MIT
"""Which peer may know that a model is here, and have its blobs. Where they are is in `library`.

What a model tells is as private as its owner: one that nobody is served, and that was neither
given to a peer nor got from it, does not exist for that peer, and none of its blobs does.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

#: Peers that were given orders for models, or have shown models; the oldest are forgotten first.
LENT_MAX = 4096


@dataclass(slots=True)
class _Entry:
    """A model at hand. `origin` is the peer that it came from, in hex; empty where it is ours."""

    blobs: Mapping[bytes, int]
    origin: str
    served: bool


class Lending:
    """Knows for all models at hand who may have what."""

    def __init__(self) -> None:
        """Begin with no model."""
        self._entries: dict[bytes, _Entry] = {}
        self._models_of: dict[bytes, set[bytes]] = {}
        self._lent: dict[tuple[bytes, bytes], None] = {}
        self._shown: dict[tuple[bytes, bytes], None] = {}
        self._held: Counter[bytes] = Counter()

    def put(self, model: bytes, blobs: Mapping[bytes, int], *, origin: str, served: bool) -> None:
        """Note a model that came to hand, and the sizes of its blobs."""
        self.drop(model)
        self._entries[model] = _Entry(blobs, origin, served)
        for blob in blobs:
            self._models_of.setdefault(blob, set()).add(model)

    def drop(self, model: bytes) -> None:
        """Note that a model is gone."""
        entry = self._entries.pop(model, None)
        for blob in entry.blobs if entry else ():
            models = self._models_of[blob]
            models.discard(model)
            if not models:
                del self._models_of[blob]

    # --- peers ----------------------------------------------------------------------------------

    def lend(self, model: bytes, peer: bytes) -> None:
        """Let a peer have the blobs of a model: it is given an order for it."""
        _remember(self._lent, (peer, model))

    def shown(self, model: bytes, peer: bytes) -> None:
        """Note that a peer has shown the manifest of a model: it has got that elsewhere."""
        _remember(self._shown, (peer, model))

    def may_know(self, model: bytes, peer: bytes) -> bool:
        """Whether a peer may be told that a model is here."""
        entry = self._entries.get(model)
        if entry is None:
            return False
        known = (peer, model) in self._lent or (peer, model) in self._shown
        return entry.served or known or entry.origin == peer.hex()

    def size_for(self, blob: bytes, peer: bytes) -> int | None:
        """Give the size of a blob that this peer may have, None when it may not have it."""
        for model in self._models_of.get(blob, ()):
            entry = self._entries[model]
            if entry.served or (peer, model) in self._lent:
                return entry.blobs[blob]
        return None

    # --- what may go ----------------------------------------------------------------------------

    def is_kept(self, model: bytes) -> bool:
        """Whether a model stays whatever comes: it is ours, or served by its owner's word."""
        entry = self._entries[model]
        return not entry.origin or entry.served

    def blobs_of(self, model: bytes) -> Collection[bytes]:
        """Name the blobs of a model, its manifest among them."""
        return self._entries[model].blobs

    def wanted_by(self, blob: bytes) -> int:
        """Count the models that have a blob, and those that are just coming and count on it."""
        return len(self._models_of.get(blob, ())) + self._held[blob]

    @contextmanager
    def holding(self, blobs: Collection[bytes]) -> Iterator[None]:
        """Let no blob of these go inside the block: a model is made of them."""
        held = Counter(set(blobs))
        self._held.update(held)
        try:
            yield
        finally:
            self._held -= held  # what comes to nothing is forgotten


def _remember(known: dict[tuple[bytes, bytes], None], which: tuple[bytes, bytes]) -> None:
    known.pop(which, None)
    while len(known) >= LENT_MAX:
        del known[next(iter(known))]
    known[which] = None
