# SPDX-License-Identifier: MIT
"""A model's folder holds the graph and its tensors, whole, and nothing else."""

import errno
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from node.models import folder as room
from node.models.folder import GRAPH_NAME, make_folder, remove_folder
from protocol.errors import Refused
from protocol.model import TensorBlob


@dataclass(frozen=True)
class Made:
    """The parts of a model, whose blobs lie in a folder."""

    graph: bytes
    graph_bytes: int
    tensors: tuple[TensorBlob, ...]


def blob(blobs: Path, data: bytes) -> bytes:
    blobs.mkdir(exist_ok=True)
    digest = sha256(data).digest()
    (blobs / digest.hex()).write_bytes(data)
    return digest


def parts(blobs: Path, *tensors: bytes) -> Made:
    rows = [TensorBlob(f"w{n}", blob(blobs, data), len(data)) for n, data in enumerate(tensors)]
    return Made(blob(blobs, b"graph"), 5, tuple(rows))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_links_to_the_blobs_and_nothing_else(tmp_path: Path) -> None:
    made = parts(tmp_path / "blobs", b"one", b"two", b"one")
    folder = make_folder(made, tmp_path / "blobs", tmp_path / "models")
    one, two = (sha256(data).hexdigest() for data in (b"one", b"two"))
    assert names(folder) == sorted([GRAPH_NAME, one, two])
    assert (folder / GRAPH_NAME).samefile(tmp_path / "blobs" / made.graph.hex())
    assert (folder / one).samefile(tmp_path / "blobs" / one)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert names(tmp_path / "models") == [folder.name]


def test_the_same_parts_have_the_same_folder_and_others_another(tmp_path: Path) -> None:
    """Also when only the tensors differ: a manifest may lie about those of its graph."""
    blobs, models = tmp_path / "blobs", tmp_path / "models"
    first = make_folder(parts(blobs, b"one"), blobs, models)
    inode = first.stat().st_ino
    assert make_folder(parts(blobs, b"one"), blobs, models) == first
    assert first.stat().st_ino == inode
    assert make_folder(parts(blobs, b"two"), blobs, models) != first
    assert make_folder(parts(blobs), blobs, models) != first


def damage_nothing(_: Path) -> None:
    """It is whole."""


def lose_a_tensor(folder: Path) -> None:
    (folder / sha256(b"one").hexdigest()).unlink()


def shorten_a_tensor(folder: Path) -> None:
    lose_a_tensor(folder)
    (folder / sha256(b"one").hexdigest()).write_bytes(b"on")


def add_a_file(folder: Path) -> None:
    (folder / "more").write_bytes(b"")


def link_a_tensor(folder: Path) -> None:
    lose_a_tensor(folder)
    (folder / sha256(b"one").hexdigest()).symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    "damage", [damage_nothing, lose_a_tensor, shorten_a_tensor, add_a_file, link_a_tensor]
)
def test_a_folder_that_is_not_whole_is_made_again(tmp_path: Path, damage: object) -> None:
    made = parts(tmp_path / "blobs", b"one")
    folder = make_folder(made, tmp_path / "blobs", tmp_path / "models")
    damage(folder)  # type: ignore[operator]  # each of them takes the folder
    assert make_folder(made, tmp_path / "blobs", tmp_path / "models") == folder
    assert (folder / sha256(b"one").hexdigest()).read_bytes() == b"one"
    assert len(names(folder)) == 2
    assert names(tmp_path / "models") == [folder.name]


def test_a_file_in_the_place_of_a_folder_gives_way(tmp_path: Path) -> None:
    made = parts(tmp_path / "blobs")
    folder = make_folder(made, tmp_path / "blobs", tmp_path / "models")
    remove_folder(folder)
    folder.write_bytes(b"")
    with pytest.raises(Refused, match="cannot be made whole"):
        make_folder(made, tmp_path / "blobs", tmp_path / "models")


@pytest.mark.parametrize("size", [None, 2, 4])
def test_a_blob_that_is_missing_or_of_another_size_is_refused(
    tmp_path: Path, size: int | None
) -> None:
    blobs = tmp_path / "blobs"
    made = parts(blobs, b"one")
    path = blobs / sha256(b"one").hexdigest()
    path.unlink()
    if size is not None:
        path.write_bytes(bytes(size))
    with pytest.raises(Refused, match=r"is missing|has \d bytes, not 3"):
        make_folder(made, blobs, tmp_path / "models")
    assert names(tmp_path / "models") == []


def test_a_link_in_the_place_of_a_blob_is_not_followed(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    made = parts(blobs, b"one")
    path = blobs / sha256(b"one").hexdigest()
    (tmp_path / "secret").write_bytes(b"one")
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match="bytes, not 3"):
        make_folder(made, blobs, tmp_path / "models")


def test_a_blob_of_two_sizes_is_refused(tmp_path: Path) -> None:
    digest = blob(tmp_path / "blobs", b"one")
    rows = TensorBlob("a", digest, 3), TensorBlob("b", digest, 4)
    with pytest.raises(Refused, match="two sizes"):
        make_folder(Made(digest, 3, rows), tmp_path / "blobs", tmp_path / "models")


def test_where_links_do_not_go_blobs_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    made = parts(tmp_path / "blobs", b"one")
    folder = make_folder(made, tmp_path / "blobs", tmp_path / "models")
    assert (folder / GRAPH_NAME).read_bytes() == b"graph"
    assert (folder / GRAPH_NAME).stat().st_nlink == 1
    assert (folder / GRAPH_NAME).stat().st_mode & 0o777 == 0o444


async def test_two_who_make_it_at_once_get_one_whole_folder(tmp_path: Path) -> None:
    blobs, models = tmp_path / "blobs", tmp_path / "models"
    made = parts(blobs, *(b"%d" % n for n in range(50)))
    found = set()

    async def make() -> None:
        found.add(await trio.to_thread.run_sync(make_folder, made, blobs, models))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(make)
    (folder,) = found
    assert len(names(folder)) == 51
    assert names(models) == [folder.name]


def test_somebody_elses_whole_folder_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, models = tmp_path / "blobs", tmp_path / "models"
    made = parts(blobs, b"one")
    link = room._link

    def meanwhile(source: Path, path: Path, size_bytes: int) -> None:
        monkeypatch.setattr(room, "_link", link)
        make_folder(made, blobs, models)
        link(source, path, size_bytes)

    monkeypatch.setattr(room, "_link", meanwhile)
    folder = make_folder(made, blobs, models)
    assert names(models) == [folder.name]
    assert len(names(folder)) == 2


def test_a_removed_folder_leaves_its_blobs(tmp_path: Path) -> None:
    made = parts(tmp_path / "blobs", b"one")
    before = names(tmp_path / "blobs")
    folder = make_folder(made, tmp_path / "blobs", tmp_path / "models")
    remove_folder(folder)
    remove_folder(folder)
    remove_folder(tmp_path / "never" / "there")
    assert names(tmp_path / "models") == []
    assert names(tmp_path / "blobs") == before
