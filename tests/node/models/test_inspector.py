# SPDX-License-Identifier: MIT
"""The inspector reads what strangers wrote: it is contained, and whatever it says is checked."""

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node.models import incoming, inspector
from node.models.dialogue import (
    Done,
    Piece,
    Put,
    Task,
    Words,
    parse_words,
    refusal_bytes,
    words_bytes,
)
from node.models.intake import TakenIn, inspect, take_in
from node.models.policy import LOCAL
from node.models.precheck import parse
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.executor.test_throwaway import children, descriptors
from tests.node.models.small import Box, model
from tests.node.models.test_normalise import SAMPLES

BAD = "tests.node.models.bad_inspector"
NOSY = "tests.node.models.nosy_inspector"
UNCONFINED = "tests.node.models.unconfined_inspector"
SECRET = b"secret"

pytestmark = pytest.mark.slow

SMALL = model("small (float[N] x) => (float[N] y) { y = Relu(x) }")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of somebody's model; beside it lies what nobody may read."""
    folder = tmp_path / "models"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(SECRET)
    (folder / "graph.onnx").write_bytes(SMALL.SerializeToString())
    (folder / "weights").write_bytes(bytes(8192))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    return folder


def _mangled(place: int, byte: int) -> bytes:
    data = bytearray(words_bytes(DONE))
    data[place % len(data)] = byte
    return bytes(data)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below, with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


async def by(inspector: str, how: str, place: Path, deadline_s: float = 60.0) -> TakenIn:
    """Take the model in by an inspector that does as the model is called."""
    graph, blobs = place / "graph.onnx", place.parent / "blobs"
    return await take_in(
        graph, blobs, policy=LOCAL, name=how, inspector=inspector, deadline_s=deadline_s
    )


SAYS = {
    "outside": "outside the folder",
    "outside to read": "outside the folder",
    "deep outside": "outside the folder",
    "absolute": "outside the folder",
    "link": "a symbolic link",
    "linked folder": "a symbolic link",
    "hard name": "plain name",
    "folder": "no ordinary file",
    "pipe": "no ordinary file",
    "missing": "no such file",
    "beyond": "cut off: 8192 bytes, of 8193",
    "far beyond": "cut off",
    "reads much": "wants to read 4096 bytes",
    "negative": "the number -1",
    "greedy": "each byte of weights many times",
    "many": "more than 5 tensors",
    "too much": "more than was in the graph",
    "nonsense": "no msgpack",
    "a wrong word": "at this point",
    "a reason of others": "at this point",
    "nothing": "no msgpack",
    "flood": "a message of 4294967295 bytes",
    "streams on": "a message of 0 bytes|said",
    "overwrites": "Bad file descriptor",
    "leaves": "ended with code 0",
    "another graph": "blobs that it did not make",
    "another tensor": "blobs that it did not make",
    "another size": "blobs that it did not make",
    "half a tensor": "said",
    "a wrong comparator": "comparator 9",
    "a broken manifest": "a broken manifest",
    "hang": "was not done within",
    "starts a blob": "was not done within",
}


@pytest.mark.parametrize("how", SAYS)
async def test_an_inspector_that_was_taken_over_reaches_nothing(
    how: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "TENSORS_MAX", 5)
    before = snapshot(place.parent), children(), descriptors()
    deadline_s = 0.5 if "was not done" in SAYS[how] else 60.0
    with pytest.raises(Refused, match=SAYS[how]) as caught:
        await by(BAD, how, place, deadline_s)
    assert caught.value.reason in {Reason.MODEL_REFUSED, Reason.TOO_LARGE}
    assert list((place.parent / "blobs").iterdir()) == []
    assert (snapshot(place.parent), children(), descriptors()) == before


@pytest.mark.parametrize("how", ["another graph", "outside", "too much", "hang", "leaves"])
async def test_an_inspector_of_strangers_can_ask_for_nothing(how: str, place: Path) -> None:
    taken = await take_in(place / "graph.onnx", place.parent / "blobs", policy=LOCAL)
    assert taken.manifest
    graph = place.parent / "blobs" / taken.graph.hex()
    claims = replace(taken.manifest, name=how)
    with pytest.raises(Refused):
        await inspect(claims, graph, inspector=BAD, deadline_s=0.5 if how == "hang" else 60.0)


@pytest.mark.parametrize(
    "how",
    [
        *("read a file", "list a folder", "write a file", "look at the parent", "open a socket"),
        *("open a pair", "start a program", "fork", "kill the parent", "take all memory"),
    ],
)
async def test_whoever_takes_the_inspector_over_finds_nothing_to_reach(
    how: str, place: Path
) -> None:
    with pytest.raises(Refused, match=r"contained: (PermissionError|MemoryError|OSError)"):
        await by(NOSY, how, place)


async def test_without_a_sandbox_no_graph_of_a_stranger_is_read(place: Path) -> None:
    taken = await by(UNCONFINED, "of our own", place)
    assert taken.manifest
    graph = place.parent / "blobs" / taken.graph.hex()
    await inspect(taken.manifest, graph)
    with pytest.raises(Refused, match="cannot contain a stranger's graph: without landlock"):
        await inspect(taken.manifest, graph, inspector=UNCONFINED)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_a_graph_of_flipped_bits_is_refused_or_taken_in_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    """In this process, where anything but a refusal is seen at once."""
    whole = bytearray(SAMPLES[name].SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=8)):
        whole[place // 8] ^= 1 << place % 8
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for policy in ("stranger", "local"):
        with suppress(Refused):
            inspector.take_in(Task("intake", policy, len(cut), "any"), parse(cut), Box())
    with suppress(Refused):
        inspector.inspect(Task("inspect", "stranger", len(cut), "any", bytes(32)), cut)


@settings(max_examples=8)
@given(st.data())
def test_a_file_of_flipped_bits_is_refused_or_taken_in_by_the_real_one(data: st.DataObject) -> None:
    whole = bytearray(SAMPLES["functions"].SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=4)):
        whole[place // 8] ^= 1 << place % 8
    with TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        path.write_bytes(whole)
        with suppress(Refused):
            trio.run(partial(take_in, path, Path(folder, "blobs"), policy=LOCAL))


DONE = Done(bytes(32), (("w", b"d" * 32, 4096),), b"manifest", 2, "why", ("one", "two"))


@pytest.mark.parametrize("said", [Piece(True, "a/b", 7, 9), Piece(False, "w", 0, 0), Put(5), DONE])
def test_what_is_said_is_understood(said: Words) -> None:
    assert parse_words(words_bytes(said)) == said


def test_a_refusal_is_understood_and_made_one_line() -> None:
    said = Refused(Reason.NOT_PRICEABLE, "a\nb\x1b[31m\u202e" + "x" * 9000)
    with pytest.raises(Refused) as caught:
        parse_words(refusal_bytes(said))
    assert caught.value.reason is Reason.NOT_PRICEABLE
    assert caught.value.detail == "a b [31m " + "x" * 491


@given(st.binary(max_size=200) | st.builds(_mangled, st.integers(0, 400), st.integers(0, 255)))
def test_any_bytes_are_words_or_nonsense(data: bytes) -> None:
    with suppress(ValueError, Refused):
        assert isinstance(parse_words(data), Piece | Put | Done)


async def test_a_caller_that_leaves_takes_the_inspector_with_it(place: Path) -> None:
    before = children(), descriptors()
    with trio.move_on_after(0.3):
        await by(BAD, "hang", place)
    assert (children(), descriptors()) == before
    assert list((place.parent / "blobs").iterdir()) == []
