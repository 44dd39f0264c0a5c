# SPDX-License-Identifier: MIT
"""Room for a model: what peers brought and nobody uses goes, and nothing that is somebody's."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import trio

from node.models.library import AtHand, Library
from node.models.room import LOOSE_S_MIN, UNUSED_S_MIN, make_room
from protocol.canon import encode
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import DIGEST, WEIGHTS, manifest
from tests.node.work.pair import Node, a_world

SIZE = 1 << 20
HUGE = 1 << 60


async def put(node: Node, name: str, weights: bytes = b"", origin: str = "ab") -> AtHand:
    """Put a model with weights of its own onto the shelf."""
    weights = weights or sha256(name.encode()).digest() * (SIZE // 32)
    folder = node.folder / "blobs"
    (folder / sha256(weights).hexdigest()).write_bytes(weights)
    body = encode(replace(manifest(fetched_weights=weights), name=name))
    return await node.library.add(body, origin=origin, ours=not origin)


def names(library: Library) -> list[str]:
    return sorted(each.manifest.name for each in library)


def with_a_node(test: Callable[[Node], Awaitable[None]], folder: Path) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(folder) as world:
            await world.start(world.ann)
            await test(world.ann)

    run()


def test_the_longest_unused_goes_first_and_no_more_than_it_takes(tmp_path: Path) -> None:
    async def test(ann: Node) -> None:
        models = []
        for name in "abc":
            models.append(await put(ann, name))
            await trio.sleep(10)
        ann.library.listed.used(models[0].digest)
        await trio.sleep(UNUSED_S_MIN)
        before = ann.library.blobs.total_bytes()
        gone = await make_room(ann.library, SIZE // 2, ())
        assert [each.manifest.name for each in gone] == ["b"]
        assert names(ann.library) == ["a", "c", "model of a pair"]
        assert before - ann.library.blobs.total_bytes() >= SIZE
        assert not models[1].folder.exists()
        assert models[0].folder.exists()

    with_a_node(test, tmp_path)


def test_what_is_ours_or_served_or_in_use_or_used_just_now_stays(tmp_path: Path) -> None:
    async def test(ann: Node) -> None:
        in_use = await put(ann, "in use")
        await put(ann, "ours", origin="")
        served = await put(ann, "served")
        await ann.library.add(
            encode(served.manifest), origin="", ours=True, served=True
        )  # by its owner's word
        goes = await put(ann, "goes")
        await trio.sleep(UNUSED_S_MIN)
        await put(ann, "just now")
        assert await make_room(ann.library, 2 * SIZE, {in_use.digest}) == []
        assert goes.folder.exists(), "where it does not suffice nothing goes"
        assert await make_room(ann.library, SIZE, {in_use.digest}) == [goes]
        assert names(ann.library) == ["in use", "just now", "model of a pair", "ours", "served"]

    with_a_node(test, tmp_path)


def test_what_a_model_that_stays_is_made_of_stays(tmp_path: Path) -> None:
    """A stranger's model may be ours under another name: blobs and folder are the same."""

    async def test(ann: Node) -> None:
        ours = ann.model()
        theirs = await put(ann, "theirs", WEIGHTS)
        assert theirs.folder == ours.folder
        await trio.sleep(UNUSED_S_MIN)
        assert await make_room(ann.library, len(encode(theirs.manifest)), ()) == [theirs]
        assert ours.folder.exists()
        assert ann.library.blobs.has(sha256(WEIGHTS).digest())
        assert await ann.library.open() == []
        assert ann.library.find(DIGEST)

    with_a_node(test, tmp_path)


def test_a_model_that_is_just_coming_keeps_the_blobs_that_it_counts_on(tmp_path: Path) -> None:
    async def test(ann: Node) -> None:
        model = await put(ann, "old")
        (weights,) = [each.blob for each in model.manifest.tensors]
        await trio.sleep(UNUSED_S_MIN)
        with ann.library.lending.holding([weights]):
            assert await make_room(ann.library, SIZE, ()) == []
        assert await make_room(ann.library, SIZE, ()) == [model]

    with_a_node(test, tmp_path)


def test_blobs_of_no_model_go_when_nobody_came_back_for_them(tmp_path: Path) -> None:
    async def test(ann: Node) -> None:
        blobs, now_s = ann.library.blobs, ann.clock.now().wall_s
        left = [sha256(each).digest() for each in (b"old", b"new")]
        for digest, age_s in zip(left, (LOOSE_S_MIN, LOOSE_S_MIN / 2), strict=True):
            blobs.path(digest).write_bytes(bytes(SIZE))
            blobs.used(digest, now_s - age_s)
        assert await make_room(ann.library, SIZE, ()) == []
        assert [blobs.has(each) for each in left] == [False, True]

    with_a_node(test, tmp_path)


def test_when_a_model_was_used_is_known_after_a_restart(tmp_path: Path) -> None:
    async def test(ann: Node) -> None:
        listed = ann.library.listed
        await trio.sleep(1000)
        listed.used(DIGEST)
        listed.used(b"nobody's")
        used_s = listed.last_used_s(DIGEST)
        await ann.machine.write(listed.uses())
        assert listed.uses() == []
        again = Library(ann.machine, ann.folder / "blobs", ann.folder / "models", ann.clock)
        await again.open()
        await trio.sleep(1000)
        assert again.listed.last_used_s(DIGEST) == used_s > 0

    with_a_node(test, tmp_path)
