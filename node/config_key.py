# SPDX-License-Identifier: MIT
"""A key of the config: what it takes, how it is read, and what is said about it.

Which keys there are is in `config`. All that is known about one stands in one place, and the
checks, the messages, `commons config show` and docs/reference/config.md are made from it.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Value = int | float | str | tuple[str, ...]
V = TypeVar("V", int, float, str, tuple[str, ...])

PREFIX = "COMMONS_"
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
WORDS_MAX = 16
_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """What one key takes, and one sentence that says what it is for."""

    sentence: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """One key, such as `executor.threads`. Its type is that of its default."""

    section: str
    name: str
    default: Value
    rule: Rule

    @property
    def full(self) -> str:
        """The name with its section, as it is said to people."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{PREFIX}{self.section}_{self.name}".upper()

    @property
    def takes(self) -> str:
        """What it takes, as the end of a sentence."""
        match self.default:
            case int():
                return f"a whole number from {self.rule.low:.0f} to {self.rule.high:.0f}"
            case float():
                return f"a number from {self.rule.low:g} to {self.rule.high:g}"
            case str():
                return f"one of {', '.join(self.rule.choices)}"
        return f"a list of at most {WORDS_MAX} names, each of them once"

    def accept(self, value: object) -> Value:
        """Check a value that has a type already; a ValueError says what is wrong with it."""
        match self.default:
            case int() if type(value) is int and self._in_range(value):
                return value
            case float() if type(value) in {int, float} and self._in_range(value):
                return float(value)  # type: ignore[arg-type]  # mypy does not narrow by a set of types
            case str() if isinstance(value, str) and value in self.rule.choices:
                return value
            case tuple() if isinstance(value, list) and _are_words(value):
                return tuple(value)
        raise ValueError(f"is {shown(value)}, and takes {self.takes}")

    def read(self, text: str) -> Value:
        """Read a value from a variable or a flag, where everything is text."""
        text = text.strip()
        try:
            match self.default:
                case int():
                    return self.accept(int(text))
                case float():
                    return self.accept(float(text))
                case tuple():
                    return self.accept([word.strip() for word in text.split(",")] if text else [])
        except ValueError:
            raise ValueError(f"is {shown(text)}, and takes {self.takes}") from None
        return self.accept(text)

    def _in_range(self, value: object) -> bool:
        assert isinstance(value, int | float)
        return self.rule.low <= value <= self.rule.high  # never true for a NaN


def key(
    default: V,
    sentence: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
) -> V:
    """Declare a key, as the field of a section."""
    rule = Rule(sentence, low=low, high=high, choices=choices)
    made: V = field(default=default, metadata={"default": default, "rule": rule})
    return made


def as_toml(value: Value) -> str:
    """Write a value as a config file has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    # names and choices are plain ASCII, and so JSON's string is TOML's
    return json.dumps(value)


def shown(value: object) -> str:
    """Show a value of anybody's in a message, on one line and not too long."""
    if isinstance(value, str | bool):
        text = json.dumps(value)
    else:
        text = ascii(value) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _are_words(values: Sequence[object]) -> bool:
    words = [value for value in values if isinstance(value, str) and WORD.fullmatch(value)]
    return len(words) == len(values) == len(set(words)) <= WORDS_MAX
