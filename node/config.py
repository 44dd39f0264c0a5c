# SPDX-License-Identifier: MIT
"""What the owner may choose: every key, its default and its sentence. `config_reading` reads them.

To add a key, add a field to its section; to add a section, a class and its place in Config
and SECTIONS. Checks, messages, `commons config show` and docs/reference/config.md follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from node.config_key import Key, Value, as_toml, key


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """How much of this machine the models may take. Sizes are in MiB, of 1,048,576 bytes."""

    runners: int = key(1, "How many runners may compute at the same time.", low=1, high=256)
    threads: int = key(1, "How many threads a runner computes with.", low=1, high=256)
    memory_mib: int = key(4096, "How much memory all runners take together.", low=64, high=1 << 24)
    runner_memory_mib: int = key(
        1024, "How much memory a runner takes when its model does not say.", low=64, high=1 << 24
    )
    load_s: float = key(30.0, "How long a model may take to load.", low=1, high=3600)
    warm_s: float = key(
        300.0, "How long a runner that nobody uses is kept, with its memory.", low=0, high=86400
    )
    nice: int = key(10, "How far runners stand back for other programs.", low=0, high=19)
    providers: tuple[str, ...] = key(
        (),
        "What trusted work runs on, the best first, as `cuda`; the processor is always the last.",
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the daemon says about itself, on stderr."""

    level: str = key(
        "info",
        "The least important events that are written.",
        choices=("debug", "info", "warning", "error"),
    )
    format: str = key(
        "auto",
        "Lines for people, or JSON; by itself, JSON where stderr is no terminal.",
        choices=("auto", "console", "json"),
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All that the owner has chosen."""

    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    log: LogConfig = field(default_factory=LogConfig)


SECTIONS: dict[str, Any] = {"executor": ExecutorConfig, "log": LogConfig}
"""Name and class of each section, as the fields of Config have them."""


def _keys_of(section: str) -> list[Key]:
    declared = [(each.name, each.metadata) for each in fields(SECTIONS[section])]
    return [Key(section, name, about["default"], about["rule"]) for name, about in declared]


KEYS: dict[str, Key] = {key.full: key for section in SECTIONS for key in _keys_of(section)}
"""Every key by its full name, in the order of the documentation."""


def value_of(config: Config, name: str) -> Value:
    """Give the value of a key by its full name."""
    value: Value = getattr(getattr(config, KEYS[name].section), KEYS[name].name)
    return value


def made_from(values: Mapping[str, Value]) -> Config:
    """Make a config from values by their full names; the defaults fill the rest."""
    parts: dict[str, dict[str, Value]] = {section: {} for section in SECTIONS}
    for full, value in values.items():
        parts[KEYS[full].section][KEYS[full].name] = value
    return Config(**{section: SECTIONS[section](**part) for section, part in parts.items()})


def to_toml(config: Config, notes: Mapping[str, str] | None = None) -> str:
    """Write a config as a file that reads back to the same one; notes become comments."""
    lines: list[str] = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for found in KEYS.values():
            if found.section == section:
                note = f"  # {notes[found.full]}" if notes else ""
                lines.append(f"{found.name} = {as_toml(value_of(config, found.full))}{note}")
    return "\n".join(lines[1:])
