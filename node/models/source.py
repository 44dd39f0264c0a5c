# SPDX-License-Identifier: MIT
"""A graph's file and what lies beside it: opened with care, and nothing else is ever opened.

The names of external data come from the graph, and a graph may come from anybody. A name is
followed folder by folder, without symbolic links, so it leads to a file inside the folder of
the graph or nowhere. This module knows no onnx: it belongs to the daemon.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from node.models.dialogue import Piece, broken_file_name
from node.models.policy import GRAPH_BYTES_MAX
from protocol.errors import Refused
from protocol.reasons import Reason

# A pipe must not hold up whoever opens it; what is no ordinary file is refused afterwards.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_OPEN_BESIDE = _OPEN | os.O_NOFOLLOW

#: Tensors lie one after the other in their file; a few may share bytes.
_TAKEN_PER_BYTE = 2

_Identity = tuple[int, int, int, int]


class Source:
    """The file of a graph, open; use it as a context."""

    def __init__(self, path: Path) -> None:
        """Open it, or refuse what cannot be a graph."""
        self._path = path
        self._seen: dict[str, _Identity] = {}
        self._taken: dict[str, int] = {}
        self._folder = -1
        try:
            self.descriptor = os.open(path, _OPEN)
        except OSError as error:
            raise _refuse(f"{path.name}: {_words(error)}") from None
        try:
            self._identity = self._check_graph()
            self._folder = os.open(path.parent, _OPEN | os.O_DIRECTORY)
        except OSError as error:
            self.close()
            raise _refuse(f"the folder of {path.name}: {_words(error)}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Use it as long as a context lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self.close()

    @property
    def size_bytes(self) -> int:
        """The size of the graph's file."""
        return self._identity[2]

    def close(self) -> None:
        """Close what is open."""
        for descriptor in (self.descriptor, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self._folder = -1

    @contextmanager
    def piece(self, piece: Piece) -> Iterator[int]:
        """Open the file that a piece is of; the piece lies inside of it."""
        with self._beside(piece.name) as descriptor:
            size_bytes = self._known(piece.name, descriptor)[2]
            if piece.offset + piece.size_bytes > size_bytes:
                until = piece.offset + piece.size_bytes
                raise _refuse(f"{piece.name} is cut off: {size_bytes} bytes, of {until}")
            taken = self._taken.get(piece.name, 0) + piece.size_bytes
            if piece.take:
                if taken > _TAKEN_PER_BYTE * size_bytes:
                    raise _refuse(f"the graph takes each byte of {piece.name} many times")
                self._taken[piece.name] = taken
            yield descriptor

    def check_unchanged(self) -> None:
        """Refuse files that somebody wrote to meanwhile: what was read is of no one moment."""
        if _identity(os.fstat(self.descriptor)) != self._identity:
            raise _refuse(f"{self._path.name} changed while it was read")
        for name in self._seen:
            with self._beside(name) as descriptor:
                self._known(name, descriptor)

    def _check_graph(self) -> _Identity:
        seen = os.fstat(self.descriptor)
        name = self._path.name
        if stat.S_ISDIR(seen.st_mode):
            raise _refuse(f"{name} is a folder: name the .onnx file in it")
        if not stat.S_ISREG(seen.st_mode):
            raise _refuse(f"{name} is no ordinary file")
        if not seen.st_size:
            raise _refuse(f"{name} is empty")
        if name.lower().endswith(".ort"):
            raise _refuse(
                f"{name} is in ONNX Runtime's own format: only .onnx files can be checked"
            )
        if seen.st_size > GRAPH_BYTES_MAX:
            detail = f"{name} has {seen.st_size} bytes, at most {GRAPH_BYTES_MAX}"
            raise Refused(Reason.TOO_LARGE, f"{detail}: save it with external data")
        return _identity(seen)

    @contextmanager
    def _beside(self, name: str) -> Iterator[int]:
        """Open a file in the graph's folder, one step of its name after the other."""
        if broken := broken_file_name(name):
            raise _refuse(f"external data {broken}")
        *folders, last = name.split("/")
        at = self._folder
        try:
            for folder in folders:
                inner = os.open(folder, _OPEN_BESIDE | os.O_DIRECTORY, dir_fd=at)
                if at != self._folder:
                    os.close(at)
                at = inner
            descriptor = os.open(last, _OPEN_BESIDE, dir_fd=at)
        except OSError as error:
            raise _refuse(
                f"external data in {name}: {_words(error, self._is_link(name))}"
            ) from None
        finally:
            if at != self._folder:
                os.close(at)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _refuse(f"external data in {name}, which is no ordinary file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _known(self, name: str, descriptor: int) -> _Identity:
        """Give what a file is; it must be the same each time."""
        identity = _identity(os.fstat(descriptor))
        if self._seen.setdefault(name, identity) != identity:
            raise _refuse(f"{name} changed while it was read")
        return identity

    def _is_link(self, name: str) -> bool:
        """Whether a name leads over a symbolic link; only for saying so."""
        parts = name.split("/")
        paths = (self._path.parent.joinpath(*parts[: end + 1]) for end in range(len(parts)))
        return any(path.is_symlink() for path in paths)


def _identity(seen: os.stat_result) -> _Identity:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _words(error: OSError, is_link: bool = False) -> str:
    if is_link:
        return "a symbolic link, which is not followed; copy the model with its files (cp -rL)"
    return {
        FileNotFoundError: "there is no such file",
        PermissionError: "this user may not read it",
        NotADirectoryError: "there is no such folder",
    }.get(type(error), error.strerror or "it cannot be read")


def _refuse(detail: str) -> Refused:
    return Refused(Reason.MODEL_REFUSED, detail)
