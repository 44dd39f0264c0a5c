# SPDX-License-Identifier: MIT
"""Merkle trees: one root that commits to many items. What the items are is said in `tensors`.

Three ways of lying about a tree are closed here. Leaves, inner nodes and roots are hashed
under tags of their own, so that none passes as another. A node without a neighbour rises
unchanged instead of being paired with itself, so that no list of items has the root of a
longer one. And the root says how many leaves there are, so that a path has one length only.

An item of small entropy (a yes, a token, an empty tensor) could be guessed from its digest
by anybody who sees a path. Each leaf is therefore salted, and each with a salt of its own:
evidence about one item has to show that item's salt, and if it were the salt of the whole
order, every sibling on the path could be guessed and checked from then on. A leaf's salt
is a hash of the order's secret, from which the others cannot be had without that secret.
"""

from collections.abc import Iterable, Sequence

from protocol.canon import tagged_hash
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import ITEMS_PER_ORDER_MAX, MERKLE_DEPTH_MAX
from protocol.reasons import Reason

DIGEST_BYTES = 32
INPUT, OUTPUT = 0, 1

assert 2**MERKLE_DEPTH_MAX >= ITEMS_PER_ORDER_MAX, "a path must reach from every leaf to the root"


def leaf_salt(secret: bytes, side: int, item: int) -> bytes:
    """Derive the salt of one item's input or output from the order's 32-byte secret."""
    if len(secret) != DIGEST_BYTES or side not in (INPUT, OUTPUT):
        raise LocalProtocolError(f"a salt of side {side} from a secret of {len(secret)} bytes")
    return tagged_hash("leaf-salt", secret, bytes([side]), _number(item))


def leaf(item: int, salt: bytes, item_digest: bytes) -> bytes:
    """Hash one item of an order into a leaf."""
    if len(salt) != DIGEST_BYTES or len(item_digest) != DIGEST_BYTES:
        raise LocalProtocolError(f"salt and digest of a leaf have {DIGEST_BYTES} bytes each")
    return tagged_hash("leaf", _number(item), salt, item_digest)


class MerkleBuilder:
    """The root of leaves that come one after another, without keeping them.

    Kept are the tops of the full subtrees so far, from left to right, each at least twice
    as large as the next: one for each 1 in the binary form of `count`.
    """

    __slots__ = ("_tops", "count")

    def __init__(self) -> None:
        """Begin without leaves."""
        self.count = 0
        self._tops: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add the next leaf."""
        if self.count == ITEMS_PER_ORDER_MAX:
            raise LocalProtocolError(f"more than {ITEMS_PER_ORDER_MAX} leaves", Reason.TOO_LARGE)
        if len(leaf) != DIGEST_BYTES:
            raise LocalProtocolError(f"a leaf has {DIGEST_BYTES} bytes, got {len(leaf)}")
        # As in counting: every trailing 1 of the old count is a full subtree that pairs up now.
        full = self.count
        while full & 1:
            leaf = _inner(self._tops.pop(), leaf)
            full >>= 1
        self._tops.append(leaf)
        self.count += 1

    def root(self) -> bytes:
        """Give the root over the leaves so far; more may follow."""
        if not self._tops:
            raise LocalProtocolError("a tree without leaves has no root")
        top = self._tops[-1]
        for left in self._tops[-2::-1]:
            top = _inner(left, top)
        return _root(self.count, top)


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """Give the root over all leaves."""
    builder = MerkleBuilder()
    for each in leaves:
        builder.append(each)
    return builder.root()


def merkle_path(leaves: Sequence[bytes], index: int) -> bytes:
    """Give the neighbours of one leaf on its way to the root, lowest first."""
    if not 0 <= index < len(leaves) <= ITEMS_PER_ORDER_MAX:
        raise LocalProtocolError(f"no leaf {index} among {len(leaves)}")
    row = list(leaves)
    path = b""
    while len(row) > 1:
        if index ^ 1 < len(row):
            path += row[index ^ 1]
        index //= 2
        pairs = [_inner(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        row = pairs + row[len(pairs) * 2 :]
    return path


def check_path(root: bytes, count: int, index: int, leaf: bytes, path: bytes) -> None:
    """Raise RemoteProtocolError unless `leaf` is number `index` of `count` under `root`."""
    if not 0 <= index < count <= ITEMS_PER_ORDER_MAX:
        raise RemoteProtocolError(Reason.BAD_PROOF, f"no leaf {index} among {count}")
    top, at, width = leaf, 0, count
    while width > 1:
        if index ^ 1 < width:
            neighbour = path[at : at + DIGEST_BYTES]
            at += DIGEST_BYTES
            top = _inner(neighbour, top) if index & 1 else _inner(top, neighbour)
        index //= 2
        width = (width + 1) // 2
    if at != len(path):
        raise RemoteProtocolError(Reason.BAD_PROOF, f"a path of {len(path)} bytes instead of {at}")
    if _root(count, top) != root:
        raise RemoteProtocolError(Reason.BAD_PROOF, "the path leads to another root")


def _inner(left: bytes, right: bytes) -> bytes:
    return tagged_hash("merkle-inner", left, right)


def _root(count: int, top: bytes) -> bytes:
    return tagged_hash("merkle-root", _number(count), top)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
