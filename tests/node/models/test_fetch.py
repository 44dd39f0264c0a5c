# SPDX-License-Identifier: MIT
"""A model comes from one peer: verified, bounded, and from where an earlier try has ended."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from node.mesh.framed import Framed
from node.mesh.transport import Lost
from node.models import fetch as fetching
from node.models.fetch import fetch
from node.models.library import AtHand, remove_old_parts
from node.models.serve import WANT_BYTES_MAX
from protocol.canon import encode
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import BLOB_DATA_BYTES_MAX, BlobPiece, BlobWant, CancelFrame, Ping
from protocol.model import Manifest
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import BODY, DIGEST, GRAPH, WEIGHTS, manifest
from tests.node.work.pair import Seen, World, a_world, may_all

Serves = Callable[[Seen, Framed], Awaitable[None]]


def knows_nothing(world: World) -> Path:
    """bob has no model; give his folder of blobs."""
    world.bob.knows = False
    return world.bob.folder / "blobs"


async def bring(
    world: World, model: bytes = DIGEST, may_fetch: fetching.MayFetch = may_all
) -> AtHand:
    bob, ann = world.bob, world.ann
    wire: Callable[[bytes, str], AbstractAsyncContextManager[Framed]] = bob.wire
    return await fetch(bob.library, wire, ann.public, model, may_fetch)


async def _asked(asked: list[int], size_bytes: int) -> tuple[Reason | None, str]:
    await trio.lowlevel.checkpoint()
    asked.append(size_bytes)
    return None, ""


async def _spent(_size_bytes: int) -> tuple[Reason | None, str]:
    await trio.lowlevel.checkpoint()
    return Reason.QUOTA_SPENT, "enough for today"


async def give(world: World, body: bytes, **blobs: bytes) -> bytes:
    """Put any model onto ann's shelf, and let bob have it."""
    folder = world.ann.folder / "blobs"
    for data in blobs.values():
        (folder / sha256(data).hexdigest()).write_bytes(data)
    shelved = await world.ann.library.add(body, origin="", ours=True)
    world.ann.library.lend(shelved.digest, world.bob.public)
    return shelved.digest


@in_virtual_time
async def test_a_model_that_is_lent_comes_whole_and_can_be_run(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        blobs = knows_nothing(world)
        await world.start()
        world.ann.library.lend(DIGEST, world.bob.public)
        asked: list[int] = []
        taken = await bring(world, may_fetch=partial(_asked, asked))
        assert taken.digest == DIGEST
        assert taken.folder.is_dir()
        assert world.bob.library.find(DIGEST) is taken
        assert asked == [len(GRAPH) + len(WEIGHTS)]
        assert (blobs / sha256(WEIGHTS).hexdigest()).read_bytes() == WEIGHTS
        assert not list(blobs.glob("*.part"))


@in_virtual_time
async def test_what_is_here_already_is_not_fetched_again(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        blobs = knows_nothing(world)
        await world.start()
        world.ann.library.lend(DIGEST, world.bob.public)
        (blobs / sha256(WEIGHTS).hexdigest()).write_bytes(WEIGHTS)
        asked: list[int] = []
        await bring(world, may_fetch=partial(_asked, asked))
        assert asked == [len(GRAPH)]


@in_virtual_time
async def test_a_model_that_is_not_lent_does_not_exist_for_others(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        knows_nothing(world)
        await world.start()
        refusals = []
        for name in (DIGEST, sha256(GRAPH).digest(), b"?" * 32):
            with pytest.raises(Refused) as refused:
                await bring(world, name)
            refusals.append(str(refused.value))
        assert len(set(refusals)) == 1


@in_virtual_time
async def test_nothing_is_asked_for_beyond_what_may_be_fetched(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        blobs = knows_nothing(world)
        await world.start()
        world.ann.library.lend(DIGEST, world.bob.public)
        with pytest.raises(Refused) as refused:
            await bring(world, may_fetch=_spent)
        assert refused.value.reason is Reason.QUOTA_SPENT
        assert list(blobs.iterdir()) == []


@in_virtual_time
async def test_after_a_loss_it_goes_on_where_it_was(tmp_path: Path) -> None:
    weights = bytes(range(256)) * 4096 * 6  # one want and a half
    body = encode(manifest(fetched_weights=weights))
    async with a_world(tmp_path) as world:
        blobs = knows_nothing(world)
        await world.start()
        model = await give(world, body, weights=weights)
        served: list[int] = []

        def on_step(node: object, what: str) -> None:
            if node is world.ann and what == "send":
                served.append(1)
                if len(served) == 90:
                    world.part()

        world.on_step = on_step
        with pytest.raises(Lost):
            await bring(world, model)
        (part,) = blobs.glob("*.part")
        there = part.stat().st_size
        assert there > WANT_BYTES_MAX
        asked: list[bytes] = []
        serve = world.ann.serving._give

        async def spied(peer: bytes, wire: Framed, digest: bytes, offset: int, n: int) -> object:
            asked.append(offset.to_bytes(8, "big"))
            return await serve(peer, wire, digest, offset, n)

        world.ann.serving._give = spied  # type: ignore[method-assign,assignment]  # spied upon
        taken = await bring(world, model)
        assert taken.digest == model
        assert [int.from_bytes(each, "big") for each in asked] == [0, there]


def lying(test: Callable[[World], Awaitable[None]], folder: Path, serves: Serves) -> None:
    """Let ann's blobs be served by somebody else."""

    @in_virtual_time
    async def run() -> None:
        async with a_world(folder) as world:
            knows_nothing(world)
            await world.start()
            world.ann.serving.serve = serves  # type: ignore[method-assign,assignment]  # a liar
            await test(world)

    run()


async def _pieces(wire: Framed, want: BlobWant, data: bytes) -> None:
    for at in range(0, len(data), BLOB_DATA_BYTES_MAX):
        await wire.send(
            BlobPiece(want.digest, want.offset + at, data[at : at + BLOB_DATA_BYTES_MAX])
        )


LIES = ["other", "offset", "named", "more", "kind", "manifest", "endless"]


@pytest.mark.parametrize("lie", LIES)
def test_other_bytes_are_found_and_thrown_away(tmp_path: Path, lie: str) -> None:
    async def serves(_peer: Seen, wire: Framed) -> None:
        while isinstance(want := await wire.receive(), BlobWant):
            real = {sha256(each).digest(): each for each in (BODY, GRAPH, WEIGHTS)}
            data = real[want.digest][want.offset :][: want.size_bytes]
            if want.digest == DIGEST:
                if lie == "endless":
                    data = bytes(1 << 20)
                if lie == "manifest":
                    data = data[:-1] + b"?"
            elif lie == "other":
                data = bytes(len(data))
            elif lie == "offset":
                await wire.send(BlobPiece(want.digest, want.offset + 1, data[1:]))
            elif lie == "named":
                await wire.send(BlobPiece(b"?" * 32, want.offset, data))
            elif lie == "more":
                await wire.send(BlobPiece(want.digest, want.offset, data + b"!"))
            elif lie == "kind":
                await wire.send(BlobWant(want.digest, 0, 1))
            await _pieces(wire, want, data)
            if lie == "manifest":
                await wire.end()
                return

    async def test(world: World) -> None:
        with pytest.raises((RemoteProtocolError, Lost)) as error:
            await bring(world)
        if lie != "manifest":
            assert isinstance(error.value, RemoteProtocolError)
            wrong = lie in ("other", "endless")
            assert error.value.reason is (Reason.BAD_PROOF if wrong else Reason.UNEXPECTED)
        folder = world.bob.folder / "blobs"
        assert not (folder / sha256(WEIGHTS).hexdigest()).exists()
        assert world.bob.library.find(DIGEST) is None

    lying(test, tmp_path, serves)


@pytest.mark.parametrize("how", ["silent", "pings", "slow"])
def test_a_peer_that_gives_nothing_is_not_waited_for(tmp_path: Path, how: str) -> None:
    async def serves(_peer: Seen, wire: Framed) -> None:
        want = await wire.receive()
        assert isinstance(want, BlobWant)
        for at in range(10**6):
            await trio.sleep(20 if how == "slow" else 5)
            if how == "pings":
                await wire.send(Ping(at))
            elif how == "slow":
                await wire.send(BlobPiece(want.digest, at, b"?"))

    async def test(world: World) -> None:
        with pytest.raises(Lost):
            await bring(world)
        assert trio.current_time() < 400

    lying(test, tmp_path, serves)


@in_virtual_time
async def test_a_manifest_that_names_too_much_is_refused_by_its_sizes(tmp_path: Path) -> None:
    async def refused(made: Manifest) -> Reason:
        body = encode(made)

        async def serves(_peer: Seen, wire: Framed) -> None:
            want = await wire.receive()
            assert isinstance(want, BlobWant)
            await _pieces(wire, want, body)
            await wire.receive()
            await wire.send(CancelFrame(Reason.NOT_FOUND.value))

        world.ann.serving.serve = serves  # type: ignore[method-assign,assignment]  # a liar
        with pytest.raises(Refused) as error:
            await bring(world, sha256(body).digest())
        return error.value.reason

    async with a_world(tmp_path) as world:
        knows_nothing(world)
        await world.start()
        assert await refused(replace(manifest(), graph_bytes=1 << 40)) is Reason.TOO_LARGE


def test_parts_that_nobody_came_back_for_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / f"{'a' * 64}.part", tmp_path / f"{'b' * 64}.part"
    for part in (old, new):
        part.write_bytes(b"half")
    now_s = new.stat().st_mtime
    os.utime(old, (now_s - 90_000, now_s - 90_000))
    remove_old_parts(tmp_path, now_s)
    assert not old.exists()
    assert new.exists()
