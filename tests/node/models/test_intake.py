# SPDX-License-Identifier: MIT
"""A file becomes blobs and a manifest, or one sentence that says what is against it."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, external_data_helper

from node.models import inspector
from node.models.dialogue import Piece, Task
from node.models.folder import GRAPH_NAME, make_folder
from node.models.incoming import Blob, remove_unfinished
from node.models.intake import TakenIn, _compare, inspect, take_in
from node.models.policy import LOCAL, NORMAL_BYTES_MAX, STRANGER, Policy
from node.models.source import Source
from protocol.canon import decode, encode
from protocol.compare import EXACT, F32
from protocol.errors import Refused
from protocol.model import ADAPTER, Manifest, StageBlob, TensorBlob
from protocol.ports import Derived, StatePair
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from tests.node.models.small import Box, doing, external, having, model, node, relu, tensor
from tests.node.models.test_inspector import snapshot
from tests.node.models.test_normalise import results
from tests.tree import ROOT

WEIGHTS = model(
    "mlp (float[N, 32] x) => (float[N, 32] y) { a = MatMul(x, w)  b = Relu(a)  y = MatMul(b, v) }"
)
for name, start in (("w", 0), ("v", 1)):
    DATA = b"".join(((place + start) % 251).to_bytes(4, "little") for place in range(1024))
    WEIGHTS.graph.initializer.append(tensor(name, dims=(32, 32), raw_data=DATA))


def saved(made: ModelProto, folder: Path, *, file: str = "") -> Path:
    """Save a model as people do, its tensors in a file of their own if that has a name."""
    copy = ModelProto()
    copy.CopyFrom(made)
    path = folder / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    if file:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        external_data_helper.convert_model_to_external_data(copy, location=file, size_threshold=0)
        external_data_helper.write_external_data_tensors(copy, str(folder))
    path.write_bytes(copy.SerializeToString())
    return path


async def taken(path: Path, policy: Policy = STRANGER, name: str = "") -> TakenIn:
    return await take_in(path, path.parent / "blobs", policy=policy, name=name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("file", ["", "weights.bin", "deep/er/weights"])
async def test_a_model_becomes_blobs_and_a_manifest(tmp_path: Path, file: str) -> None:
    path = saved(WEIGHTS, tmp_path, file=file)
    before = snapshot(tmp_path)
    got = await taken(path)
    blobs = path.parent / "blobs"
    for blob in blobs.iterdir():
        assert sha256(blob.read_bytes()).hexdigest() == blob.name
        assert blob.stat().st_mode & 0o777 == 0o444
    assert names(blobs) == sorted([got.graph.hex(), *(each.blob.hex() for each in got.tensors)])
    assert [(each.name, each.size_bytes) for each in got.tensors] == [("v", 4096), ("w", 4096)]
    assert (got.at_best, got.only_here, got.problems) == (F32, "", ())
    manifest = got.manifest
    assert manifest
    assert (manifest.name, manifest.symbols, manifest.tensors) == ("model", ("N",), got.tensors)
    assert (manifest.graph, manifest.graph_bytes) == (got.graph, got.graph_bytes)
    assert (manifest.comparator, manifest.price_version) == (EXACT, PRICE_VERSION)
    assert encode(manifest)
    assert {**snapshot(tmp_path), **before} == snapshot(tmp_path)
    await inspect(manifest, blobs / got.graph.hex())


@pytest.mark.slow
async def test_the_folder_of_what_was_taken_in_runs_as_the_file_did(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path, file="weights.bin")
    folder = make_folder(await taken(path), tmp_path / "blobs", tmp_path / "folders")
    feeds = {"x": np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)}
    before, after = (results(each, feeds) for each in (path, folder / GRAPH_NAME))
    np.testing.assert_array_equal(before[0], after[0])


@pytest.mark.slow
async def test_the_same_model_is_the_same_blobs_wherever_its_tensors_were(tmp_path: Path) -> None:
    one = await taken(saved(WEIGHTS, tmp_path / "one"))
    two = await taken(saved(WEIGHTS, tmp_path / "two", file="w.bin"), name="model")
    assert one == two


@pytest.mark.slow
async def test_blobs_that_are_there_are_used_again_and_rotten_ones_replaced(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path)
    got = await taken(path)
    whole, rotten = (tmp_path / "blobs" / each.blob.hex() for each in got.tensors)
    data = rotten.read_bytes()
    rotten.unlink()
    rotten.write_bytes(b"x" + data[1:])
    inode = whole.stat().st_ino
    assert await taken(path) == got
    assert whole.stat().st_ino == inode
    assert rotten.read_bytes() == data
    assert len(names(tmp_path / "blobs")) == 3


@pytest.mark.slow
async def test_what_has_no_price_runs_here_and_says_so(tmp_path: Path) -> None:
    unpriced = doing(node("NonZero"))
    unpriced.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    path = saved(unpriced, tmp_path)
    got = await taken(path, LOCAL)
    assert got.manifest is None
    assert got.only_here == ""
    assert [each.split(":")[0] for each in got.problems] == ["not_priceable"]
    with pytest.raises(Refused) as caught:
        await taken(path, STRANGER)
    assert caught.value.reason is Reason.NOT_PRICEABLE


@pytest.mark.slow
async def test_what_strangers_do_not_take_says_why(tmp_path: Path) -> None:
    got = await taken(saved(doing(node("Bernoulli")), tmp_path), LOCAL)
    assert "may run for ever, or differently" in got.only_here
    with pytest.raises(Refused, match="may run for ever, or differently"):
        await taken(tmp_path / "model.onnx", STRANGER)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "name"), [("a\nb", "ab"), ("é" * 50, "é" * 32), ("\n", "model")])
async def test_a_model_is_called_as_its_file_as_far_as_that_goes(
    tmp_path: Path, file: str, name: str
) -> None:
    path = saved(relu(), tmp_path).rename(tmp_path / f"{file}.onnx")
    got = await taken(path)
    assert got.manifest
    assert got.manifest.name == name
    named = await taken(path, name="mine")
    assert named.manifest == replace(got.manifest, name="mine")


async def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no name for a model"):
        await taken(saved(relu(), tmp_path), name="x" * 65)


# --- what cannot be taken in ----------------------------------------------------------------


def sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 31)


@pytest.mark.parametrize(
    ("make", "says", "reason"),
    [
        (lambda _: None, "there is no such file", Reason.MODEL_REFUSED),
        (Path.mkdir, "is a folder: name the .onnx file in it", Reason.MODEL_REFUSED),
        (Path.touch, "is empty", Reason.MODEL_REFUSED),
        (os.mkfifo, "is no ordinary file", Reason.MODEL_REFUSED),
        (sparse_file, "2147483648 bytes, at most 2147483647: save it with", Reason.TOO_LARGE),
    ],
)
async def test_what_is_no_file_of_a_graph_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], says: str, reason: Reason
) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    with pytest.raises(Refused, match=says) as caught:
        await taken(path)
    assert caught.value.reason is reason
    assert not (tmp_path / "blobs").exists()


async def test_a_file_that_may_not_be_read_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = saved(relu(), tmp_path)
    monkeypatch.setattr("node.models.source.os.open", denied)  # for root every file can be read
    with pytest.raises(Refused, match=r"model\.onnx: this user may not read it"):
        await taken(path)


async def test_a_file_of_the_runtimes_own_format_is_refused_by_its_name(tmp_path: Path) -> None:
    path = saved(relu(), tmp_path).rename(tmp_path / "model.ORT")
    with pytest.raises(Refused, match="ONNX Runtime's own format"):
        await taken(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x20\x00\x00\x00ORTM" + bytes(64), "an .ort file"),
        (b"<!DOCTYPE html><html>", "not an ONNX file"),
        (WEIGHTS.SerializeToString()[:-10], "not an ONNX file, cut off"),
    ],
)
async def test_what_is_no_graph_inside_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(Refused, match=says):
        await taken(path)
    assert names(tmp_path / "blobs") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"location": "../secret"}, "outside the folder"),
        ({"location": "link"}, "a symbolic link"),
        ({"location": "linked/secret"}, "a symbolic link"),
        ({"location": "gone"}, "there is no such file"),
        ({"location": "gone/w"}, "there is no such file"),
        ({"location": "blobs"}, "no ordinary file"),
        ({"location": "short"}, "short is cut off: 4095 bytes, of 4096"),
        ({"location": "model.onnx", "offset": "9223372036854775807"}, "cut off"),
    ],
)
async def test_external_data_comes_from_beside_the_graph_or_not_at_all(
    tmp_path: Path, entries: dict[str, str], says: str
) -> None:
    folder = tmp_path / "models"
    path = saved(having(external((1024,), entries=entries)), folder)
    (tmp_path / "secret").write_bytes(bytes(4096))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "short").write_bytes(bytes(4095))
    with pytest.raises(Refused, match=says):
        await taken(path)
    assert names(folder / "blobs") == []


@pytest.mark.slow
async def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Blob, __: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Blob, "write", full)
    with pytest.raises(OSError, match="the disk is full: free some space") as caught:
        await taken(saved(WEIGHTS, tmp_path, file="w.bin"))
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path / "blobs") == []


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path, file="w.bin")
    piece = Piece(True, "w.bin", 0, 4096)
    for changed in (path, tmp_path / "w.bin"):
        with Source(path) as source:
            with source.piece(piece):
                pass
            source.check_unchanged()
            os.utime(changed, ns=(1, 1))
            with pytest.raises(Refused, match="changed while it was read"):
                source.check_unchanged()
    with Source(path) as source:
        with source.piece(piece):
            pass
        (tmp_path / "w.bin").write_bytes(bytes(8193))
        with pytest.raises(Refused, match="changed while"), source.piece(piece):
            pass


def test_what_a_killed_daemon_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "1").write_bytes(b"half")
    (tmp_path / "blob").write_bytes(b"whole")
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "nothing")
    assert names(tmp_path) == ["blob"]


# --- claims of strangers --------------------------------------------------------------------

Lie = Callable[[Manifest], Manifest]
TASK = Task("intake", "stranger", 0, "mlp")


def cheaper(manifest: Manifest) -> Manifest:
    first, *rest = manifest.terms
    less = replace(first, coefficient=first.coefficient - 1)
    return replace(manifest, terms=(less, *rest))


def with_tensor(manifest: Manifest) -> Manifest:
    return replace(manifest, tensors=(*manifest.tensors, TensorBlob("x", bytes(32), 4096)))


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (cheaper, "other terms of its price"),
        (with_tensor, "other tensors"),
        (lambda true: replace(true, states=(StatePair(0, 1),)), "other states"),
        (lambda true: replace(true, tensors=()), "other tensors"),
        (lambda true: replace(true, symbols=("M",)), "other symbols"),
        (lambda true: replace(true, derived=(Derived(0, 1, 0, 0, 1, 0, 1),)), "other derived"),
        (lambda true: replace(true, ports=true.ports[::-1]), "other ports"),
        (lambda true: replace(true, dims=true.dims[1:]), "other dimensions"),
        (lambda true: replace(true, costs=true.costs[1:]), "other costs"),
        (lambda true: replace(true, price_version=99), "version 99 of the price table"),
    ],
)
def test_a_claim_that_is_not_true_is_refused(lie: Lie, says: str) -> None:
    copy = ModelProto()
    copy.CopyFrom(WEIGHTS)
    true = decode(inspector.take_in(TASK, copy, Box()).manifest, Manifest)
    _compare(replace(true, name="whatever it is called"), true)
    with pytest.raises(Refused, match=says):
        _compare(lie(true), true)


def test_the_whole_model_of_a_cut_is_what_is_compared() -> None:
    """The rows of stages come after those of the whole model, whose graph this is."""
    true = decode(inspector.take_in(TASK, relu(), Box()).manifest, Manifest)
    stage = tuple(replace(port, stage=1) for port in true.ports)
    cut = replace(true, stages=(StageBlob(bytes(32), 1),), ports=(*true.ports, *stage))
    _compare(cut, true)
    with pytest.raises(Refused, match="other ports"):
        _compare(replace(cut, ports=stage), true)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (cheaper, "other terms of its price"),
        (lambda true: replace(true, graph=bytes(32)), "the digest of the manifest"),
        (lambda true: replace(true, graph_bytes=1), "the digest of the manifest"),
        (lambda true: replace(true, graph_bytes=NORMAL_BYTES_MAX + 1), "at most"),
        (lambda true: replace(true, graph=b"", kind=ADAPTER), "an adapter has no graph"),
    ],
)
async def test_a_graph_that_is_not_as_claimed_is_refused(
    tmp_path: Path, lie: Lie, says: str
) -> None:
    got = await taken(saved(WEIGHTS, tmp_path))
    assert got.manifest
    with pytest.raises(Refused, match=says):
        await inspect(lie(got.manifest), tmp_path / "blobs" / got.graph.hex())


@pytest.mark.slow
async def test_a_graph_of_a_stranger_is_normal_or_refused(tmp_path: Path) -> None:
    got = await taken(saved(relu(), tmp_path))
    assert got.manifest
    other = ModelProto()
    other.CopyFrom(relu())
    other.producer_name = "somebody"
    for made, says in ((other, "other bytes"), (doing(node("Loop")), "may run for ever")):
        path = tmp_path / "graph"
        path.write_bytes(made.SerializeToString())
        data = path.read_bytes()
        claims = replace(got.manifest, graph=sha256(data).digest(), graph_bytes=len(data))
        with pytest.raises(Refused, match=says):
            await inspect(claims, path)


@pytest.mark.slow
def test_the_daemons_side_knows_neither_onnx_nor_numpy() -> None:
    modules = "intake", "dialogue", "folder", "incoming", "policy", "source"
    heavy = {"onnx", "numpy", "onnxruntime", "google.protobuf"}
    imports = ", ".join(f"node.models.{each}" for each in modules)
    program = f"import sys, {imports}; print(*({heavy!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
