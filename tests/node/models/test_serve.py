# SPDX-License-Identifier: MIT
"""Blobs are given in pieces, within the quota, and nothing is read for who may not have it."""

from hashlib import sha256
from pathlib import Path

import pytest

from node.mesh.transport import Lost
from node.models.serve import BLOB, WANT_BYTES_MAX, Serving
from protocol.channel import NoFrame
from protocol.frames import BlobPiece, BlobWant, CancelFrame, DocumentFrame
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import DIGEST, WEIGHTS
from tests.node.work.pair import World, a_world

NAME = sha256(WEIGHTS).digest()


async def wanted(world: World, want: BlobWant) -> bytes | str:
    """Give what comes for a want: bytes, or the code of the refusal."""
    async with world.bob.wire(world.ann.public, BLOB) as wire:
        await wire.send(want)
        data = b""
        while len(data) < want.size_bytes:
            frame = await wire.receive()
            if isinstance(frame, CancelFrame):
                assert await wire.receive() is NoFrame.CLOSED
                return frame.reason
            assert isinstance(frame, BlobPiece)
            assert (frame.digest, frame.offset) == (want.digest, want.offset + len(data))
            data += frame.data
        return data


@in_virtual_time
async def test_a_part_of_a_blob_is_given_from_where_it_is_wanted(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        world.ann.library.lend(DIGEST, world.bob.public)
        assert await wanted(world, BlobWant(NAME, 100, 5000)) == WEIGHTS[100:5100]
        assert await wanted(world, BlobWant(NAME, 0, len(WEIGHTS))) == WEIGHTS


@in_virtual_time
async def test_what_is_not_given_is_said_and_ends_the_stream(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        assert await wanted(world, BlobWant(NAME, 0, 10)) == Reason.NOT_FOUND
        world.ann.library.lend(DIGEST, world.bob.public)
        assert await wanted(world, BlobWant(b"?" * 32, 0, 10)) == Reason.NOT_FOUND
        assert await wanted(world, BlobWant(NAME, len(WEIGHTS), 10)) == Reason.NOT_FOUND
        assert await wanted(world, BlobWant(NAME, 0, WANT_BYTES_MAX + 1)) == Reason.TOO_LARGE
        (world.ann.folder / "blobs" / NAME.hex()).unlink()
        assert await wanted(world, BlobWant(NAME, 0, 10)) == Reason.NOT_FOUND


@in_virtual_time
async def test_the_quota_counts_what_is_sent_and_no_more(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        world.ann.library.lend(DIGEST, world.bob.public)
        taken: list[int] = []

        def may_send(size_bytes: int) -> tuple[Reason | None, str]:
            if sum(taken) + size_bytes > len(WEIGHTS):
                return Reason.QUOTA_SPENT, "enough for today"
            taken.append(size_bytes)
            return None, ""

        world.ann.serving = Serving(world.ann.library, may_send)
        # More is wanted than there is: what is not there is not counted.
        async with world.bob.wire(world.ann.public, BLOB) as wire:
            await wire.send(BlobWant(NAME, 1000, WANT_BYTES_MAX))
            frame = await wire.receive()
            assert isinstance(frame, BlobPiece)
        assert taken == [len(WEIGHTS) - 1000]
        assert await wanted(world, BlobWant(NAME, 0, 1001)) == Reason.QUOTA_SPENT
        assert await wanted(world, BlobWant(NAME, 0, 1000)) == WEIGHTS[:1000]


@in_virtual_time
async def test_anything_but_a_want_is_blamed(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        async with world.bob.wire(world.ann.public, BLOB) as wire:
            await wire.send(DocumentFrame(b"give me all"))
            with pytest.raises(Lost):
                await wire.take(BlobPiece)
        assert [reason for _, reason, _ in world.ann.blamed] == [Reason.UNEXPECTED]
