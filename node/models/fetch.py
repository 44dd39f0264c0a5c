# SPDX-License-Identifier: MIT
"""Fetches a model from one peer: its manifest, then its blobs, each verified before it is kept.

What has arrived of a blob stays in a file of its own, and fetching goes on there after a loss
of the connection, or of this process. Nothing is asked for whose size is not known: the manifest
says it, and the manifest itself has a cap. From several peers at once is not done here.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import trio

from node.durable import sync
from node.executor.aside import aside
from node.mesh.framed import Framed
from node.mesh.transport import Lost
from node.models.incoming import BLOB_MODE, full_disk_explained
from node.models.library import PART, AtHand, Library
from node.models.policy import NORMAL_BYTES_MAX
from node.models.serve import BLOB, WANT_BYTES_MAX
from protocol.canon import decode
from protocol.channel import NoFrame
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import BlobPiece, BlobWant, CancelFrame
from protocol.limits import MANIFEST_BYTES_MAX
from protocol.model import Manifest
from protocol.reasons import Reason

#: A peer that owes a piece and sends none for so long is not waited for.
PIECE_S_MAX = 30.0

#: Slower than this is not worth the stream: one want of 4 MiB takes four minutes.
LEAST_BYTES_PER_S = 16 * 1024

WireTo = Callable[[bytes, str], AbstractAsyncContextManager[Framed]]
"""Lends a stream to a peer for a protocol."""

MayFetch = Callable[[int], Awaitable[tuple[Reason | None, str]]]
"""Asked with the bytes of all that is missing, before one of them is wanted."""


@dataclass(frozen=True, slots=True)
class _Blob:
    """A blob that is wanted."""

    digest: bytes
    size_bytes: int


async def fetch(
    library: Library, wire_to: WireTo, peer: bytes, model: bytes, may_fetch: MayFetch
) -> AtHand:
    """Fetch a model from a peer and put it on the shelf.

    Refused: this node does not want it, or the peer does not give it. RemoteProtocolError: the
    peer sent something else. TransportError: it was lost; what has come is kept for next time.
    """
    with ExitStack() as held:
        async with wire_to(peer, BLOB) as wire:
            body = await _manifest(wire, model)
            if there := library.shown(model, peer):  # it was hidden from this peer until now
                return there
            wanted = _wanted(decode(body, Manifest))
            held.enter_context(library.lending.holding((model, *wanted)))
            async with library.sorting:
                missing = await aside(partial(_missing, library, wanted))
            reason, detail = await may_fetch(sum(each.size_bytes for each in missing))
            if reason:
                raise Refused(reason, detail)
            for blob in missing:
                await _fetch_blob(wire, library.blobs_folder, blob)
        return await library.add(body, origin=peer.hex())


def _wanted(manifest: Manifest) -> dict[bytes, int]:
    """Name what a model takes, each blob once, with its size."""
    if not manifest.graph:
        raise Refused(Reason.MODEL_REFUSED, "an adapter is no model that runs by itself")
    if manifest.graph_bytes > NORMAL_BYTES_MAX:
        detail = f"a graph of {manifest.graph_bytes} bytes, at most {NORMAL_BYTES_MAX}"
        raise Refused(Reason.TOO_LARGE, detail)
    wanted = {manifest.graph: manifest.graph_bytes}
    for tensor in manifest.tensors:
        if wanted.setdefault(tensor.blob, tensor.size_bytes) != tensor.size_bytes:
            raise Refused(Reason.MODEL_REFUSED, f"the blob {tensor.blob.hex()} has two sizes")
    return wanted


def _missing(library: Library, wanted: dict[bytes, int]) -> list[_Blob]:
    """List what is not here."""
    there = {digest: library.blobs.size_bytes(digest) for digest in wanted}
    return [_Blob(digest, size) for digest, size in wanted.items() if there[digest] != size]


async def _manifest(wire: Framed, model: bytes) -> bytes:
    """Take a manifest. Nobody knows its size; it ends where its bytes have its name."""
    await wire.send(BlobWant(model, 0, MANIFEST_BYTES_MAX))
    body = bytearray()
    hasher = sha256()
    with trio.move_on_after(PIECE_S_MAX + MANIFEST_BYTES_MAX / LEAST_BYTES_PER_S):
        # As far as it goes: of a manifest in a million pieces only the new bytes are hashed.
        while hasher.copy().digest() != model:
            if len(body) >= MANIFEST_BYTES_MAX:
                detail = "a manifest that does not have its name"
                raise RemoteProtocolError(Reason.BAD_PROOF, detail)
            piece = await _piece(wire, model, len(body), MANIFEST_BYTES_MAX - len(body))
            hasher.update(piece)
            body += piece
        return bytes(body)
    raise Lost(f"the peer sent {len(body)} bytes of a manifest, and too slowly")


async def _piece(wire: Framed, digest: bytes, offset: int, most_bytes: int) -> Any:  # noqa: ANN401 - bytes, or a view of them
    """Take the piece that is due."""
    with trio.move_on_after(PIECE_S_MAX):
        frame = await wire.receive()
        match frame:
            case BlobPiece(named, at, data):
                if (named, at) != (digest, offset) or len(data) > most_bytes:
                    detail = f"{len(data)} bytes at {at} of {named.hex()}, wanted was {offset}"
                    raise RemoteProtocolError(Reason.UNEXPECTED, detail)
                return data
            case CancelFrame(reason):
                raise Refused(Reason.NOT_FOUND, f"the peer does not give it: {reason}")
            case NoFrame():
                raise Lost("the peer has ended the stream within a blob")
            case _:
                detail = f"{type(frame).__name__} where a piece is due"
                raise RemoteProtocolError(Reason.UNEXPECTED, detail)
    raise Lost(f"the peer sent no piece for {PIECE_S_MAX:g} s")


async def _fetch_blob(wire: Framed, blobs: Path, blob: _Blob) -> None:
    """Take one blob, from where an earlier try has ended."""
    part = blobs / f"{blob.digest.hex()}{PART}"
    with full_disk_explained(blobs):
        at = await aside(partial(_begin_part, part, blob.size_bytes))
        while at < blob.size_bytes:
            at += await _take_want(wire, part, blob, at)
        await aside(partial(_keep_part, part, blobs, blob))


async def _take_want(wire: Framed, part: Path, blob: _Blob, offset: int) -> int:
    """Ask for the next bytes, and keep what comes even if the rest does not."""
    wanted = min(WANT_BYTES_MAX, blob.size_bytes - offset)
    await wire.send(BlobWant(blob.digest, offset, wanted))
    taken = bytearray()
    try:
        with trio.move_on_after(PIECE_S_MAX + wanted / LEAST_BYTES_PER_S):
            while len(taken) < wanted:
                left = wanted - len(taken)
                taken += await _piece(wire, blob.digest, offset + len(taken), left)
            return wanted
        raise Lost(f"the peer sent {len(taken)} bytes where {wanted} were wanted: too slow")
    finally:
        if taken:
            with trio.CancelScope(shield=True):
                await aside(partial(_append, part, offset, taken))


def _begin_part(part: Path, size_bytes: int) -> int:
    """Find out how much is there already."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch(mode=0o600)
    there = part.stat().st_size
    if there > size_bytes:
        part.unlink()
        part.touch(mode=0o600)
        return 0
    return there


def _append(part: Path, offset: int, data: bytearray) -> None:
    with part.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _keep_part(part: Path, blobs: Path, blob: _Blob) -> None:
    """Give a blob its name, if it is the one that was wanted; else forget it."""
    hasher = sha256()
    with part.open("rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    if hasher.digest() != blob.digest:
        part.unlink()
        detail = f"other bytes than those of {blob.digest.hex()}"
        raise RemoteProtocolError(Reason.BAD_PROOF, detail)
    part.chmod(BLOB_MODE)
    sync(part)
    part.replace(blobs / blob.digest.hex())
    sync(blobs)
