# SPDX-License-Identifier: MIT
"""What work wants of the mesh: streams to a peer, and somebody to tell of its faults.

`node/mesh/mesh.py` gives it; so does a test, with two ends and nothing between them.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from node.mesh.framed import Framed
from protocol.reasons import Reason

WORK = "/commons/work/1"
BOOKS = "/commons/books/1"


class Who(Protocol):
    """A peer, as far as work looks at it."""

    @property
    def key(self) -> bytes:
        """Its public key, as the transport has proven it."""
        ...

    @property
    def member(self) -> bool:
        """Whether it has proven to be of this private network."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the owner lists it."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Keep it connected inside the block, however scarce places get."""
        ...


class Wires(Protocol):
    """Streams to peers."""

    def wire(
        self, key: bytes, protocol: str, addresses: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Framed]:
        """Lend a warm stream; given back when the block ends well, else reset."""
        ...

    def blame(self, key: bytes, reason: Reason, detail: str) -> None:
        """Note a fault of a node."""
        ...

    def note_order(self, key: bytes, *, well: bool) -> None:
        """Note how an order ended that a node had accepted."""
        ...


class Note(Protocol):
    """Remembers how an order of a peer ended."""

    def __call__(self, key: bytes, /, *, well: bool) -> None:
        """Note it: well, if it brought what it was for."""
        ...


class Post(Protocol):
    """Tells whoever follows what happens here."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """Say that this happened."""
        ...
