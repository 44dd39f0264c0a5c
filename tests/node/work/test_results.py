# SPDX-License-Identifier: MIT
"""Inputs and outputs as files: whole, or not there."""

from pathlib import Path

import pytest

from node.work.results import INPUTS, OUTPUTS, Results
from protocol.tensors import ElementType, Tensor

ORDER, SECRET = b"o" * 32, b"s" * 32
ITEMS = [
    (),
    (
        Tensor(ElementType.FLOAT, (2, 1), b"12345678"),
        Tensor(ElementType.STRING, (2,), b"\1\0\0\0a\0\0\0\0"),
        Tensor(ElementType.INT4, (3,), b"\x21\x03"),
        Tensor(ElementType.DOUBLE, (0, 7), b""),
    ),
]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    results = Results(tmp_path)
    await results.keep(ORDER, INPUTS, ITEMS, SECRET)
    assert await results.read(ORDER, INPUTS) == (SECRET, ITEMS)
    assert await results.read(ORDER, OUTPUTS) is None
    assert await Results(tmp_path).read(ORDER, INPUTS) == (SECRET, ITEMS)
    await results.drop([ORDER, b"?" * 32])
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 1, 40, 60, -1])
async def test_a_file_that_lost_its_end_is_as_good_as_none(tmp_path: Path, cut: int) -> None:
    results = Results(tmp_path)
    await results.keep(ORDER, OUTPUTS, ITEMS, SECRET)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    assert await results.read(ORDER, OUTPUTS) is None


async def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{ORDER.hex()}.{OUTPUTS}.unfinished"
    left.write_bytes(b"half")
    Results(tmp_path)
    assert not left.exists()
