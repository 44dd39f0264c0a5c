# SPDX-License-Identifier: MIT
"""How file, environment and flags become one Config. Which keys there are is in `config`.

What is said later wins: defaults, then `config.toml`, then `COMMONS_*` variables, then flags.
A value that is wrong is an error also where a later one would win: it is not what the owner
meant. Everything that is wrong is told at once, so that he mends it in one go.
"""

import json
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from node.config import KEYS, SECTIONS, Config, made_from
from node.config_key import PREFIX, Value
from node.errors import ConfigError

# A config of every key with a comment has some thousand bytes; more is another file by mistake.
FILE_BYTES_MAX = 1 << 20

# A variable that is so like one of ours is a slip of the pen. Others may begin with our prefix
# too: a cluster sets COMMONS_PORT and more for a service that somebody called "commons".
_SLIP = 0.85


class Source(StrEnum):
    """What kind of place a value comes from; a later one wins."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a key comes from. `where` names the place to a person."""

    source: Source = Source.DEFAULT
    where: str = "default"


@dataclass(frozen=True, slots=True)
class Reading:
    """A config and, for each key, where its value comes from."""

    config: Config
    origins: Mapping[str, Origin]


@dataclass
class _Draft:
    """What was found so far: the last value of each key, and everything that is wrong."""

    values: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, name: str, value: object, origin: Origin) -> None:
        """Take the value of a known key: typed from the file, else text."""
        found = KEYS[name]
        try:
            text = origin.source is not Source.FILE
            typed = found.read(str(value)) if text else found.accept(value)
        except ValueError as error:
            self.problems.append(f"{origin.where}: {name} {error}.")
        else:
            self.values[name], self.origins[name] = typed, origin


def read_config(file: Path, environ: Mapping[str, str], flags: Sequence[str] = ()) -> Reading:
    """Read the config that holds; the ConfigError has a line for each thing that is wrong.

    A flag is `section.key=value`. A file that does not exist says nothing.
    """
    draft = _Draft()
    _read_file(draft, file)
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and text:  # an empty one counts as not set
            _read_variable(draft, name, text)
    for flag in flags:
        _read_flag(draft, flag)
    if draft.problems:
        raise ConfigError("\n".join(draft.problems))
    config = made_from(draft.values)
    check_together(config)
    return Reading(config, {name: draft.origins.get(name, Origin()) for name in KEYS})


def check_together(config: Config) -> None:
    """Check what no key can see alone."""
    one, all_of_them = config.executor.runner_memory_mib, config.executor.memory_mib
    if one > all_of_them:
        raise ConfigError(
            f"executor.runner_memory_mib is {one}, and all runners together have no more than "
            f"executor.memory_mib, which is {all_of_them}: raise the one or lower the other."
        )


def _read_file(draft: _Draft, file: Path) -> None:
    text = _text_of(file)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, a thousand brackets
        draft.problems.append(f"{file}: this is not TOML: {error}.")
        return
    lines = _lines_of_keys(text)
    for section, values in document.items():
        line = lines.get(section)
        if not isinstance(values, dict):
            hint = _hint(section, [*(key.name for key in KEYS.values())])
            draft.problems.append(
                f"{_place(file, line)}: `{_safe(section)}` stands in no section.{hint}"
            )
        elif section not in SECTIONS:
            hint = _hint(section, list(SECTIONS))
            draft.problems.append(
                f"{_place(file, line)}: there is no section `{_safe(section)}`.{hint}"
            )
        else:
            for name, value in values.items():
                full = f"{section}.{name}"
                place = _place(file, lines.get(full, line))
                if full in KEYS:
                    draft.take(full, value, Origin(Source.FILE, place))
                else:
                    draft.problems.append(f"{place}: {_no_key(full)}")


def _text_of(file: Path) -> str:
    """Read a file of the owner, who may have named anything."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no plain file"
            raise ConfigError(f"{file} is {kind}, and the config is a file: move it away.")
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{file} is larger than {FILE_BYTES_MAX} bytes: this is no config.")
    try:
        return data.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{_place(file, line)}: this is no UTF-8 text: save the file as UTF-8."
        ) from error


def _lines_of_keys(text: str) -> dict[str, int]:
    """Find the lines of sections and keys, written plainly as people do. Only messages use it."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        start = line.strip()
        if start.startswith("[") and "]" in start:
            section = start.strip("[").partition("]")[0].strip(' "')
            lines.setdefault(section, number)
        elif "=" in start and not start.startswith("#"):
            name = start.partition("=")[0].replace('"', "").replace(" ", "")
            lines.setdefault(f"{section}.{name}" if section else name, number)
    return lines


def _read_variable(draft: _Draft, name: str, text: str) -> None:
    variables = {key.variable: full for full, key in KEYS.items()}
    if name in variables:
        draft.take(variables[name], text, Origin(Source.ENVIRONMENT, name))
        return
    ours = name.startswith(tuple(f"{PREFIX}{section}_".upper() for section in SECTIONS))
    if ours or get_close_matches(name, variables, n=1, cutoff=_SLIP):
        draft.problems.append(f"no key belongs to {name}.{_hint(name, list(variables))}")


def _read_flag(draft: _Draft, flag: str) -> None:
    name, equals, text = flag.partition("=")
    name = name.strip()
    if not equals:
        draft.problems.append(f"--set {_safe(flag)}: write KEY=VALUE, as executor.threads=2.")
    elif name in KEYS:
        draft.take(name, text, Origin(Source.FLAG, "--set"))
    else:
        draft.problems.append(f"--set: {_no_key(name)}")


def _no_key(full: str) -> str:
    return f"there is no key `{_safe(full)}`.{_hint(full, list(KEYS))}"


def _hint(word: str, known: Sequence[str]) -> str:
    """Name the nearest of the known words, or say where they are all listed."""
    found = get_close_matches(word, known, n=1)
    if not found:
        return " `commons config show` lists all that there is."
    names = [full for full, key in KEYS.items() if found[0] in {full, key.name}]
    return f" Did you mean `{names[0] if names else found[0]}`?"


def _place(file: Path, line: int | None) -> str:
    return f"{file}, line {line}" if line else str(file)


def _safe(name: str) -> str:
    """Write a name of anybody's so that it stays on its line."""
    return json.dumps(name)[1:-1][:80]
