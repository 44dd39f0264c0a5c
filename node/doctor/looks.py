# SPDX-License-Identifier: MIT
"""How the doctor looks: one small function for each thing, all in a table. What they see is theirs.

A look finds things and mends nothing. One that hangs or crashes is a finding of its own, and
the others are not concerned.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import trio

from node.api.documents import Finding
from node.executor.aside import glance
from node.leaves import innermost

SceneT = TypeVar("SceneT")

PASS, WARN, FAIL = "pass", "warn", "fail"
STATES = (PASS, WARN, FAIL)

#: What is in memory, or on a disk that answers, is seen in a moment.
LOOK_S = 5.0

#: A finding is read on a screen; what follows after this many characters is for the log.
WORDS_MAX = 400

ASK = "Send the file that `commons doctor --report FILE` writes to whoever mends the program."
NOT_YOURS = "Look as the user whose node it is, or set COMMONS_HOME to a folder of yours."


def passed(name: str, sentence: str, next_step: str = "") -> Finding:
    """Say that something is as it should be."""
    return Finding(name, PASS, sentence, next_step)


def warning(name: str, sentence: str, next_step: str = "") -> Finding:
    """Say that something keeps the node from doing all that it could."""
    return Finding(name, WARN, sentence, next_step)


def failure(name: str, sentence: str, next_step: str = "") -> Finding:
    """Say that something keeps the node from doing what it is for."""
    return Finding(name, FAIL, sentence, next_step)


@dataclass(frozen=True, slots=True)
class Look(Generic[SceneT]):
    """One look at a scene: its name, what it does, and how long that may take."""

    name: str
    see: Callable[[SceneT], Awaitable[Sequence[Finding]]]
    deadline_s: float = field(default=LOOK_S)


def blocking(
    see: Callable[[SceneT], Sequence[Finding]],
) -> Callable[[SceneT], Awaitable[Sequence[Finding]]]:
    """Make a look of a function that may wait for a disk."""

    async def look(scene: SceneT) -> Sequence[Finding]:
        return await glance(partial(see, scene))

    return look


def at_once(
    see: Callable[[SceneT], Sequence[Finding]],
) -> Callable[[SceneT], Awaitable[Sequence[Finding]]]:
    """Make a look of a function that only reads what is in memory."""

    async def look(scene: SceneT) -> Sequence[Finding]:
        await trio.lowlevel.checkpoint()
        return see(scene)

    return look


async def look_at(scene: SceneT, looks: Sequence[Look[SceneT]]) -> tuple[Finding, ...]:
    """Take all looks side by side; give what was found in the order of the table."""
    found: list[Sequence[Finding]] = [()] * len(looks)

    async def take(number: int, look: Look[SceneT]) -> None:
        found[number] = await _taken(scene, look)

    async with trio.open_nursery() as nursery:
        for number, look in enumerate(looks):
            nursery.start_soon(take, number, look)
    return tuple(finding for each in found for finding in each)


async def _taken(scene: SceneT, look: Look[SceneT]) -> Sequence[Finding]:
    with trio.move_on_after(look.deadline_s):
        try:
            return await look.see(scene)
        except (PermissionError, NotADirectoryError) as error:
            sentence = f"{error.filename or 'A file'} cannot be seen: {error.strerror or error}."
            return [failure(look.name, sentence, NOT_YOURS)]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told as what was found
            return [failure(look.name, f"This look crashed: {words_of(error)}.", ASK)]
    sentence = f"Nothing was seen within {look.deadline_s:g} s: what this looks at hangs."
    return [failure(look.name, sentence, ASK)]


def words_of(error: BaseException) -> str:
    """Name the innermost error of a group, in bearable length and without its full stop."""
    inner = innermost(error)
    text = f"{type(inner).__name__}: {inner}" if str(inner) else type(inner).__name__
    return text[:WORDS_MAX].rstrip(".")
