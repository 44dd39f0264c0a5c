# SPDX-License-Identifier: MIT
"""The models at hand: those that this node can run, and who may have their blobs.

A model is at hand when its manifest and all its blobs are here, its graph was inspected (or is
our own), and there is a folder from which a runner can load it. How blobs get here is in
`fetch`, how they leave in `serve`.
"""

from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import trio

from node.clock import Clock
from node.executor.aside import aside
from node.executor.executor import Model
from node.models.folder import make_folder, remove_folder
from node.models.incoming import incoming, remove_unfinished
from node.models.intake import inspect
from node.models.lending import Lending
from node.models.listed import Listed, Row
from node.store.blobs import Blobs
from node.store.store import Database
from protocol.canon import decode
from protocol.errors import CommonsError, Refused
from protocol.interface import Dims, Interface
from protocol.limits import TENSORS_MAX
from protocol.model import Manifest, model_digest
from protocol.price import PriceFacts, price_v1
from protocol.reasons import Reason

#: Models that were found wanting are remembered: nobody can have them fetched over and over.
REFUSED_MAX = 1024

#: How the file of a blob ends that has not come whole yet.
PART = ".part"

#: A part of a blob that nobody has come back for in so long is removed.
PART_KEPT_S = 86_400.0

# A runner takes so much by itself when its model is small.
_SMALL_BYTES = 256 << 20
_WORK_BYTES = 512 << 20


Look = Callable[[Manifest, Path], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AtHand:
    """A model that can be run here."""

    digest: bytes
    manifest: Manifest
    interface: Interface
    facts: PriceFacts
    folder: Path
    batchable: bool = False

    def price(self, shape: tuple[Dims, ...]) -> int:
        """Price an item of this shape; RemoteProtocolError when no item can have it."""
        values = self.interface.bind(shape)
        return price_v1(self.facts, values, self.interface.io_bytes(values))

    @property
    def weights_bytes(self) -> int:
        """The size of all its tensors."""
        return sum(each.size_bytes for each in self.manifest.tensors)

    def model(self) -> Model:
        """Give what an executor loads."""
        large = self.weights_bytes > _SMALL_BYTES
        memory_bytes = 2 * self.weights_bytes + _WORK_BYTES if large else 0
        return Model(
            self.digest,
            self.folder,
            self.interface,
            memory_bytes=memory_bytes,
            batchable=self.batchable,
        )


class Library:
    """The models of this machine, whichever network they came from."""

    def __init__(
        self,
        database: Database,
        blobs: Path,
        folders: Path,
        clock: Clock,
        look: Look = inspect,
    ) -> None:
        """`folders` is where runners load from; best on the disk of `blobs`, for hard links.

        `look` holds the manifest of a stranger against its graph.
        """
        self._look = look
        self.blobs_folder = blobs
        self.blobs = Blobs(blobs)
        self.listed = Listed(database, clock)
        self.folders = folders
        self.clock = clock
        self.lending = Lending()
        #: Held by who looks which blobs are here, and by who lets go of some.
        self.sorting = trio.Lock()
        self._at_hand: dict[bytes, AtHand] = {}
        self._served: set[bytes] = set()
        self._refused: dict[bytes, Refused] = {}

    async def open(self) -> list[str]:
        """Read what is here; give the names of models that have lost blobs, and are gone."""
        await aside(partial(self.blobs_folder.mkdir, parents=True, exist_ok=True))
        await aside(partial(self.folders.mkdir, parents=True, exist_ok=True))
        for folder in (self.blobs_folder, self.folders):
            await aside(partial(remove_unfinished, folder))
        now_s = self.clock.now().wall_s
        await aside(partial(remove_old_parts, self.blobs_folder, now_s))
        gone = []
        for row in self.listed.read():
            manifest = decode(row.body, Manifest)
            try:
                shelved = await self._shelve(row.digest, manifest, batchable=row.batchable)
            except Refused:
                gone.append(manifest.name)
                await self.listed.remove(row.digest)
            else:
                self._put(shelved, row)
        return gone

    def __iter__(self) -> Iterator[AtHand]:
        """Give all of them."""
        return iter(tuple(self._at_hand.values()))

    @property
    def digests(self) -> AbstractSet[bytes]:
        """Give the names of all of them, as a view that follows what is at hand."""
        return self._at_hand.keys()

    @property
    def served(self) -> tuple[bytes, ...]:
        """Give the models that anybody may have and have run here: they may be told to the mesh."""
        return tuple(digest for digest in self._at_hand if digest in self._served)

    def find(self, digest: bytes) -> AtHand | None:
        """Give a model, if it is at hand. Refused: it was looked at, and will not be run here."""
        if refusal := self._refused.get(digest):
            raise Refused(refusal.reason, refusal.detail)
        return self._at_hand.get(digest)

    def find_for(self, digest: bytes, peer: bytes, *, trusted: bool) -> AtHand | None:
        """Give a model that a peer has ordered, if it is at hand and this peer may know of it.

        One that it may not know of and one that is not here are the same to it.
        """
        found = self.find(digest)
        if found is None or not (trusted or self.lending.may_know(digest, peer)):
            return None
        self.listed.used(digest)
        return found

    def shown(self, digest: bytes, peer: bytes) -> AtHand | None:
        """Give a model at hand whose manifest a peer has shown: from now on it may know of it."""
        if digest in self._at_hand:
            self.lending.shown(digest, peer)
        return self._at_hand.get(digest)

    async def add(
        self,
        body: bytes,
        *,
        origin: str,
        ours: bool = False,
        served: bool = False,
        batchable: bool = False,
    ) -> AtHand:
        """Put a model whose blobs are here onto the shelf; `body` is its manifest.

        One that is not `ours` is inspected first. Refused says what is against it.
        """
        digest = model_digest(body)
        manifest = decode(body, Manifest)
        if not ours:
            try:
                await self._look(manifest, self.blobs.path(manifest.graph))
            except Refused as refusal:
                # What the inspector could not look at for lack of room may be seen another time.
                if refusal.reason is not Reason.BUSY:
                    self.refuse(digest, refusal)
                raise
            if there := self._at_hand.get(digest):  # else one of ours became a stranger's
                return there
        await self._keep_manifest(body)
        shelved = await self._shelve(digest, manifest, batchable=batchable)
        row = Row(digest, body, origin, served, batchable)
        await self.listed.put(row, manifest, manifest.graph_bytes + shelved.weights_bytes)
        self._put(shelved, row)
        return shelved

    def refuse(self, digest: bytes, refusal: Refused) -> None:
        """Remember that a model is not run here, until this node is started again."""
        while len(self._refused) >= REFUSED_MAX:
            del self._refused[next(iter(self._refused))]
        self._refused[digest] = refusal

    async def remove(self, digest: bytes) -> None:
        """Let go of a model; its blobs stay until somebody needs their room."""
        shelved = self._at_hand.pop(digest, None)
        self._served.discard(digest)
        self.lending.drop(digest)
        await self.listed.remove(digest)
        # Models of the same graph and tensors have one folder.
        if shelved and all(each.folder != shelved.folder for each in self._at_hand.values()):
            await aside(partial(remove_folder, shelved.folder))

    # --- who may have its blobs -----------------------------------------------------------------

    def lend(self, digest: bytes, peer: bytes) -> None:
        """Let a peer have the blobs of a model: it is given an order for it."""
        self.lending.lend(digest, peer)
        self.listed.used(digest)

    def size_for(self, blob: bytes, peer: bytes) -> int | None:
        """Give the size of a blob that this peer may have, None when it may not have it.

        A blob that is not here and one that is not for this peer are the same to it.
        """
        return self.lending.size_for(blob, peer)

    # --- shelving -------------------------------------------------------------------------------

    async def _shelve(self, digest: bytes, manifest: Manifest, *, batchable: bool) -> AtHand:
        if not manifest.graph or len(manifest.tensors) > TENSORS_MAX:
            raise Refused(Reason.MODEL_REFUSED, "an adapter is no model that runs by itself")
        folder = await aside(partial(make_folder, manifest, self.blobs_folder, self.folders))
        try:
            interface, facts = manifest.interfaces()[0], manifest.price_facts()[0]
        except (CommonsError, ValueError) as error:
            raise Refused(Reason.MODEL_REFUSED, str(error)) from error
        return AtHand(digest, manifest, interface, facts, folder, batchable)

    def _put(self, shelved: AtHand, row: Row) -> None:
        manifest, digest = shelved.manifest, shelved.digest
        self._at_hand[digest] = shelved
        if row.served:
            self._served.add(digest)
        blobs = {each.blob: each.size_bytes for each in manifest.files}
        blobs |= {each.blob: each.size_bytes for each in manifest.tensors}
        blobs |= {manifest.graph: manifest.graph_bytes, digest: len(row.body)}
        self.lending.put(digest, blobs, origin=row.origin, served=digest in self._served)

    async def _keep_manifest(self, body: bytes) -> None:
        """A manifest is a blob like others, so that it can be asked for like others."""

        def keep() -> None:
            with incoming(self.blobs_folder) as coming:
                blob = coming.begin()
                blob.write(body)
                coming.add(blob)
                coming.keep()

        assert sha256(body).digest() == model_digest(body)
        await aside(keep)


def remove_old_parts(folder: Path, now_s: float) -> None:
    """Remove parts of blobs that were left behind long ago."""
    for part in folder.glob(f"*{PART}"):
        if part.stat().st_mtime < now_s - PART_KEPT_S:
            part.unlink(missing_ok=True)
