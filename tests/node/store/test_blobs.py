# SPDX-License-Identifier: MIT
"""The folder of blobs: what counts as one, when it was used, and which go first."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from node.models.incoming import incoming
from node.store.blobs import Blobs, Kept

NOON_S = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that its first blob makes."""
    return tmp_path / "blobs"


def keep(folder: Path, *data: bytes) -> list[bytes]:
    """Take blobs in as models do."""
    with incoming(folder) as coming:
        digests = []
        for each in data:
            blob = coming.begin()
            blob.write(each)
            digests.append(coming.add(blob))
        coming.keep()
    return digests


def test_a_blob_that_was_taken_in_is_found_and_read_in_parts(folder: Path) -> None:
    data = bytes(range(200))
    (digest,) = keep(folder, data)
    blobs = Blobs(folder)
    assert digest == sha256(data).digest()
    assert (blobs.has(digest), blobs.size_bytes(digest)) == (True, 200)
    assert blobs.path(digest).read_bytes() == data
    parts = [(0, 200), (0, 0), (10, 20), (190, 50), (200, 1), (500, 1)]
    assert [blobs.read(digest, begin, count) for begin, count in parts] == [
        data[begin : begin + count] for begin, count in parts
    ]


def test_what_is_not_there_is_not_found(folder: Path) -> None:
    blobs = Blobs(folder)
    digest = bytes(32)
    assert (blobs.has(digest), blobs.size_bytes(digest)) == (False, None)
    assert (blobs.kept(), blobs.total_bytes(), blobs.shrink(0)) == ([], 0, [])
    with pytest.raises(FileNotFoundError):
        blobs.read(digest, 0, 1)
    blobs.remove(digest)
    blobs.used(digest, NOON_S)


def test_only_whole_files_under_the_name_of_a_digest_are_blobs(folder: Path) -> None:
    """An unfinished one, a link, a folder and what somebody left there are none."""
    (digest,) = keep(folder, b"one")
    (folder / ".unfinished-x").mkdir()
    (folder / "notes.txt").write_bytes(b"x" * 100)
    (folder / digest.hex().upper()).write_bytes(b"x")
    (folder / f"{1:064x}").symlink_to(folder / "notes.txt")
    (folder / f"{2:064x}").mkdir()
    blobs = Blobs(folder)
    assert [each.digest for each in blobs.kept()] == [digest]
    assert blobs.total_bytes() == 3
    assert not blobs.has((1).to_bytes(32, "big"))
    assert not blobs.has((2).to_bytes(32, "big"))
    with pytest.raises(OSError, match="symbolic link"):
        blobs.read((1).to_bytes(32, "big"), 0, 1)


def test_a_digest_of_another_length_is_a_mistake(folder: Path) -> None:
    with pytest.raises(AssertionError, match="SHA-256"):
        Blobs(folder).path(b"../../etc")


def test_what_was_used_last_goes_last(folder: Path) -> None:
    digests = keep(folder, b"a" * 10, b"b" * 20, b"c" * 30, b"d" * 40)
    blobs = Blobs(folder)
    for later, digest in enumerate(digests):
        blobs.used(digest, NOON_S + later)
    blobs.used(digests[0], NOON_S + 10.5)
    assert blobs.kept() == [
        Kept(digests[1], 20, NOON_S + 1),
        Kept(digests[2], 30, NOON_S + 2),
        Kept(digests[3], 40, NOON_S + 3),
        Kept(digests[0], 10, NOON_S + 10.5),
    ]
    assert blobs.shrink(100) == []
    assert [each.digest for each in blobs.shrink(99)] == [digests[1]]
    assert [each.digest for each in blobs.shrink(15)] == [digests[2], digests[3]]
    assert [each.digest for each in blobs.kept()] == [digests[0]]


def test_what_is_pinned_stays_even_beyond_the_quota(folder: Path) -> None:
    digests = keep(folder, b"a" * 10, b"b" * 20, b"c" * 30)
    blobs = Blobs(folder)
    assert {each.digest for each in blobs.shrink(0, pinned=set(digests[1:]))} == {digests[0]}
    assert blobs.total_bytes() == 50
    assert blobs.shrink(0, pinned=set(digests[1:])) == []


def test_a_blob_that_is_in_use_when_it_is_removed_can_still_be_used(folder: Path) -> None:
    """A model's folder has links of its own."""
    (digest,) = keep(folder, b"one")
    link = folder.parent / "link"
    os.link(folder / digest.hex(), link)
    assert [each.digest for each in Blobs(folder).shrink(0)] == [digest]
    assert link.read_bytes() == b"one"
