# SPDX-License-Identifier: MIT
"""Tests of `protocol.merkle`: a root means one list of leaves, and a path one leaf of it."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import tagged_hash
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import ITEMS_PER_ORDER_MAX, MERKLE_DEPTH_MAX
from protocol.merkle import (
    INPUT,
    OUTPUT,
    MerkleBuilder,
    check_path,
    leaf,
    leaf_salt,
    merkle_path,
    merkle_root,
)
from protocol.reasons import Reason

SECRET = bytes(range(32))


def leaves_of(count: int) -> list[bytes]:
    return [sha256(index.to_bytes(4, "big")).digest() for index in range(count)]


def root_by_levels(leaves: list[bytes]) -> bytes:
    """The definition, read off the text: pair up, let the odd one rise, then bind the count."""
    row = leaves
    while len(row) > 1:
        pairs = [row[at : at + 2] for at in range(0, len(row), 2)]
        row = [tagged_hash("merkle-inner", *p) if len(p) == 2 else p[0] for p in pairs]
    return tagged_hash("merkle-root", len(leaves).to_bytes(8, "big"), row[0])


def refused(root: bytes, count: int, index: int, leaf: bytes, path: bytes) -> bool:
    try:
        check_path(root, count, index, leaf, path)
    except RemoteProtocolError as error:
        return error.reason is Reason.BAD_PROOF
    return False


def test_the_builder_has_the_root_of_the_definition_at_every_count() -> None:
    leaves = leaves_of(70)
    builder = MerkleBuilder()
    for count, each in enumerate(leaves, 1):
        builder.append(each)
        assert builder.count == count
        assert builder.root() == root_by_levels(leaves[:count])
        assert builder.root() == merkle_root(leaves[:count])
        assert len(builder._tops) == count.bit_count()


@pytest.mark.parametrize("count", range(1, 18))
def test_every_leaf_has_a_path(count: int) -> None:
    leaves = leaves_of(count)
    paths = [merkle_path(leaves, index) for index in range(count)]
    for index, path in enumerate(paths):
        check_path(merkle_root(leaves), count, index, leaves[index], path)
    assert max(map(len, paths)) == 32 * (count - 1).bit_length()


@given(st.integers(1, 70), st.data())
def test_every_path_leads_to_the_root_and_nothing_else_does(
    count: int, data: st.DataObject
) -> None:
    leaves = leaves_of(count)
    index = data.draw(st.integers(0, count - 1))
    root, path = merkle_root(leaves), merkle_path(leaves, index)
    right = (root, count, index, leaves[index], path)
    assert not refused(*right)
    assert len(path) <= 32 * (count - 1).bit_length()
    other = data.draw(st.integers(0, 80).filter(lambda value: value != index))
    assert refused(root, count, other, leaves[index], path)
    wrong_count = data.draw(st.integers(-1, 140).filter(lambda value: value != count))
    assert refused(root, wrong_count, index, leaves[index], path)
    assert refused(root, count, index, bytes(32), path)
    assert refused(bytes(32), count, index, leaves[index], path)
    for longer in (path + b"\0", path + bytes(32), path[:-1], path[:-32]):
        assert longer == path or refused(root, count, index, leaves[index], longer)
    if path:
        flipped = bytearray(path)
        flipped[data.draw(st.integers(0, len(path) - 1))] ^= 1
        assert refused(root, count, index, leaves[index], bytes(flipped))


def test_an_odd_leaf_is_not_paired_with_itself() -> None:
    three = leaves_of(3)
    assert merkle_root(three) != merkle_root([*three, three[2]])


def test_an_inner_node_does_not_pass_as_a_leaf() -> None:
    leaves = leaves_of(4)
    inner = [tagged_hash("merkle-inner", *leaves[:2]), tagged_hash("merkle-inner", *leaves[2:])]
    assert merkle_root(inner) != merkle_root(leaves)
    assert refused(merkle_root(leaves), 2, 0, inner[0], inner[1])


def test_the_largest_order_has_paths_of_the_greatest_depth() -> None:
    leaves = [bytes(32)] * ITEMS_PER_ORDER_MAX
    path = merkle_path(leaves, 1)
    assert len(path) == 32 * MERKLE_DEPTH_MAX
    builder = MerkleBuilder()
    builder.count, builder._tops = ITEMS_PER_ORDER_MAX, [bytes(32)]
    with pytest.raises(LocalProtocolError, match="more than 65536 leaves"):
        builder.append(bytes(32))
    assert refused(bytes(32), ITEMS_PER_ORDER_MAX + 1, 0, bytes(32), path)
    with pytest.raises(LocalProtocolError):
        merkle_path([*leaves, bytes(32)], 0)


def test_there_is_no_root_of_nothing_and_no_path_to_nowhere() -> None:
    with pytest.raises(LocalProtocolError, match="without leaves"):
        merkle_root([])
    with pytest.raises(LocalProtocolError, match="32 bytes, got 31"):
        merkle_root([bytes(31)])
    for index in (-1, 3):
        with pytest.raises(LocalProtocolError, match="no leaf"):
            merkle_path(leaves_of(3), index)


def test_every_item_and_side_has_a_salt_of_its_own() -> None:
    sides = (INPUT, OUTPUT)
    secrets = (SECRET, bytes(32))
    salts = {leaf_salt(s, side, item) for s in secrets for side in sides for item in range(50)}
    assert len(salts) == 200
    assert leaf_salt(SECRET, INPUT, 7) == tagged_hash(
        "leaf-salt", SECRET, b"\0" + (7).to_bytes(8, "big")
    )


def test_a_leaf_binds_item_salt_and_digest() -> None:
    digest = sha256(b"item").digest()
    made = leaf(3, leaf_salt(SECRET, INPUT, 3), digest)
    assert made != leaf(4, leaf_salt(SECRET, INPUT, 3), digest)
    assert made != leaf(3, leaf_salt(SECRET, OUTPUT, 3), digest)
    assert made != leaf(3, leaf_salt(SECRET, INPUT, 3), bytes(32))


def test_broken_salts_and_digests_are_our_own_mistake() -> None:
    for secret, side in ((bytes(31), INPUT), (SECRET, 2)):
        with pytest.raises(LocalProtocolError):
            leaf_salt(secret, side, 0)
    for salt, digest in ((bytes(31), bytes(32)), (bytes(32), bytes(33))):
        with pytest.raises(LocalProtocolError):
            leaf(0, salt, digest)


def test_shown_salts_do_not_let_a_neighbour_be_guessed() -> None:
    """A yes-or-no item next to the shown one: its leaf needs a salt that evidence does not have."""
    yes, no = sha256(b"yes").digest(), sha256(b"no").digest()
    leaves = [leaf(index, leaf_salt(SECRET, INPUT, index), yes) for index in range(2)]
    neighbour = merkle_path(leaves, 0)
    shown = leaf_salt(SECRET, INPUT, 0)
    assert neighbour not in {leaf(1, shown, guess) for guess in (yes, no)}
