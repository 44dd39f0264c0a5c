# SPDX-License-Identifier: MIT
"""What orders take and give, as files: outputs are durable before anybody pays for them.

A file has its name when it is whole; after a power cut it is there, or it is not.
"""

import os
import re
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from struct import pack, unpack_from

from node.durable import sync
from node.executor.aside import aside
from node.executor.executor import Item
from node.models.incoming import full_disk_explained
from protocol.errors import CommonsError
from protocol.tensors import Tensor, encode_header, parse_header

INPUTS, OUTPUTS = "inputs", "outputs"

#: Orders whose files are looked through at a start; what is more is seen at another one.
SWEPT_MAX = 10_000

_ORDER = re.compile(r"[0-9a-f]{64}")

# Of a file that is being written; what a killed process leaves is removed at the next start.
_UNFINISHED = ".unfinished"


class Results:
    """A folder of inputs and outputs, by order."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, and remove what a killed process has left in it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for left in folder.glob(f"*{_UNFINISHED}"):
            left.unlink(missing_ok=True)
        #: What all of them take; the governor sets the limit.
        self.total_bytes = sum(each.stat().st_size for each in folder.iterdir())

    async def keep(self, order: bytes, what: str, items: Sequence[Item], secret: bytes) -> None:
        """Write items down; they are durable. OSError says what is wrong with the disk."""
        grown_bytes = await aside(partial(self._keep, order, what, items, secret))
        self.total_bytes += grown_bytes

    async def read(self, order: bytes, what: str) -> tuple[bytes, list[Item]] | None:
        """Give what was kept, and the secret of the order; None when it is not there."""
        return await aside(partial(self._read, order, what))

    async def orders(self) -> list[bytes]:
        """Name the orders of which there are files, at most `SWEPT_MAX` of them."""
        return await aside(self._orders)

    async def drop(self, orders: Sequence[bytes]) -> None:
        """Forget all of some orders."""
        dropped_bytes = await aside(partial(self._drop, orders))
        self.total_bytes -= dropped_bytes

    def _path(self, order: bytes, what: str) -> Path:
        return self._folder / f"{order.hex()}.{what}"

    def _orders(self) -> list[bytes]:
        found: set[bytes] = set()
        for each in self._folder.iterdir():
            name, _, what = each.name.partition(".")
            if what in (INPUTS, OUTPUTS) and _ORDER.fullmatch(name):
                found.add(bytes.fromhex(name))
            if len(found) >= SWEPT_MAX:
                break
        return list(found)

    def _keep(self, order: bytes, what: str, items: Sequence[Item], secret: bytes) -> int:
        """Give how many bytes more are kept now."""
        path = self._path(order, what)
        before_bytes = _size_of(path)
        unfinished = path.with_suffix(f".{what}{_UNFINISHED}")
        with full_disk_explained(self._folder):
            try:
                with unfinished.open("wb") as file:
                    file.write(pack("<32sI", secret, len(items)))
                    for item in items:
                        file.write(pack("<H", len(item)))
                        for tensor in item:
                            file.write(encode_header(tensor.header))
                            file.write(tensor.data)
                    file.flush()
                    os.fsync(file.fileno())
                    size_bytes = file.tell()
                unfinished.replace(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            sync(self._folder)
        return size_bytes - before_bytes

    def _read(self, order: bytes, what: str) -> tuple[bytes, list[Item]] | None:
        try:
            view = memoryview(self._path(order, what).read_bytes())
        except FileNotFoundError:
            return None
        try:
            return _parsed(view)
        except (CommonsError, struct.error, ValueError, IndexError):
            return None  # a disk that lost part of it: as good as not there

    def _drop(self, orders: Sequence[bytes]) -> int:
        """Give how many bytes less are kept now."""
        paths = [self._path(order, what) for order in orders for what in (INPUTS, OUTPUTS)]
        dropped_bytes = 0
        for path in paths:
            size_bytes = _size_of(path)
            path.unlink(missing_ok=True)
            dropped_bytes += size_bytes
        return dropped_bytes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _parsed(view: memoryview) -> tuple[bytes, list[Item]]:
    secret, count = unpack_from("<32sI", view)
    at = 36
    items: list[Item] = []
    for _ in range(count):
        (tensors,) = unpack_from("<H", view, at)
        at += 2
        item = []
        for _ in range(tensors):
            size = 10 + 8 * view[at + 1]
            header = parse_header(view[at : at + size])
            at += size
            data = view[at : at + header.size_bytes]
            if len(data) != header.size_bytes:
                raise ValueError("the file ends within a tensor")
            item.append(Tensor(header.element, header.dims, data))
            at += header.size_bytes
        items.append(tuple(item))
    return secret, items
