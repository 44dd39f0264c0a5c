# SPDX-License-Identifier: MIT
"""A key of the config: what it takes, how it is read, and what is said about it.

Which keys there are is in `config`. All that is known about one stands in one place, and the
checks, the messages, `commons config show` and docs/reference/config.md are made from it.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Value = bool | int | float | str | tuple[str, ...]
V = TypeVar("V", bool, int, float, str, tuple[str, ...])

PREFIX = "COMMONS_"
WORDS_MAX = 16
YES, NO = "true", "false"

# An empty variable counts as not set, so an empty list needs a word where all is text.
NONE = "none"
_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like, and how that is said to a person."""

    pattern: str
    means: str
    #: What a pattern cannot say; it is asked only of a text that has the pattern.
    also: Callable[[str], bool] = lambda _: True

    def fits(self, text: str) -> bool:
        """Whether the whole text has this form."""
        return re.fullmatch(self.pattern, text) is not None and self.also(text)


NAME = Form(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", "names")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one key takes, and one sentence that says what it is for."""

    sentence: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    form: Form = NAME


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
            case bool():
                return f"{YES} or {NO}"
            case int():
                return f"a whole number from {self.rule.low:.0f} to {self.rule.high:.0f}"
            case float():
                return f"a number from {self.rule.low:g} to {self.rule.high:g}"
            case str() if self.rule.choices:
                return f"one of {', '.join(self.rule.choices)}"
            case str():
                return f"{self.rule.form.means}, or nothing"
        return f"a list of at most {WORDS_MAX} {self.rule.form.means}, each of them once"

    def accept(self, value: object) -> Value:
        """Check a value that has a type already; a ValueError says what is wrong with it."""
        match self.default:
            case bool() if type(value) is bool:
                return value
            case bool():
                pass  # a bool is an int, and no key of the one takes the other
            case int() if type(value) is int and self._in_range(value):
                return value
            case float() if type(value) in {int, float} and self._in_range(value):
                return float(value)  # type: ignore[arg-type]  # mypy does not narrow by a set of types
            case str() if isinstance(value, str) and self._is_text(value):
                return value
            case tuple() if isinstance(value, list) and self._are_texts(value):
                return tuple(value)
        raise ValueError(f"is {shown(value)}, and takes {self.takes}")

    def read(self, text: str) -> Value:
        """Read a value from a variable or a flag, where everything is text."""
        text = text.strip()
        try:
            match self.default:
                case bool():
                    return self.accept({YES: True, NO: False}.get(text.lower()))
                case int():
                    return self.accept(int(text))
                case float():
                    return self.accept(float(text))
                case tuple():
                    words = [] if text in {"", NONE} else text.split(",")
                    return self.accept([word.strip() for word in words])
        except ValueError:
            raise ValueError(f"is {shown(text)}, and takes {self.takes}") from None
        return self.accept(text)

    def _is_text(self, value: str) -> bool:
        if self.rule.choices:
            return value in self.rule.choices
        return not value or self.rule.form.fits(value)

    def _are_texts(self, values: Sequence[object]) -> bool:
        texts = [value for value in values if isinstance(value, str) and self.rule.form.fits(value)]
        return len(texts) == len(values) == len(set(texts)) <= WORDS_MAX

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
    form: Form = NAME,
) -> V:
    """Declare a key, as the field of a section. A text has a form, or is one of the choices."""
    rule = Rule(sentence, low=low, high=high, choices=choices, form=form)
    made: V = field(default=default, metadata={"default": default, "rule": rule})
    return made


def as_toml(value: Value) -> str:
    """Write a value as a config file has it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    # texts are plain ASCII, and so JSON's string is TOML's, as its true and false are
    return json.dumps(value)


def shown(value: object) -> str:
    """Show a value of anybody's in a message, on one line and not too long."""
    if isinstance(value, str | bool):
        text = json.dumps(value)
    else:
        text = ascii(value) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
