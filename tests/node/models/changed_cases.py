# SPDX-License-Identifier: MIT
"""Operators with changed attributes, shapes and constants, beside what ONNX Runtime does with them.

A program, not a test: ``python -m tests.node.models.changed_cases SEED COUNT``. It forks, since
some of these changes end ONNX Runtime, and says at its end how many cases came out how. Every
graph that has facts and runs has to do what they say; else the exit status is 1.
"""

import os

# A program of its own: nobody has said this before onnxruntime is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# ruff: isort: split
import resource
import sys
from collections import Counter
from collections.abc import Mapping
from random import Random
from signal import alarm

import numpy as np
from onnx import AttributeProto, ModelProto, numpy_helper

from node.models.facts.derive import derive
from protocol.errors import Refused, RemoteProtocolError
from tests.node.models.backend_cases import Case, all_cases, with_constants
from tests.node.models.facts_world import disagreements
from tests.sketch import Array

SMALL = (-3, -2, -1, 0, 1, 2, 3, 4, 5, 7)
LARGE = (-(2**63), 2**63 - 1, 2**31 - 1, -(2**31), 2**31, 2**62, 1000, -1000)
SCALES = (0.5, 1, 2, 3, 1.5, 0.6, 0.3333, 2.7, 0.25)
WORDS = (b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"NOTSET", b"bidirectional")
CHILD_CASES, CHILD_S, CHILD_BYTES = 100, 20, 6 << 30
NODES_MAX = 8

# What ONNX Runtime says when it does not run something, or leaves an output out.
_NOT_OURS = ("ONNXRuntime", "OrtValue", "proto_type is unavailable")


class Unfed(Exception):
    """Inputs that are too large, or of a type that takes more than a line to make."""


def changed(case: Case, dice: Random) -> ModelProto:
    """A case with some changes, and with names for some of its dimensions."""
    model = ModelProto()
    model.CopyFrom(case.model)
    for _ in range(dice.choice((0, 0, 1, 1, 1, 2))):
        dice.choice((change_attribute, change_attribute, change_constant))(model, dice)
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        change_shape(model, dice)
    names, share = dice.choice((0.0, 0.5, 1.0, 1.0)), dice.random() < 0.3
    for port in model.graph.input:
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            if dice.random() < names:
                dim.dim_param = f"s{dim.dim_value}" if share else f"{port.name} {axis}"
    return model


def number(dice: Random) -> int:
    """A number as attributes have them; sometimes as they never should."""
    return dice.choice(SMALL if dice.random() < 0.93 else LARGE)


def change_attribute(model: ModelProto, dice: Random) -> None:
    """Change a number or a word."""
    node = dice.choice(model.graph.node)
    if not node.attribute:
        return
    attribute = dice.choice(node.attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = number(dice)
    elif attribute.type == AttributeProto.INTS and len(attribute.ints):
        attribute.ints[dice.randrange(len(attribute.ints))] = number(dice)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = dice.choice(WORDS)


def change_constant(model: ModelProto, dice: Random) -> None:
    """Change an element of a shape."""
    if not model.graph.initializer:
        return
    tensor = dice.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    if not array.size:
        return
    if array.dtype.kind == "i":
        bounds = np.iinfo(array.dtype)
        array.flat[dice.randrange(array.size)] = np.clip(number(dice), bounds.min, bounds.max)
    elif array.dtype.kind == "f":
        array.flat[dice.randrange(array.size)] = dice.choice(SCALES)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_shape(model: ModelProto, dice: Random) -> None:
    """Give an input or a constant another shape, of another rank maybe."""
    place = dice.randrange(len(model.graph.input) + len(model.graph.initializer))
    if place < len(model.graph.input):
        shape = model.graph.input[place].type.tensor_type.shape
        dims = other_dims([dim.dim_value for dim in shape.dim], dice)
        del shape.dim[:]
        for each in dims:
            shape.dim.add().dim_value = each
        return
    tensor = model.graph.initializer[place - len(model.graph.input)]
    array = numpy_helper.to_array(tensor)
    dims = other_dims(list(array.shape), dice)
    if array.size and np.prod(dims) < 10_000:
        resized = np.resize(array, dims).astype(array.dtype)
        tensor.CopyFrom(numpy_helper.from_array(resized, tensor.name))


def other_dims(dims: list[int], dice: Random) -> list[int]:
    """Dimensions that are a little different."""
    kind = dice.random()
    if kind < 0.3 and dims:
        dims[dice.randrange(len(dims))] = dice.choice((0, 1, 1, 2, 3, 4, 5))
    elif kind < 0.5:
        dims.insert(dice.randint(0, len(dims)), dice.choice((1, 1, 2, 3)))
    elif kind < 0.7 and dims:
        dims.pop(dice.randrange(len(dims)))
    elif kind < 0.8:
        dims = [dice.randint(1, 5) for _ in range(dice.randrange(5))]
    return dims


def feeds_for(model: ModelProto, given: Mapping[str, Array], dice: Random) -> dict[str, Array]:
    """Arrays of any size that the names allow; those of the case where they fit."""
    sizes: dict[str, int] = {}
    feeds = {}
    for port in model.graph.input:
        array, dims = given[port.name], []
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            real = array.shape[axis] if axis < array.ndim else 2
            drawn = real if dice.random() < 0.5 else dice.choice((*range(9), real * 2, real + 1))
            named = dim.dim_param
            dims.append(sizes.setdefault(named, drawn) if named else dim.dim_value)
        if tuple(dims) == array.shape:
            feeds[port.name] = array
            continue
        if np.prod(dims) > 1_000_000 or array.dtype.kind not in "fiub":
            raise Unfed
        random = np.random.default_rng(dice.randrange(2**32))
        floats = array.dtype.kind == "f"
        made = random.standard_normal(dims) if floats else random.integers(0, 2, dims)
        feeds[port.name] = np.asarray(made).astype(array.dtype)
    return feeds


def tried(case: Case, dice: Random) -> str:
    """Change a case, derive its facts, run it; say what came out, `wrong` with all there is."""
    model = changed(case, dice)
    try:
        derive(model)
        feeds = feeds_for(model, case.feeds, dice)
        wrong = disagreements(model, feeds)
    except (Refused, Unfed):
        return "refused"
    except RemoteProtocolError:
        return "the interface takes no such item"
    except Exception as error:  # noqa: BLE001 - ONNX Runtime says no in many classes
        if any(word in str(error) for word in _NOT_OURS):
            return "it fails in the run"
        return f"wrong: {error!r} of {case.name}"
    if not wrong:
        return "agrees"
    shapes = {name: array.shape for name, array in feeds.items()}
    return f"wrong: {wrong} of {case.name} with {shapes}: {str(model.graph)[:1500]!r}"


def originals() -> list[Case]:
    """The small cases that have facts, with their shapes and with everything as constants."""
    found = []
    for case in all_cases():
        for first in (1, 0):
            form = with_constants(case, first)
            if len(form.model.graph.node) > NODES_MAX:
                continue
            try:
                derive(form.model)
            except Refused:
                continue
            found.append(form)
    return found


def child(cases: list[Case], seed: int, count: int, write: int) -> None:
    """Try so many cases, and write a line for each."""
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    alarm(CHILD_S)
    dice = Random(seed)
    with os.fdopen(write, "w") as lines:
        for _ in range(count):
            lines.write(tried(dice.choice(cases), dice).replace("\n", " ") + "\n")
            lines.flush()


def main(seed: int, count: int) -> int:
    """Try so many cases, a few in each child."""
    cases = originals()
    counted: Counter[str] = Counter()
    for begin in range(0, count, CHILD_CASES):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                child(cases, seed * count + begin, min(CHILD_CASES, count - begin), write)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as lines:
            for line in lines:
                counted[line.split(":")[0].strip()] += 1
                if line.startswith("wrong"):
                    sys.stdout.write(line)
        _, status = os.waitpid(pid, 0)
        counted["a child ended early"] += status != 0
    sys.stdout.write(f"{dict(counted)}\n")
    return int(counted["wrong"] > 0 or counted["agrees"] < count // 4)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
