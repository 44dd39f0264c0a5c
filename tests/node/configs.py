# SPDX-License-Identifier: MIT
"""Configs for tests: every one that can be, and what is said about one that cannot."""

import re
from pathlib import Path

import pytest
from hypothesis import strategies as st

from node.config import ADDRESS, KEYS, LISTEN, Config, made_from
from node.config_key import Key, Value
from node.config_reading import read_config
from node.errors import ConfigError

NOWHERE = Path("/no/such/config.toml")
LIST = "a list of at most 16 names, each of them once"
ALL = "`commons config show` lists all that there is."
VARIABLES = {key.variable: full for full, key in KEYS.items()}


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems_of(
    file: Path = NOWHERE, environ: dict[str, str] | None = None, flags: tuple[str, ...] = ()
) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_config(file, environ or {}, flags)
    return str(raised.value).splitlines()


def values_of(key: Key) -> st.SearchStrategy[Value]:
    """Everything that a key takes."""
    texts = st.from_regex(re.compile(key.rule.form.pattern, re.ASCII), fullmatch=True)
    if key.rule.form in {ADDRESS, LISTEN}:  # few texts of the pattern of an address are one
        texts = st.builds(
            lambda host, port: f"/ip{host.version}/{host}/tcp/{port}",
            st.ip_addresses(),
            st.integers(0, 65_535),
        )
    match key.default:
        case bool():
            return st.booleans()
        case int():
            return st.integers(int(key.rule.low), int(key.rule.high))
        case float():
            return st.floats(key.rule.low, key.rule.high)
        case str() if key.rule.choices:
            return st.sampled_from(key.rule.choices)
        case str():
            return st.just("") | texts
    return st.lists(texts, max_size=3, unique=True).map(tuple)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Every config that can be."""
    values = {full: draw(values_of(key)) for full, key in KEYS.items()}
    one, together = values["executor.runner_memory_mib"], values["executor.memory_mib"]
    assert isinstance(one, int)
    assert isinstance(together, int)
    values["executor.runner_memory_mib"] = min(one, together)
    return made_from(values)
