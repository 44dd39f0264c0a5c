# SPDX-License-Identifier: MIT
"""The config: which value wins, and what is said about a file that is wrong."""

import os
import tomllib
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import KEYS, SECTIONS, Config, made_from, to_toml
from node.config_key import Key
from node.config_reading import FILE_BYTES_MAX, Origin, Source, read_config
from node.errors import ConfigError
from tests.node.configs import ALL, LIST, NOWHERE, configs, problems_of, written


def test_without_file_variables_and_flags_the_defaults_hold() -> None:
    reading = read_config(NOWHERE, {})
    assert reading.config == Config()
    assert reading.origins == dict.fromkeys(KEYS, Origin(Source.DEFAULT, "default"))


def test_a_later_source_wins_and_each_value_knows_where_it_is_from(tmp_path: Path) -> None:
    file = written(tmp_path, "[executor]\nthreads = 2\nrunners = 2\nnice = 2\n")
    environ = {"COMMONS_EXECUTOR_THREADS": "3", "COMMONS_EXECUTOR_RUNNERS": "3"}
    reading = read_config(file, environ, ["executor.threads=4"])
    executor = reading.config.executor
    assert (executor.threads, executor.runners, executor.nice) == (4, 3, 2)
    assert reading.origins["executor.threads"] == Origin(Source.FLAG, "--set")
    assert reading.origins["executor.runners"] == Origin(
        Source.ENVIRONMENT, "COMMONS_EXECUTOR_RUNNERS"
    )
    assert reading.origins["executor.nice"] == Origin(Source.FILE, f"{file}, line 4")
    assert reading.origins["executor.load_s"].source is Source.DEFAULT


def test_the_last_of_two_flags_wins() -> None:
    flags = ["log.level=debug", "log.level=error"]
    assert read_config(NOWHERE, {}, flags).config.log.level == "error"


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        read_config(NOWHERE, {}).config.log.level = "debug"  # type: ignore[misc]  # that is the point


def test_the_sections_are_the_fields_of_the_config() -> None:
    assert {each.name: each.type for each in fields(Config)} == SECTIONS


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_key_takes_its_default_and_says_what_it_is_for(key: Key) -> None:
    default = list(key.default) if isinstance(key.default, tuple) else key.default
    assert key.accept(default) == key.default
    assert key.rule.sentence.endswith(".")
    assert key.variable == f"COMMONS_{key.section}_{key.name}".upper()


@pytest.mark.slow
@given(configs())
def test_a_config_that_is_shown_reads_back_to_the_same(config: Config) -> None:
    text = to_toml(config)
    document = tomllib.loads(text)
    assert (
        made_from({full: key.accept(document[key.section][key.name]) for full, key in KEYS.items()})
        == config
    )


@pytest.mark.slow
@given(configs())
def test_with_comments_too(config: Config) -> None:
    notes = dict.fromkeys(KEYS, "C:\\a \u2028 'b' \"c\" # [d]")
    assert tomllib.loads(to_toml(config, notes)) == tomllib.loads(to_toml(config))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[executor]\nthread = 2",
            "line 2: there is no key `executor.thread`. Did you mean `executor.threads`?",
        ),
        (
            "[executor]\n\n# many\n  threads=0",
            "line 4: executor.threads is 0, and takes a whole number from 1 to 256.",
        ),
        (
            '[executor]\nthreads = "2"',
            'line 2: executor.threads is "2", and takes a whole number from 1 to 256.',
        ),
        (
            "[executor]\nthreads = true",
            "line 2: executor.threads is true, and takes a whole number from 1 to 256.",
        ),
        (
            "[executor]\nthreads = 2.0",
            "line 2: executor.threads is 2.0, and takes a whole number from 1 to 256.",
        ),
        (
            "[executor]\nload_s = nan",
            "line 2: executor.load_s is nan, and takes a number from 1 to 3600.",
        ),
        (
            "[executor]\nload_s = true",
            "line 2: executor.load_s is true, and takes a number from 1 to 3600.",
        ),
        (
            '[executor]\nmemory_mib = "2 GiB"',
            'line 2: executor.memory_mib is "2 GiB", and takes a whole number from 64 to 16777216.',
        ),
        (
            '[log]\nlevel = "INFO"',
            'line 2: log.level is "INFO", and takes one of debug, info, warning, error.',
        ),
        (
            "[log]\nlevel = 1979-05-27",
            "line 2: log.level is 1979-05-27, and takes one of debug, info, warning, error.",
        ),
        (
            '[executor]\nproviders = "cuda"',
            f'line 2: executor.providers is "cuda", and takes {LIST}.',
        ),
        (
            '[executor]\nproviders = ["cuda", "cuda"]',
            f"line 2: executor.providers is ['cuda', 'cuda'], and takes {LIST}.",
        ),
        (
            "[executer]\nthreads = 2",
            "line 1: there is no section `executer`. Did you mean `executor`?",
        ),
        ("threads = 2", "line 1: `threads` stands in no section. Did you mean `executor.threads`?"),
        (
            "executor.thread = 2",
            "line 1: there is no key `executor.thread`. Did you mean `executor.threads`?",
        ),
        (
            "[zzzz]",
            f"line 1: there is no section `zzzz`. {ALL}",
        ),
        (
            "log = 3",
            f"line 1: `log` stands in no section. {ALL}",
        ),
        ('["log"]\n"levle" = 1', "line 2: there is no key `log.levle`. Did you mean `log.level`?"),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_place_and_what_would_be_right(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = written(tmp_path, text)
    assert problems_of(file) == [f"{file}, {complaint}"]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("listen", "/ip4/0.0.0.0/tcp/99999"),
        ("listen", "/ip4/300.0.0.1/tcp/1"),
        ("listen", "/ip6/1:2/tcp/1"),
        ("listen", "/dns4/here.example/tcp/1"),
        ("announce", "/ip4/192.0.2.7/tcp/65536"),
        ("bootstrap", "/ip4/192.0.2/tcp/1"),
    ],
)
def test_an_address_that_is_none_is_told_before_anything_begins(name: str, address: str) -> None:
    [problem] = problems_of(NOWHERE, {f"COMMONS_MESH_{name.upper()}": address})
    assert f'mesh.{name} is "{address}", and takes a list of at most 16 addresses' in problem


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "[executor]\nthreads = 0\nrunner = 1\n[logs]\n")
    found = problems_of(file, {"COMMONS_LOG_LEVEL": "loud"}, ("log.form=json", "nonsense"))
    assert [line.rpartition(": ")[0] or line for line in found[:3]] == [
        f"{file}, line 2",
        f"{file}, line 3",
        f"{file}, line 4",
    ]
    assert found[3].startswith("COMMONS_LOG_LEVEL: log.level is ")
    assert found[4] == "--set: there is no key `log.form`. Did you mean `log.format`?"
    assert found[5] == "--set nonsense: write KEY=VALUE, as executor.threads=2."


def test_a_wrong_value_is_told_also_where_a_later_one_wins(tmp_path: Path) -> None:
    file = written(tmp_path, "[executor]\nthreads = 0")
    assert len(problems_of(file, {}, ("executor.threads=2",))) == 1


def test_keys_that_contradict_each_other_are_told() -> None:
    (found,) = problems_of(flags=("executor.runner_memory_mib=8192",))
    assert "executor.runner_memory_mib is 8192" in found
    assert "executor.memory_mib, which is 4096" in found


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, "[executor]\nthreads = \n")
    (found,) = problems_of(file)
    assert found.startswith(f"{file}: this is not TOML: ")
    assert "line 2" in found


@pytest.mark.parametrize(
    "text",
    [
        "[log]\nlevel = " + "[" * 100_000,
        "[executor]\nthreads = " + "9" * 10_000,
        "[executor]\nthreads = 0x" + "f" * 10_000,
        "[executor]\nload_s = " + "9" * 400,
        "[executor]\nload_s = 1e999",
        "[executor]\nproviders = [[[0x" + "f" * 10_000 + "]]]",
        "[executor]\nthreads = {a = {b = 1}}",
        "[log]\nlevel = 1\nlevel = 2",
        "[[log]]\nlevel = 1",
        "a.b.c.d = 1",
        "[log.level]\na = 1",
        '["a\\nb\\u001b"]\n',
        '[log]\n"x\\ny" = 1',
    ],
)
def test_whatever_a_file_says_ends_in_short_lines(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    for line in problems_of(file):
        assert line.isprintable()
        assert len(line) < 400
        assert str(file) in line


@given(st.binary(max_size=200))
def test_no_bytes_in_a_file_are_a_surprise(tmp_path_factory: Any, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "surprise.toml"
    file.write_bytes(data)
    try:
        assert isinstance(read_config(file, {}).config, Config)
    except ConfigError as error:
        assert str(file) in str(error)


@given(
    st.text(alphabet=st.sampled_from("[]\".=#,{}\n '")) | st.text(),
    st.sampled_from(["", "[log]\n", "[executor]\n", "[executor]\nthreads="]),
)
def test_no_text_in_a_file_is_a_surprise(tmp_path_factory: Any, text: str, start: str) -> None:
    file = tmp_path_factory.getbasetemp() / "surprise.toml"
    file.write_text(start + text, encoding="utf-8", errors="surrogatepass")
    try:
        read_config(file, {})
    except ConfigError as error:
        assert all(line.isprintable() for line in str(error).splitlines())


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.toml", {}).config == Config()


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == [
        f"{tmp_path} is a folder, and the config is a file: move it away."
    ]


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)
    assert problems_of(pipe) == [
        f"{pipe} is no plain file, and the config is a file: move it away."
    ]


def test_a_file_below_a_file_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, "") / "config.toml"
    assert problems_of(file) == [f"{file} cannot be read: Not a directory."]


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the refusal is played."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    file = tmp_path / "config.toml"
    file.touch()
    assert problems_of(file) == [f"{file} cannot be read: Permission denied."]


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes("[log]\n# schön\n".encode("latin-1"))
    assert problems_of(file) == [f"{file}, line 2: this is no UTF-8 text: save the file as UTF-8."]


def test_a_mark_at_the_beginning_of_the_file_is_fine(tmp_path: Path) -> None:
    """Some editors write one."""
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[log]\r\nlevel = 'error'\r\n")
    assert read_config(file, {}).config.log.level == "error"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with file.open("wb") as opened:
        opened.truncate(FILE_BYTES_MAX + 1)
    assert problems_of(file) == [
        f"{file} is larger than {FILE_BYTES_MAX} bytes: this is no config."
    ]


def test_the_config_as_a_document_has_plain_values_only() -> None:
    for section in asdict(Config()).values():
        for value in section.values():
            assert isinstance(value, int | float | str | tuple)
