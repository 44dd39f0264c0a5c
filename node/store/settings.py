# SPDX-License-Identifier: MIT
"""What a node remembers of itself between two starts. The owner's choices are in node/config.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from node.errors import ConfigError
from node.store.store import Database, Statement

ValueT = TypeVar("ValueT", int, float, str)


@dataclass(frozen=True, slots=True)
class Setting(Generic[ValueT]):
    """Something that is remembered: its name in the table, and how its text is read."""

    name: str
    read: Callable[[str], ValueT]


#: The port that was free at the first start: peers know it from then on.
PORT = Setting("port", int)

#: Until when (wall time) the owner has paused the work.
PAUSED_UNTIL_S = Setting("paused_until_s", float)

#: What is left of the quotas of the day, as JSON.
QUOTAS = Setting("quotas", str)

#: The highest wall time that was ever seen: a clock that goes behind it was set back.
WALL_S = Setting("wall_s", float)


def get(database: Database, setting: Setting[ValueT]) -> ValueT | None:
    """Give what is remembered, None when nothing is."""
    rows = database.read("SELECT value FROM settings WHERE name = ?", (setting.name,))
    if not rows:
        return None
    text = str(rows[0][0])
    try:
        return setting.read(text)
    except ValueError as error:
        raise ConfigError(
            f"the node remembers {text!r} as its {setting.name}, which is none ({error}): "
            f"put a backup of its database in place."
        ) from error


def put(setting: Setting[ValueT], value: ValueT | None) -> list[Statement]:
    """Give what remembers this, or forgets it: to be written alone or with something else."""
    if value is None:
        return [("DELETE FROM settings WHERE name = ?", (setting.name,))]
    text = str(value)
    assert setting.read(text) == value, f"{setting.name} would not read back from {text!r}"
    return [("REPLACE INTO settings (name, value) VALUES (?, ?)", (setting.name, text))]
