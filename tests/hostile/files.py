# SPDX-License-Identifier: MIT
"""Models that want files which are not theirs: weights outside the graph, and where they lie."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.hostile.gates import ANSWERS, BIG_AT_LOAD, REFUSED, at_load, at_precheck
from tests.hostile.graphs import (
    BOOL,
    UINT8,
    gives,
    graph,
    ints,
    model,
    node,
    port,
    put,
    secret_beside,
)
from tests.hostile.kinds import SECRET, Hostile, Plain

SIZE = len(SECRET)

# What a blob of our own would be called.
NAME = sha256(SECRET).hexdigest()


def outside(location: str, offset: object = 0, length: object = SIZE) -> TensorProto:
    """Give a weight of bytes that lie in a file."""
    tensor = TensorProto(name="w", data_type=UINT8, dims=[SIZE])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def gives_out(tensor: TensorProto) -> ModelProto:
    """Give a model that answers with its weight as it is."""
    return model([node("Identity", ["w"], ["y"])], [], [port("y", [SIZE], UINT8)], [tensor])


def _at(location: str, offset: object = 0, length: object = SIZE) -> Callable[[Path], None]:
    """Build a model whose weight lies there, with the secret beside its folder."""

    def build(folder: Path) -> None:
        secret_beside(folder)
        put(folder, gives_out(outside(location, offset, length)))

    return build


def absolute(folder: Path) -> None:
    put(folder, gives_out(outside(str(secret_beside(folder)))))


def up_and_down(folder: Path) -> None:
    (folder / "sub").mkdir()
    _at("sub/../../secret.bin")(folder)


def symlink(folder: Path) -> None:
    secret_beside(folder)
    (folder / NAME).symlink_to("../secret.bin")
    put(folder, gives_out(outside(NAME)))


def linked_folder(folder: Path) -> None:
    (folder / "sub").symlink_to("..")
    _at("sub/secret.bin")(folder)


def other_model(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / NAME).write_bytes(SECRET)
    (folder / NAME).symlink_to(f"../other/{NAME}")
    put(folder, gives_out(outside(NAME)))


def hard_link(folder: Path) -> None:
    os.link(secret_beside(folder), folder / ("0" * 64))
    put(folder, gives_out(outside("0" * 64)))


def fifo(folder: Path) -> None:
    os.mkfifo(folder / NAME)
    put(folder, gives_out(outside(NAME)))


def zeros_for_ever(folder: Path) -> None:
    (folder / NAME).symlink_to("/dev/zero")
    put(folder, gives_out(outside(NAME)))


def own_graph(folder: Path) -> None:
    tensor = outside("graph.onnx", 0, 64)
    tensor.dims[:] = [64]
    put(folder, gives_out(tensor))


def short(folder: Path) -> None:
    (folder / NAME).write_bytes(SECRET[:100])
    put(folder, gives_out(outside(NAME)))


def inside(offset: object = 0, length: object = SIZE) -> Callable[[Path], None]:
    """Build a model whose weight lies in its own folder, at some place of the file."""

    def build(folder: Path) -> None:
        (folder / NAME).write_bytes(bytes(SIZE))
        put(folder, gives_out(outside(NAME, offset, length)))

    return build


def said_twice(first: str, second: str) -> Callable[[Path], None]:
    """Build a model that names two places; each reader believes another one."""

    def build(folder: Path) -> None:
        secret_beside(folder)
        (folder / NAME).write_bytes(bytes(SIZE))
        tensor = outside(first)
        tensor.external_data.add(key="location", value=second)
        put(folder, gives_out(tensor))

    return build


def beside_its_data(folder: Path) -> None:
    """The data are in the graph, and are said to be in a file."""
    secret_beside(folder)
    tensor = outside("../secret.bin")
    tensor.raw_data = bytes(SIZE)
    put(folder, gives_out(tensor))


def not_said(folder: Path) -> None:
    """A place is named, but the tensor does not say that its data are elsewhere."""
    secret_beside(folder)
    tensor = outside("../secret.bin")
    tensor.data_location = TensorProto.DEFAULT
    put(folder, gives_out(tensor))


def in_attribute(folder: Path) -> None:
    secret_beside(folder)
    constant = node("Constant", [], ["y"], value=outside("../secret.bin"))
    put(folder, model([constant], [], [port("y", [SIZE], UINT8)]))


def in_sparse(folder: Path) -> None:
    secret_beside(folder)
    made = model([node("Identity", ["w"], ["y"])], [], [port("y", [SIZE], UINT8)])
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside("../secret.bin"))
    sparse.indices.CopyFrom(ints("", np.arange(SIZE)))
    sparse.dims.append(SIZE)
    put(folder, made)


def in_branch(folder: Path) -> None:
    secret_beside(folder)
    places = {"then": "../secret.bin", "other": "../secret.bin"}
    branches = [
        graph(
            [node("Identity", ["w"], [name])],
            [],
            [port(name, [SIZE], UINT8)],
            [outside(place)],
            name,
        )
        for name, place in places.items()
    ]
    choice = node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    put(folder, model([choice], [port("c", [], BOOL)], [port("y", [SIZE], UINT8)]))


def in_function(folder: Path) -> None:
    secret_beside(folder)
    constant = node("Constant", [], ["w"], value=outside("../secret.bin"))
    nodes = [constant, node("Identity", ["w"], ["y"])]
    opset = [helper.make_opsetid("", 21)]
    function = helper.make_function("local", "Quiet", [], ["y"], nodes, opset)
    call = node("Quiet", [], ["y"], domain="local")
    outputs = [port("y", [SIZE], UINT8)]
    put(folder, model([call], [], outputs, functions=[function], domains=[("local", 1)]))


def overlapping(folder: Path) -> None:
    (folder / NAME).write_bytes(bytes(SIZE + 8))
    first, second = outside(NAME), outside(NAME, 8)
    second.name = "v"
    made = model([node("Max", ["w", "v"], ["y"])], [], [port("y", [SIZE], UINT8)], [first, second])
    put(folder, made)


def other_checksum(folder: Path) -> None:
    (folder / NAME).write_bytes(bytes(SIZE))
    tensor = outside(NAME)
    tensor.external_data.add(key="checksum", value="0" * 40)
    put(folder, gives_out(tensor))


def giant_length(folder: Path) -> None:
    """A weight of 2 GB in a file with holes, which takes no room on the disk."""
    (folder / NAME).touch()
    os.truncate(folder / NAME, 2_000_000_000)
    tensor = outside(NAME, 0, 2_000_000_000)
    tensor.dims[:] = [2_000_000_000]
    put(folder, gives_out(tensor))


def _location(name: str, story: str, build: Callable[[Path], None], plain: Plain) -> Hostile:
    return at_precheck(name, story, build, plain, REFUSED)


_LOCATIONS: tuple[tuple[str, str, Callable[[Path], None], Plain], ...] = (
    ("absolute path", "A weight at an absolute path.", absolute, Plain.NOT_LOADED),
    ("path upwards", "A weight at ../secret.bin.", _at("../secret.bin"), Plain.NOT_LOADED),
    ("path down and up", "A weight at sub/../../secret.bin.", up_and_down, Plain.NOT_LOADED),
    (
        "path with backslashes",
        r"A weight at ..\secret.bin.",
        _at("..\\secret.bin"),
        Plain.NOT_LOADED,
    ),
    (
        "path with NUL",
        "A name, a NUL, and a path.",
        _at(f"{NAME}\0/../../secret.bin"),
        Plain.NOT_LOADED,
    ),
    ("path with a newline", "A newline and a path.", _at("\n../secret.bin"), Plain.NOT_LOADED),
    ("path with a scheme", "A weight at a URL.", _at("file:../secret.bin"), Plain.NOT_LOADED),
    ("very long path", "A path of a million bytes.", _at("a/" * 500_000), Plain.LOAD_HANGS),
    ("empty path", "A weight in a file without a name.", _at(""), Plain.NOT_LOADED),
    ("path to the folder", "A weight in the folder itself.", _at("."), Plain.NOT_LOADED),
    (
        "memory of the process",
        "A weight at an address.",
        _at("*/_ORT_MEM_ADDR_/*", 4096),
        Plain.NOT_LOADED,
    ),
    (
        "memory by file",
        "A weight in /proc/self/mem.",
        _at("/proc/self/mem", 4096),
        Plain.NOT_LOADED,
    ),
    ("symbolic link", "A blob that is a link out of the folder.", symlink, Plain.NOT_LOADED),
    (
        "linked folder",
        "A folder that is a link out of the folder.",
        linked_folder,
        Plain.NOT_LOADED,
    ),
    ("another model's blob", "A link to a blob of another model.", other_model, Plain.NOT_LOADED),
    ("queue for a blob", "A blob that is a FIFO: reading waits.", fifo, Plain.NOT_LOADED),
    ("device for a blob", "A blob that is a link to /dev/zero.", zeros_for_ever, Plain.NOT_LOADED),
    ("missing blob", "A weight in a file that is not there.", _at(NAME), Plain.NOT_LOADED),
    ("short blob", "A weight in a file shorter than it.", short, Plain.NOT_LOADED),
    (
        "offset beyond the end",
        "A weight behind the end.",
        inside(offset=SIZE + 1),
        Plain.NOT_LOADED,
    ),
    ("negative offset", "A weight before the beginning.", inside(offset=-16), Plain.NOT_LOADED),
    (
        "offset that overflows",
        "Offset and length overflow.",
        inside(offset=2**63 - 8),
        Plain.NOT_LOADED,
    ),
    ("offset in words", "An offset that is no number.", inside(offset="twelve"), Plain.NOT_LOADED),
    ("huge length", "A length of 2^63 - 1.", inside(length=2**63 - 1), Plain.NOT_LOADED),
    ("negative length", "A length of minus one.", inside(length=-1), Plain.NOT_LOADED),
    ("length of another tensor", "Less bytes than elements.", inside(length=16), Plain.NOT_LOADED),
    (
        "place said twice",
        "First our blob, then the secret.",
        said_twice(NAME, "../secret.bin"),
        Plain.NOT_LOADED,
    ),
    (
        "place said twice, turned",
        "First the secret.",
        said_twice("../secret.bin", NAME),
        Plain.NOT_LOADED,
    ),
    ("data in two places", "Data in the graph and elsewhere.", beside_its_data, Plain.NOT_LOADED),
    ("place not said", "A place named, and not said to be used.", not_said, Plain.NOT_LOADED),
    ("path in an attribute", "The path is in a Constant.", in_attribute, Plain.NOT_LOADED),
    ("path in a sparse weight", "The path is in the values.", in_sparse, Plain.NOT_LOADED),
    ("path in a function", "The path is in a function.", in_function, Plain.NOT_LOADED),
)

KINDS = (
    *(_location(*row) for row in _LOCATIONS),
    at_precheck(
        "path in a branch",
        "The path is in both branches of an If.",
        in_branch,
        Plain.NOT_LOADED,
        REFUSED,
        inputs=gives(np.array(True)),
    ),
    at_precheck(
        "hard link to a secret",
        "A blob that is another name of the owner's file: only its hash tells.",
        hard_link,
        Plain.LEAKS,
        ANSWERS,
        mended=True,
    ),
    at_precheck(
        "own graph",
        "A weight in the graph's own file.",
        own_graph,
        Plain.ANSWERS,
        ANSWERS,
        mended=True,
    ),
    at_precheck(
        "overlapping weights",
        "Two weights in the same bytes of one file.",
        overlapping,
        Plain.ANSWERS,
        ANSWERS,
        mended=True,
    ),
    at_precheck(
        "wrong checksum",
        "The checksum beside a weight is another one: ONNX Runtime does not look.",
        other_checksum,
        Plain.ANSWERS,
        ANSWERS,
        mended=True,
    ),
    at_load(
        "file of holes",
        "A weight of 2 GB in a file of holes, which took no room on the disk.",
        giant_length,
        Plain.NOT_LOADED,
        reasons=BIG_AT_LOAD,
    ),
)
