# SPDX-License-Identifier: MIT
"""Models at hand: kept over a restart, looked at before they are run, shown to nobody else."""

from hashlib import sha256
from pathlib import Path

import pytest
import trio

from node.models.lending import LENT_MAX
from node.models.library import REFUSED_MAX, Library
from protocol.errors import Refused, RemoteProtocolError
from protocol.model import Manifest
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import BODY, DIGEST, GRAPH, WEIGHTS, WIDTH
from tests.node.work.pair import Node, a_world

ANN, EVE = b"a" * 32, b"e" * 32


async def again(node: Node) -> Library:
    """A library on what an earlier one has left."""
    node.crash()
    await node.down.wait()
    await node.world.start(node)
    return node.library


@in_virtual_time
async def test_a_model_is_there_after_a_restart(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        before = world.ann.model()
        world.ann.knows = False
        library = await again(world.ann)
        assert library.find(DIGEST) == before
        assert [each.manifest.name for each in library] == ["model of a pair"]


@in_virtual_time
async def test_a_model_that_lost_a_blob_is_gone_and_said_so(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start(world.ann)
        ann = world.ann
        blobs = ann.folder / "blobs"
        (blobs / sha256(WEIGHTS).hexdigest()).unlink()
        for folder in (ann.folder / "models").iterdir():
            for file in folder.iterdir():
                file.unlink()
        library = Library(ann.machine, blobs, ann.folder / "models", ann.clock)
        assert await library.open() == ["model of a pair"]
        assert library.find(DIGEST) is None
        assert await library.open() == []


@in_virtual_time
async def test_what_was_not_finished_is_removed_at_the_start(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        left = world.ann.folder / "blobs" / ".unfinished-x"
        left.mkdir()
        await world.start(world.ann)
        assert not left.exists()


@in_virtual_time
async def test_a_strangers_model_is_looked_at_once_and_a_refusal_is_remembered(
    tmp_path: Path,
) -> None:
    looked: list[str] = []

    async def look(manifest: Manifest, graph: Path) -> None:
        await trio.lowlevel.checkpoint()
        looked.append(graph.name)
        raise Refused(Reason.MODEL_REFUSED, f"{manifest.name} has a loop")

    async with a_world(tmp_path) as world:
        world.bob.knows = False
        world.bob.look = look
        await world.start(world.bob)
        library = world.bob.library
        with pytest.raises(Refused, match="has a loop"):
            await library.add(BODY, origin=ANN.hex())
        with pytest.raises(Refused, match="has a loop"):
            library.find(DIGEST)
        assert looked == [sha256(GRAPH).hexdigest()]
        for number in range(REFUSED_MAX + 5):
            library.refuse(number.to_bytes(32, "big"), Refused(Reason.MODEL_REFUSED))
        assert len(library._refused) == REFUSED_MAX


@in_virtual_time
async def test_blobs_are_for_those_who_were_given_an_order(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start(world.ann)
        library = world.ann.library
        graph, weights = sha256(GRAPH).digest(), sha256(WEIGHTS).digest()
        names = (DIGEST, graph, weights)
        assert [library.size_for(each, EVE) for each in names] == [None] * 3
        library.lend(DIGEST, ANN)
        assert [library.size_for(each, ANN) for each in names] == [
            *(len(BODY), len(GRAPH), len(WEIGHTS))
        ]
        assert [library.size_for(each, EVE) for each in names] == [None] * 3
        assert library.size_for(b"?" * 32, ANN) is None
        for number in range(LENT_MAX):
            library.lend(DIGEST, number.to_bytes(32, "big"))
        assert library.size_for(graph, ANN) is None


@in_virtual_time
async def test_a_served_model_is_for_everybody_also_after_a_restart(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start(world.ann)
        await world.ann.library.add(BODY, origin="", ours=True, served=True)
        assert world.ann.library.size_for(DIGEST, EVE) == len(BODY)
        library = await again(world.ann)
        assert library.size_for(DIGEST, EVE) == len(BODY)
        await library.remove(DIGEST)
        assert library.size_for(DIGEST, EVE) is None
        assert library.find(DIGEST) is None


@in_virtual_time
async def test_a_price_follows_from_the_shape(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start(world.ann)
        model = world.ann.model()
        assert model.price(((2, WIDTH),)) == 50_002
        with pytest.raises(RemoteProtocolError) as error:
            model.price(((2, WIDTH + 1),))
        assert error.value.reason is Reason.INPUT_DEVIATES
        assert model.model().memory_bytes == 0


@in_virtual_time
async def test_a_model_of_ours_stays_ours_when_a_peer_brings_it_too(tmp_path: Path) -> None:
    """It was added while it was fetched: else it could be let go, and lost what was measured."""
    async with a_world(tmp_path) as world:
        await world.start(world.ann)
        library = world.ann.library
        ours = await library.add(BODY, origin="", ours=True, batchable=True)
        assert await library.add(BODY, origin=EVE.hex()) is ours
        assert library.lending.is_kept(DIGEST)
        assert not library.lending.may_know(DIGEST, EVE)
