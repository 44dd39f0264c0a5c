# SPDX-License-Identifier: MIT
"""Makes the folder that a runner loads a model from: hard links to blobs, and nothing else.

ONNX Runtime opens external data by name, and stays inside the folder of the graph as long as it
loads from a path. So the folder holds the graph, and each tensor under its digest; a runner
that may read this folder may read this model.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from node.models.incoming import BLOB_MODE, UNFINISHED
from protocol.errors import Refused
from protocol.model import TensorBlob
from protocol.reasons import Reason

#: What the graph is called: ONNX Runtime takes a path with this ending as ONNX and nothing else.
GRAPH_NAME = "graph.onnx"

# A runner that gave up its user must still come in.
_FOLDER_MODE = 0o755

_Blob = tuple[str, bytes, int]


class Parts(Protocol):
    """What a model is made of: a manifest says it, and so does what was taken in."""

    @property
    def graph(self) -> bytes:
        """The digest of the graph."""
        ...

    @property
    def graph_bytes(self) -> int:
        """The size of the graph."""
        ...

    @property
    def tensors(self) -> Sequence[TensorBlob]:
        """The tensors that are blobs."""
        ...


def make_folder(parts: Parts, blobs: Path, into: Path) -> Path:
    """Make the folder of a model inside `into`, or find it made. Blocks as long as links take.

    The same parts have the same folder. Two who make it at once both get a whole one: it is made
    aside and then gets its name. Refused: a blob is missing, or not of its size.
    """
    wanted = _blobs_of(parts)
    folder = into / _name_of(wanted)
    if _is_whole(folder, wanted):
        return folder
    into.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=into))
    try:
        for name, digest, size_bytes in wanted:
            _link(blobs / digest.hex(), making / name, size_bytes)
        making.chmod(_FOLDER_MODE)
        _put_in_place(making, folder, wanted)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a model's folder; the blobs stay. Removing it twice is fine."""
    # Renamed first: nobody finds a folder that is half gone, and takes it for a whole one.
    if not folder.is_dir():
        return
    gone = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
    try:
        with suppress(FileNotFoundError):  # somebody else removed it just now
            folder.replace(gone)
    finally:
        shutil.rmtree(gone)


def _blobs_of(parts: Parts) -> list[_Blob]:
    """Give name, digest and size of each file; tensors that are equal are one file."""
    wanted = {GRAPH_NAME: (parts.graph, parts.graph_bytes)}
    for tensor in parts.tensors:
        blob = (tensor.blob, tensor.size_bytes)
        if wanted.setdefault(tensor.blob.hex(), blob) != blob:
            raise _refuse(f"the blob {tensor.blob.hex()} has two sizes")
    return [(name, *blob) for name, blob in sorted(wanted.items())]


def _name_of(wanted: Iterable[_Blob]) -> str:
    """Name a folder by all that is in it: a manifest may lie about the tensors of its graph."""
    text = "".join(f"{name} {digest.hex()} {size}\n" for name, digest, size in wanted)
    return sha256(text.encode()).hexdigest()


def _is_whole(folder: Path, wanted: Sequence[_Blob]) -> bool:
    """Whether the folder is there with all its files and no other one."""
    try:
        there = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return False
    sizes = {name: each.st_size for name, each in there.items() if stat.S_ISREG(each.st_mode)}
    return len(there) == len(wanted) and sizes == {name: size for name, _, size in wanted}


def _link(blob: Path, path: Path, size_bytes: int) -> None:
    """Link a blob of the right size; copy it where links do not go, as to another disk."""
    try:
        there = blob.lstat()
    except FileNotFoundError:
        raise _refuse(f"the blob {blob.name} is missing") from None
    if not stat.S_ISREG(there.st_mode) or there.st_size != size_bytes:
        raise _refuse(f"the blob {blob.name} has {there.st_size} bytes, not {size_bytes}")
    try:
        os.link(blob, path, follow_symlinks=False)
    except OSError:
        shutil.copyfile(blob, path, follow_symlinks=False)
        path.chmod(BLOB_MODE)


def _put_in_place(making: Path, folder: Path, wanted: Sequence[_Blob]) -> None:
    """Give the folder its name. Somebody else's is as good, unless it is broken."""
    for _ in range(2):
        try:
            making.replace(folder)
        except OSError:
            if _is_whole(folder, wanted):
                return
            remove_folder(folder)
        else:
            return
    raise _refuse(f"the folder {folder.name} cannot be made whole")


def _refuse(detail: str) -> Refused:
    return Refused(Reason.MODEL_REFUSED, detail)
