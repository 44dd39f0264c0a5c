# SPDX-License-Identifier: MIT
"""The child's side of a throw-away task; the daemon's is `throwaway`. It needs no event loop.

Both sides read here how a message is written: its length in four bytes, little endian, then
its bytes. Descriptors travel to the child with the first byte of a message, and never back.
"""

import os
import socket
import struct
from types import TracebackType
from typing import Self

#: The length of a message, before the message.
LENGTH = struct.Struct("<I")

#: The daemon's own messages to a child are words and small pieces of files.
SENT_BYTES_MAX = 1 << 20

# One descriptor is all that a task brings along.
_DESCRIPTORS_MAX = 1


class Errand:
    """The socket of a throw-away child."""

    def __init__(self, number: int) -> None:
        """Take over the descriptor that the command line names."""
        self._socket = socket.socket(fileno=number)

    def __enter__(self) -> Self:
        """Use it as long as a context lasts."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it: the daemon sees that nothing more comes."""
        self._socket.close()

    def say(self, data: bytes) -> None:
        """Send one message."""
        self._socket.sendall(LENGTH.pack(len(data)))
        self._socket.sendall(data)

    def stream(self, data: bytes | memoryview) -> None:
        """Send bytes that are no message; one before them has said how many."""
        self._socket.sendall(data)

    def hear(self) -> bytes:
        """Take one message; EOFError when the daemon has left."""
        data, descriptors = self.hear_with_descriptors()
        for descriptor in descriptors:
            os.close(descriptor)
        return data

    def hear_with_descriptors(self) -> tuple[bytes, list[int]]:
        """Take one message, and the descriptors that came along."""
        head, descriptors, _, _ = socket.recv_fds(self._socket, LENGTH.size, _DESCRIPTORS_MAX)
        head += self._exactly(LENGTH.size - len(head))
        (length,) = LENGTH.unpack(head)
        return self._exactly(length), descriptors

    def _exactly(self, size_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < size_bytes:
            piece = self._socket.recv(min(size_bytes - len(data), 1 << 16))
            if not piece:
                raise EOFError("the daemon has closed the socket")
            data += piece
        return bytes(data)
