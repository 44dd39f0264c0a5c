# SPDX-License-Identifier: MIT
"""A report is written whole or not at all, and never over somebody else's files."""

import errno
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulations.report import check_folder, write_report, write_reports, write_summary_of_many
from tests.simulations.report.records import little_record, rich_record

FILES = ["options.toml", "replay.txt", "report.html", "summary.json", "trace.jsonl"]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_a_report_has_its_five_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    write_report(rich_record(), folder)
    assert names(folder) == FILES
    assert json.loads((folder / "summary.json").read_text())["seed"] == 7


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    write_report(rich_record(), tmp_path / "a")
    write_report(rich_record(), tmp_path / "b")
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    write_report(rich_record(1), tmp_path)
    write_report(rich_record(2), tmp_path)
    assert names(tmp_path) == FILES
    assert json.loads((tmp_path / "summary.json").read_text())["seed"] == 2


def test_what_a_killed_writer_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl.part").write_text("half of a row")
    write_report(rich_record(), tmp_path)
    assert names(tmp_path) == FILES


@pytest.mark.parametrize("name", ["thesis.txt", "report.html", "summary.json", "index.html"])
def test_files_of_somebody_else_are_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"seed": 1}')
    with pytest.raises(FileExistsError, match=f"such as {name}") as caught:
        write_report(rich_record(), tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == '{"seed": 1}'


def test_a_report_with_a_file_beside_it_is_not_touched(tmp_path: Path) -> None:
    write_report(rich_record(1), tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    before = bytes_of(tmp_path)
    with pytest.raises(FileExistsError, match=r"notes\.md"):
        write_report(rich_record(2), tmp_path)
    assert bytes_of(tmp_path) == before


class _FullDisk(io.BytesIO):
    def write(self, _text: Any, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def writelines(self, _lines: Any, /) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(rich_record(1), tmp_path)
    before = bytes_of(tmp_path)
    real_open = Path.open

    def full(path: Path, *more: Any, **named: Any) -> Any:
        real_open(path, *more, **named).close()
        return _FullDisk() if path.name == "trace.jsonl.part" else real_open(path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left") as caught:
            write_report(rich_record(2), tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert f"the report cannot be written to {tmp_path}" in str(caught.value)
    assert bytes_of(tmp_path) == before


def test_a_file_where_the_folder_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="the report cannot be written to"):
        write_report(rich_record(), tmp_path / "file")


def test_the_page_of_many_lies_beside_the_folders_of_its_seeds(tmp_path: Path) -> None:
    records = [rich_record(seed, hosts=3) for seed in (1, 2)]
    for _ in range(2):
        assert write_reports(records, tmp_path) == tmp_path / "index.html"
        assert names(tmp_path) == ["index.html", "seed-1", "seed-2", "summary.json"]
        assert names(tmp_path / "seed-1") == FILES


def test_nothing_of_an_earlier_report_contradicts_the_new_one(tmp_path: Path) -> None:
    record = rich_record(1, hosts=3)
    assert write_report(record, tmp_path) == tmp_path / "report.html"
    write_summary_of_many([record], tmp_path)
    assert names(tmp_path) == ["index.html", "summary.json"]
    write_report(record, tmp_path)
    assert names(tmp_path) == FILES


def test_a_folder_can_be_checked_before_the_work(tmp_path: Path) -> None:
    check_folder(tmp_path / "not there")
    check_folder(tmp_path)
    write_reports([rich_record(1, hosts=3)], tmp_path)
    check_folder(tmp_path)
    (tmp_path / "seed-1" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"seed-1 has files .* such as mine\.txt"):
        check_folder(tmp_path)


def test_a_page_of_many_is_of_one_scenario(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one scenario"):
        write_summary_of_many([rich_record(), little_record()], tmp_path)
    assert names(tmp_path) == []


def test_texts_that_are_no_texts_are_still_written(tmp_path: Path) -> None:
    record = replace(rich_record(), about="half \ud800 of a pair", options={"a": "\ud800"})
    write_report(record, tmp_path)
    assert names(tmp_path) == FILES
