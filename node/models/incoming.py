# SPDX-License-Identifier: MIT
"""Blobs on their way into a folder of blobs. All of a model are kept, or none of them.

A blob is written under a name that means nothing, hashed on the way, and gets its own name, the
SHA-256 of its bytes in hex, when everything else went well. Whoever finds a file under such a
name finds it whole. This module knows no onnx: it belongs to the daemon.
"""

import errno
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from filecmp import cmp
from hashlib import sha256
from pathlib import Path

from node.durable import sync
from protocol.errors import Refused
from protocol.limits import TENSORS_MAX
from protocol.reasons import Reason

#: Nobody writes to a blob again, not even its owner by mistake.
BLOB_MODE = 0o444

#: How folders begin that are not finished; they belong to whoever is making them.
UNFINISHED = ".unfinished-"

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Blob:
    """One blob that is being written."""

    def __init__(self, path: Path) -> None:
        """Begin an empty one."""
        self.path = path
        self.size_bytes = 0
        self._hash = sha256()
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._hash.update(data)
        self.size_bytes += len(data)

    def end(self) -> bytes:
        """Say what it is called."""
        self.close()
        return self._hash.digest()

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()


class Incoming:
    """The blobs of one model, in a folder of their own until they are kept."""

    def __init__(self, blobs: Path) -> None:
        """Make the folder, inside the folder of blobs: names can change there, bytes stay."""
        self._blobs = blobs
        self._folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=blobs))
        self._begun: list[Blob] = []
        self._paths: dict[bytes, Path] = {}
        self._sizes: dict[bytes, int] = {}

    def begin(self) -> Blob:
        """Begin a blob; a model has only so many."""
        if len(self._begun) > TENSORS_MAX:  # and the graph
            raise Refused(Reason.TOO_LARGE, f"more than {TENSORS_MAX} tensors of a blob's size")
        blob = Blob(self._folder / str(len(self._begun)))
        self._begun.append(blob)
        return blob

    def add(self, blob: Blob) -> bytes:
        """End a blob and give its digest; a second one of the same bytes is the first one."""
        digest = blob.end()
        if digest in self._paths:
            blob.path.unlink()
        else:
            self._paths[digest] = blob.path
            self._sizes[digest] = blob.size_bytes
        return digest

    def size_of(self, digest: bytes) -> int:
        """Give the size of one of the blobs; below zero for any other digest."""
        return self._sizes.get(digest, -1)

    def keep(self) -> None:
        """Give every blob its name. After a power cut each is there whole, or not at all."""
        for digest, path in self._paths.items():
            named = self._blobs / digest.hex()
            if _is_same(path, named):
                named.touch()  # it is wanted again: it is no blob that may go as the oldest one
                continue
            path.chmod(BLOB_MODE)
            sync(path)
            path.replace(named)
        sync(self._blobs)

    def discard(self) -> None:
        """Forget what was not kept."""
        for blob in self._begun:
            blob.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def incoming(blobs: Path) -> Iterator[Incoming]:
    """Take blobs in; whatever was not kept when the context ends is gone."""
    with full_disk_explained(blobs):
        blobs.mkdir(parents=True, exist_ok=True)
        coming = Incoming(blobs)
        try:
            yield coming
        finally:
            coming.discard()


def remove_unfinished(folder: Path) -> None:
    """Remove what a daemon that was killed has left here; at the start, when nobody makes any."""
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Say in one sentence that a disk is full, and which."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        detail = "the disk is full: free some space there, or keep blobs elsewhere"
        raise OSError(error.errno, detail, str(folder)) from None


def _is_same(path: Path, named: Path) -> bool:
    """Whether a blob is there already, byte for byte: one that rotted on its disk is replaced."""
    try:
        there = named.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(there.st_mode) and cmp(path, named, shallow=False)
