# SPDX-License-Identifier: MIT
"""Happenings: numbered, bounded, guarded as the log is, and honest about what is gone."""

import ast
import re

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.clock import SystemClock
from node.happenings import FIELDS_MAX, GAP, KEPT_MAX, Happenings
from node.log import TEXT_MAX, Log
from protocol.events import Instant
from tests.tree import name_of, python_files

SECRET = b"my-private-prompt"
EVENT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


class StoppedClock(SystemClock):
    def now(self) -> Instant:
        return Instant(mono_s=5.0, wall_s=1_800_000_000.25)


class Heard(Log):
    """A log that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


def happenings_of(count: int) -> Happenings:
    made = Happenings(StoppedClock(), Log())
    for number in range(count):
        made.post("peer_met", which=number + 1)
    return made


def numbers(made: Happenings, since: int) -> list[int]:
    return [each.number for each in made.since(since)]


def test_what_happened_has_a_number_a_time_and_its_fields() -> None:
    made = Happenings(StoppedClock(), Log())
    made.post("peer_met", peer="12D3", rtt_s=0.25)
    assert made.last == 1
    assert [each.as_document() for each in made.since(0)] == [
        {
            "number": 1,
            "at_s": 1_800_000_000.25,
            "event": "peer_met",
            "fields": {"peer": "12D3", "rtt_s": 0.25},
        }
    ]


def test_what_happened_stands_in_the_log_too() -> None:
    heard = Heard()
    Happenings(StoppedClock(), heard).post("peer_met", peer="12D3")
    assert heard.lines == [("peer_met", {"peer": "12D3"})]


def test_a_reader_is_told_only_what_it_has_not_seen() -> None:
    made = happenings_of(5)
    assert numbers(made, 0) == [1, 2, 3, 4, 5]
    assert numbers(made, 3) == [4, 5]
    assert numbers(made, 5) == []


def test_only_the_newest_are_kept_and_a_gap_says_how_many_are_gone() -> None:
    made = happenings_of(KEPT_MAX + 10)
    told = made.since(4)
    assert (told[0].event, told[0].number, told[0].fields) == (GAP, 10, {"missed": 6})
    assert [each.number for each in told[1:]] == list(range(11, KEPT_MAX + 11))
    assert numbers(made, 10) == list(range(11, KEPT_MAX + 11))


def test_a_number_of_an_earlier_start_is_a_gap_and_then_all_that_there_is() -> None:
    told = happenings_of(2).since(77)
    assert (told[0].event, told[0].fields) == (GAP, {"restarted": True})
    assert [each.number for each in told[1:]] == [1, 2]


def test_no_content_of_a_model_and_no_long_text_is_kept() -> None:
    made = Happenings(StoppedClock(), Log())
    made.post("order_done", output=SECRET, text="x" * 10_000, thing=object(), many=[0] * 100)
    (told,) = made.since(0)
    assert told.fields["output"] == f"{len(SECRET)} bytes"
    assert len(str(told.fields["text"])) <= TEXT_MAX + 3
    assert told.fields["thing"] == "object"
    assert len(str(told.fields["many"])) < 100
    assert "private" not in str(told)


def test_a_text_of_a_stranger_has_no_power_over_the_terminal() -> None:
    made = Happenings(StoppedClock(), Log())
    made.post("peer_left", detail="\x1b[2J")
    assert made.since(0)[0].fields["detail"] == "\\x1b[2J"


def test_a_happening_with_too_many_fields_is_a_mistake_of_ours() -> None:
    made = Happenings(StoppedClock(), Log())
    with pytest.raises(AssertionError, match="17 fields"):
        made.post("peer_met", **{f"f{number}": 0 for number in range(FIELDS_MAX + 1)})


async def test_a_follower_gets_what_was_and_waits_for_what_comes() -> None:
    made = happenings_of(2)
    seen: list[int] = []

    async def read() -> None:
        async for each in made.follow(0):
            seen.append(each.number)  # noqa: PERF401 - it is looked at meanwhile

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert seen == [1, 2]
        made.post("peer_left")
        made.post("peer_met")
        await wait_all_tasks_blocked()
        assert seen == [1, 2, 3, 4]
        nursery.cancel_scope.cancel()


async def test_all_followers_are_woken() -> None:
    made = happenings_of(0)
    woken: list[int] = []

    async def read() -> None:
        woken.append((await anext(made.follow(0))).number)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read)
        await wait_all_tasks_blocked()
        made.post("peer_met")
    assert woken == [1] * 5


async def test_a_follower_that_is_too_slow_is_told_of_the_gap_and_goes_on() -> None:
    made = happenings_of(3)
    reader = made.follow(0)
    assert (await anext(reader)).number == 1
    for _ in range(KEPT_MAX + 5):
        made.post("peer_met")
    gap = await anext(reader)
    assert (gap.event, gap.fields) == (GAP, {"missed": 7})
    assert (await anext(reader)).number == 9


async def test_a_long_row_of_old_ones_holds_up_nobody() -> None:
    made = happenings_of(KEPT_MAX)
    reader = made.follow(0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(100):
            await anext(reader)
        nursery.cancel_scope.cancel()
    assert turns > 50


def posted(source: str) -> list[ast.Call]:
    """Every call of `post` on something that is called happenings."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "post"
        and "happenings" in ast.unparse(node.func.value).lower()
    ]


def test_every_event_is_a_constant_in_snake_case() -> None:
    """So that an event that somebody saw leads to the place that posted it."""
    for path in python_files("node", "simulations"):
        source = path.read_text(encoding="utf-8")
        for call in posted(source) if ".post(" in source else ():
            event = call.args[0]
            named = isinstance(event, ast.Constant) and EVENT.fullmatch(str(event.value))
            assert named, f"{name_of(path)}:{call.lineno}"
