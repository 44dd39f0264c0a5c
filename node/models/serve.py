# SPDX-License-Identifier: MIT
"""Gives blobs to peers: pieces of what they may have, and not a byte of anything else.

On `/commons/blob/1` a peer says `BlobWant`, and gets the bytes from there on as `BlobPiece`,
as many as it wanted or as there are. What it may not have, what is not here, and what the
quota of the day does not allow is a cancel with the reason, and the end of the stream.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from node.executor.aside import aside
from node.mesh.framed import Framed
from node.models.library import Library
from protocol.channel import NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import BLOB_DATA_BYTES_MAX, BlobPiece, BlobWant, CancelFrame, End
from protocol.reasons import Reason

BLOB = "/commons/blob/1"

#: One want asks for no more: what was read for a peer that goes away is lost.
WANT_BYTES_MAX = 4 << 20

# Read at once from the disk: a piece of some sixteen frames.
_READ_BYTES = 1 << 20

MaySend = Callable[[int], tuple[Reason | None, str]]
"""Takes so many bytes from the day's quota, or says why not."""


class _Who(Protocol):
    @property
    def key(self) -> bytes: ...
    def hold(self) -> AbstractContextManager[None]: ...


class Serving:
    """Serves the blobs of a library."""

    def __init__(self, library: Library, may_send: MaySend) -> None:
        """`may_send` is asked before a want is served."""
        self._library = library
        self._may_send = may_send

    async def serve(self, peer: _Who, wire: Framed) -> None:
        """Serve one stream of a peer, want after want."""
        while not isinstance(frame := await wire.receive(), NoFrame):
            match frame:
                case BlobWant(digest, offset, size_bytes):
                    with peer.hold():
                        refused = await self._give(peer.key, wire, digest, offset, size_bytes)
                    if refused:
                        await wire.send(CancelFrame(refused.value))
                        await wire.end()
                        return
                case End():
                    pass
                case CancelFrame():
                    return
                case _:
                    detail = f"{type(frame).__name__} where a want is due"
                    raise RemoteProtocolError(Reason.UNEXPECTED, detail)

    async def _give(
        self, peer: bytes, wire: Framed, digest: bytes, offset: int, wanted_bytes: int
    ) -> Reason | None:
        size_bytes = self._library.size_for(digest, peer)
        if size_bytes is None or offset >= size_bytes:
            return Reason.NOT_FOUND
        if wanted_bytes > WANT_BYTES_MAX:
            return Reason.TOO_LARGE
        left_bytes = min(wanted_bytes, size_bytes - offset)
        reason, _ = self._may_send(left_bytes)
        if reason:
            return reason
        while left_bytes:
            count = min(left_bytes, _READ_BYTES)
            try:
                data = await aside(partial(self._library.blobs.read, digest, offset, count))
            except FileNotFoundError:
                return Reason.NOT_FOUND
            if len(data) != count:  # it was cut on its disk
                return Reason.NOT_FOUND
            view = memoryview(data)
            for at in range(0, count, BLOB_DATA_BYTES_MAX):
                piece = view[at : at + BLOB_DATA_BYTES_MAX]
                await wire.send(BlobPiece(digest, offset + at, piece))
            offset += count
            left_bytes -= count
        return None
