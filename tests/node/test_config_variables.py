# SPDX-License-Identifier: MIT
"""The config from variables and flags, where everything is text and anybody's may be near."""

from pathlib import Path

import pytest
from hypothesis import given

from node.config import KEYS, Config, value_of
from node.config_key import Value
from node.config_reading import read_config
from tests.node.configs import ALL, NOWHERE, VARIABLES, configs, problems_of, written


@pytest.mark.slow
@given(configs())
def test_every_value_can_be_said_in_a_variable_and_in_a_flag(config: Config) -> None:
    def text(full: str) -> str:
        value = value_of(config, full)
        return (",".join(value) or "none") if isinstance(value, tuple) else str(value)

    environ = {variable: text(full) for variable, full in VARIABLES.items()}
    assert read_config(NOWHERE, environ).config == config
    flags = [f"{full}={text(full)}" for full in KEYS]
    assert read_config(NOWHERE, {}, flags).config == config


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("executor.threads", " 4 ", 4),
        ("executor.threads", "+4", 4),
        ("executor.load_s", "2", 2.0),
        ("executor.load_s", "2.5e1", 25.0),
        ("executor.providers", "cuda", ("cuda",)),
        ("executor.providers", " cuda , cpu ", ("cuda", "cpu")),
        ("mesh.listen", "none", ()),
        ("mesh.mdns", "false", False),
        ("mesh.mdns", "True", True),
        ("log.level", "error", "error"),
    ],
)
def test_text_is_read_by_the_type_of_its_key(name: str, text: str, value: Value) -> None:
    for reading in (
        read_config(NOWHERE, {KEYS[name].variable: text}),
        read_config(NOWHERE, {}, [f"{name}={text}"]),
    ):
        found = value_of(reading.config, name)
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("text", ["x", "1.5", "0", "257", "1e2", "nan", "--1", "9" * 5000, "1 2"])
def test_a_variable_that_is_no_value_of_its_key_is_named(text: str) -> None:
    (found,) = problems_of(environ={"COMMONS_EXECUTOR_THREADS": text})
    assert found.startswith("COMMONS_EXECUTOR_THREADS: executor.threads is ")
    assert found.endswith(", and takes a whole number from 1 to 256.")
    assert len(found) < 200


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "x", "0.5"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    (found,) = problems_of(flags=(f"executor.load_s={text}",))
    assert found == f'--set: executor.load_s is "{text}", and takes a number from 1 to 3600.'


@pytest.mark.parametrize(
    "text", ["cuda,", ",", "a b", "cuda,cuda", "ü", ",".join("abcdefghijklmnopq")]
)
def test_a_list_that_is_none_is_refused(text: str) -> None:
    assert len(problems_of(flags=(f"executor.providers={text}",))) == 1


def test_a_list_can_be_emptied_again(tmp_path: Path) -> None:
    file = written(tmp_path, '[executor]\nproviders = ["cuda"]')
    assert read_config(file, {}, ["executor.providers="]).config.executor.providers == ()


def test_an_empty_variable_counts_as_not_set() -> None:
    """A container file often hands on what is not there."""
    assert read_config(NOWHERE, dict.fromkeys(VARIABLES, "")).config == Config()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("COMMONS_EXECUTOR_THREAD", "COMMONS_EXECUTOR_THREADS"),
        ("COMMONS_EXECUTR_THREADS", "COMMONS_EXECUTOR_THREADS"),
        ("COMMONS_EXECUTORTHREADS", "COMMONS_EXECUTOR_THREADS"),
        ("COMMONS_LOG_LEVLE", "COMMONS_LOG_LEVEL"),
        ("COMMONS_LOGLEVEL", "COMMONS_LOG_LEVEL"),
    ],
)
def test_a_slip_in_the_name_of_a_variable_is_answered_with_the_nearest(
    name: str, nearest: str
) -> None:
    assert problems_of(environ={name: "1"}) == [
        f"no key belongs to {name}. Did you mean `{nearest}`?"
    ]


def test_a_variable_of_a_section_belongs_to_us_whatever_its_rest() -> None:
    (found,) = problems_of(environ={"COMMONS_LOG_ZZZZZZZZZZZZZZ": "1"})
    assert found == f"no key belongs to COMMONS_LOG_ZZZZZZZZZZZZZZ. {ALL}"


@pytest.mark.parametrize(
    "name",
    [
        "COMMONS_HOME",
        "COMMONS_HYPOTHESIS_PROFILE",
        "COMMONS_PORT",
        "COMMONS_PORT_8080_TCP_ADDR",
        "COMMONS_SERVICE_HOST",
        "COMMONS_",
        "COMMONS",
        "commons_log_level",
        "XCOMMONS_LOG_LEVEL",
    ],
)
def test_a_variable_that_is_not_like_ours_is_left_alone(name: str) -> None:
    """A cluster sets such for a service that somebody called "commons"."""
    assert read_config(NOWHERE, {name: "anything"}).config == Config()


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("threads=2", "--set: there is no key `threads`. Did you mean `executor.threads`?"),
        ("=2", f"--set: there is no key ``. {ALL}"),
        ("log.level", "--set log.level: write KEY=VALUE, as executor.threads=2."),
        ("a\nb", "--set a\\nb: write KEY=VALUE, as executor.threads=2."),
    ],
)
def test_a_slip_in_a_flag_is_told(flag: str, complaint: str) -> None:
    assert problems_of(flags=(flag,)) == [complaint]
