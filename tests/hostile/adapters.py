# SPDX-License-Identifier: MIT
"""Adapters that do not fit, do not end, or are something else. The model itself is harmless."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from protocol.reasons import Reason
from tests.hostile.gates import at_intake
from tests.hostile.graphs import model, node, port, put, weight
from tests.hostile.kinds import Hostile

WIDTH = 8
ADAPTER = "adapter.safetensors"

Array = npt.NDArray[np.generic]

_NAMES = {"f": "F32", "i": "I64", "b": "BOOL"}


def adaptable() -> ModelProto:
    """Give a product with room for an adapter of any rank: y = x W + x A B, A and B optional."""
    nodes = [
        node("MatMul", ["x", "w"], ["xw"]),
        node("MatMul", ["x", "lora_A"], ["xa"]),
        node("MatMul", ["xa", "lora_B"], ["xab"]),
        node("Add", ["xw", "xab"], ["y"]),
    ]
    inputs = [port("x", ["n", WIDTH]), port("lora_A", [WIDTH, "r"]), port("lora_B", ["r", WIDTH])]
    weights = [
        weight("w", np.eye(WIDTH)),
        weight("lora_A", np.zeros((WIDTH, 0))),
        weight("lora_B", np.zeros((0, WIDTH))),
    ]
    return model(nodes, inputs, [port("y", ["n", WIDTH])], weights)


def safetensors(header: object, data: bytes) -> bytes:
    """Write the format in which people have adapters: a length, a header in JSON, data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def of_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Write arrays as they should be written."""
    header: dict[str, object] = {}
    data = b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        kind = _NAMES[array.dtype.kind] if array.dtype.itemsize != 2 else "F16"
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [len(data), end]}
        data += array.tobytes()
    return safetensors(header, data)


def pair(rank: int, dtype: npt.DTypeLike = np.float32) -> dict[str, Array]:
    """Give the two tensors of an adapter of some rank."""
    return {
        "lora_A": np.ones((WIDTH, rank), dtype),
        "lora_B": np.ones((rank, WIDTH), dtype),
    }


def entry(shape: list[int], begin: int, end: int) -> dict[str, object]:
    """Describe one tensor of a header."""
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def not_a_number() -> dict[str, Array]:
    return {**pair(1), "lora_A": np.full((WIDTH, 1), np.nan, np.float32)}


def _adapter(name: str, story: str, make: Callable[[], bytes], *others: Reason) -> Hostile:
    def build(folder: Path) -> None:
        put(folder, adaptable())
        (folder / ADAPTER).write_bytes(make())

    return at_intake(name, story, build, *others)


def file_of_holes(folder: Path) -> None:
    """An adapter of 64 GB that takes no room on the disk."""
    put(folder, adaptable())
    size = 64 * 10**9
    head = safetensors({"lora_A": entry([WIDTH, size // 32], 0, size)}, b"")
    (folder / ADAPTER).write_bytes(head)
    os.truncate(folder / ADAPTER, len(head) + size)


def flatbuffer(folder: Path) -> None:
    """ONNX Runtime's own format of adapters, whose reader trusts its offsets."""
    put(folder, adaptable())
    raw = (16).to_bytes(4, "little") + b"GAIL" + Random(7).randbytes(4000)
    (folder / "adapter.onnx_adapter").write_bytes(raw)


def pickled(folder: Path) -> None:
    """What other programs load an adapter from, and run."""
    put(folder, adaptable())
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")


_DEVIATES = Reason.INPUT_DEVIATES

KINDS = (
    _adapter(
        "adapter for nobody",
        "A tensor that the model has no place for.",
        lambda: of_arrays({**pair(1), "evil": np.ones(1, np.float32)}),
        _DEVIATES,
    ),
    _adapter(
        "half an adapter",
        "One of the two tensors.",
        lambda: of_arrays({"lora_A": pair(1)["lora_A"]}),
        _DEVIATES,
    ),
    _adapter(
        "adapter of two ranks",
        "Two tensors that do not fit together.",
        lambda: of_arrays({"lora_A": pair(3)["lora_A"], "lora_B": pair(4)["lora_B"]}),
        _DEVIATES,
    ),
    _adapter(
        "adapter of another width",
        "A tensor that does not fit the model.",
        lambda: of_arrays({**pair(1), "lora_A": np.ones((9, 1), np.float32)}),
        _DEVIATES,
    ),
    _adapter(
        "adapter of another type",
        "Integers for floats.",
        lambda: of_arrays(pair(1, np.int64)),
        _DEVIATES,
    ),
    _adapter(
        "adapter of short floats",
        "Half floats for floats.",
        lambda: of_arrays(pair(1, np.float16)),
        _DEVIATES,
    ),
    _adapter(
        "adapter for a weight",
        "A tensor in the place of a weight that is none of the adapter's.",
        lambda: of_arrays({"w": np.ones((WIDTH, WIDTH), np.float32)}),
        _DEVIATES,
    ),
    _adapter(
        "adapter for an input",
        "A tensor in the place of what the requester sends.",
        lambda: of_arrays({"x": np.ones((1, WIDTH), np.float32)}),
        _DEVIATES,
    ),
    _adapter(
        "adapter of no numbers",
        "NaN, so that every answer is NaN.",
        lambda: of_arrays(not_a_number()),
        Reason.NOT_FINITE,
        _DEVIATES,
    ),
    _adapter(
        "adapter of rank 200 000",
        "Thirteen megabytes for a model of 256 bytes.",
        lambda: of_arrays(pair(200_000)),
        Reason.TOO_LARGE,
        _DEVIATES,
    ),
    _adapter(
        "header without end",
        "A header of 2^63 bytes.",
        lambda: (2**63).to_bytes(8, "little") + b"{}",
    ),
    _adapter(
        "header that nests",
        "A hundred thousand brackets.",
        lambda: safetensors(b"[" * 100_000, b""),
    ),
    _adapter("header that is none", "A header that is no JSON.", lambda: safetensors(b"{]", b"")),
    _adapter(
        "header that is a list",
        "A header that is JSON of another kind.",
        lambda: safetensors([1, 2], b""),
    ),
    _adapter(
        "header said twice",
        "One name with two tensors.",
        lambda: safetensors(
            b'{"lora_A":%s,"lora_A":%s}'
            % (
                json.dumps(entry([8, 1], 0, 32)).encode(),
                json.dumps(entry([8, 2], 0, 64)).encode(),
            ),
            bytes(64),
        ),
    ),
    _adapter(
        "data that overlap",
        "Two tensors in the same bytes.",
        lambda: safetensors(
            {"lora_A": entry([8, 1], 0, 32), "lora_B": entry([1, 8], 0, 32)}, bytes(32)
        ),
    ),
    _adapter(
        "data beyond the end",
        "A tensor behind the end of the file.",
        lambda: safetensors({"lora_A": entry([8, 1], 1000, 1032)}, bytes(32)),
    ),
    _adapter(
        "data before the beginning",
        "A tensor before the beginning of the data.",
        lambda: safetensors({"lora_A": entry([8, 1], -32, 0)}, bytes(32)),
    ),
    _adapter(
        "dimensions of an adapter that overflow",
        "A tensor of 2^64 + 8 elements in 32 bytes.",
        lambda: safetensors({"lora_A": entry([8, 2**61 + 1], 0, 32)}, bytes(32)),
    ),
    at_intake(
        "adapter of holes", "64 GB that took no room on the disk.", file_of_holes, Reason.TOO_LARGE
    ),
    at_intake(
        "adapter as a flatbuffer", "ONNX Runtime's own format, with noise in it.", flatbuffer
    ),
    at_intake("adapter as a pickle", "What Python would run.", pickled),
)
