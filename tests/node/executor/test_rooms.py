# SPDX-License-Identifier: MIT
"""Memory that a runner sees too: it cannot make it smaller, and nothing of it is left."""

import ctypes
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.executor.child.values import map_room, unmap_room
from node.executor.rooms import ROOM_BYTES_MIN, Room, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no sealed memory here")

ADD_SEALS, GET_SEALS = 1033, 1034
SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1, 2, 4, 8, 16
KEEP_SIZE, PUNCH_HOLE = 1, 2


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting descriptors, not files


def rooms_mapped() -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:room")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = descriptors(), rooms_mapped()
    yield
    assert (descriptors(), rooms_mapped()) == before


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room(writable=True)
    yield made
    made.close()


@pytest.fixture
def fd(room: Room) -> Iterator[int]:
    """Give the descriptor as the runner has it."""
    given = room.grown(1)
    assert given is not None
    yield given
    os.close(given)


def test_a_room_grows_when_it_is_too_small(room: Room) -> None:
    assert room.size_bytes == 0
    sizes = []
    for wanted in (1, ROOM_BYTES_MIN, ROOM_BYTES_MIN + 1, ROOM_BYTES_MIN, 5 << 20, 129 << 20):
        given = room.grown(wanted)
        assert room.size_bytes >= wanted
        sizes.append(room.size_bytes if given else None)
        if given:
            assert os.fstat(given).st_size == room.size_bytes
            os.close(given)
    assert sizes == [1 << 20, None, 2 << 20, None, 8 << 20, 192 << 20]


def test_nothing_needs_no_room(room: Room) -> None:
    assert room.grown(0) is None
    assert room.size_bytes == 0


def test_both_sides_see_the_same_bytes(room: Room, fd: int) -> None:
    there = map_room(fd, writable=True)
    room.view[:3] = b"abc"
    there[3:6] = b"def"
    assert bytes(room.view[:6]) == bytes(there[:6]) == b"abcdef"
    unmap_room(there)


def test_the_daemon_cannot_write_what_a_runner_answers() -> None:
    room = Room(writable=False)
    given = room.grown(1)
    assert given is not None
    there = map_room(given, writable=True)
    os.close(given)
    there[:3] = b"abc"
    assert bytes(room.view[:3]) == b"abc"
    with pytest.raises(TypeError):
        room.view[0] = 0
    unmap_room(there)
    room.close()


@pytest.mark.parametrize("size_bytes", [0, 1, ROOM_BYTES_MIN - 1, ROOM_BYTES_MIN + 1, 1 << 40])
def test_nobody_changes_the_size_of_a_room(room: Room, fd: int, size_bytes: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(fd, size_bytes)
    with pytest.raises(PermissionError):  # nor through a descriptor that is opened again
        os.truncate(f"/proc/self/fd/{fd}", size_bytes)
    assert bytes(room.view[-1:]) == b"\0"


def test_nobody_grows_a_room_by_writing_behind_its_end(room: Room, fd: int) -> None:
    with pytest.raises(PermissionError):
        os.posix_fallocate(fd, 0, ROOM_BYTES_MIN + 1)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", ROOM_BYTES_MIN)
    assert os.fstat(fd).st_size == room.size_bytes


@pytest.mark.parametrize("seal", [SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE])
def test_nobody_adds_a_seal(room: Room, fd: int, seal: int) -> None:
    """A room that is sealed against writing could not be used for the next answer."""
    assert fcntl.fcntl(fd, GET_SEALS) == SEAL | SHRINK | GROW
    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, ADD_SEALS, seal)
    room.view[0] = 1


def test_a_hole_in_a_room_is_zeros_and_no_bus_error(room: Room, fd: int) -> None:
    room.view[:4] = b"data"
    libc = ctypes.CDLL(None, use_errno=True)
    punch = libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(1 << 20))
    assert punch == 0
    assert bytes(room.view[:4]) == bytes(4)
    room.view[:4] = b"data"


def test_a_view_that_is_lent_outlives_the_room(room: Room) -> None:
    given = room.grown(1)
    assert given is not None
    os.close(given)
    lent = room.view[:4]
    lent[:] = b"lent"
    room.close()
    assert room.size_bytes == 0
    assert bytes(lent) == b"lent"
    lent.release()


def test_a_lent_view_of_a_room_that_grew_keeps_what_was_there(room: Room) -> None:
    first = room.grown(1)
    assert first is not None
    lent = room.view[:4]
    lent[:] = b"lent"
    second = room.grown(2 * ROOM_BYTES_MIN)
    assert second is not None
    assert bytes(lent) == b"lent"
    assert bytes(room.view[:4]) == bytes(4)
    lent.release()
    os.close(first)
    os.close(second)


def test_a_room_that_cannot_be_made_leaves_nothing_and_the_old_one_stays(room: Room) -> None:
    given = room.grown(1)
    assert given is not None
    os.close(given)
    room.view[0] = 7
    before = descriptors()
    with pytest.raises((OSError, OverflowError)):
        room.grown(1 << 62)
    assert descriptors() == before
    assert room.view[0] == 7


def test_closing_twice_is_fine(room: Room) -> None:
    given = room.grown(1)
    assert given is not None
    os.close(given)
    room.close()
    room.close()


def test_a_runner_keeps_no_descriptor_of_what_it_maps(fd: int) -> None:
    before = descriptors()
    there = map_room(fd, writable=False)
    assert descriptors() == before
    unmap_room(there)
    unmap_room(memoryview(b""))


def test_what_cannot_be_mapped_is_an_error() -> None:
    reading, writing = os.pipe()
    with pytest.raises(MemoryError):
        map_room(reading, writable=False)
    os.close(reading)
    os.close(writing)
