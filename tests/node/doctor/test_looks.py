# SPDX-License-Identifier: MIT
"""A look that crashes or hangs is a finding, and the others are taken all the same."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from node.api.documents import Finding
from node.doctor.inside import MACHINE, MESH
from node.doctor.looks import WORDS_MAX, Look, at_once, blocking, look_at, passed, words_of
from node.doctor.outside import LOOKS
from tests.node.doctor.scenes import states


def fine(_: str) -> list[Finding]:
    return [passed("fine", "It is fine.")]


def broken(scene: str) -> list[Finding]:
    raise KeyError(f"nobody foresaw {scene}")


async def hanging(_: str) -> Sequence[Finding]:
    await trio.sleep_forever()
    return []


async def test_a_look_that_crashes_is_a_failure_with_its_error_and_ends_nothing() -> None:
    looks = (Look("broken", at_once(broken)), Look("fine", at_once(fine)))
    crashed, other = await look_at("this", looks)
    assert (crashed.name, crashed.state) == ("broken", "fail")
    assert "KeyError" in crashed.sentence
    assert "nobody foresaw this" in crashed.sentence
    assert "--report" in crashed.next_step
    assert other.state == "pass"


async def test_a_blocking_look_that_crashes_is_told_in_the_same_way() -> None:
    [crashed] = await look_at("this", (Look("broken", blocking(broken)),))
    assert "KeyError" in crashed.sentence


async def test_what_this_user_may_not_see_is_no_crash() -> None:
    def closed(_: object) -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/srv/ann/state")

    [found] = await look_at("this", (Look("folders", at_once(closed)),))
    assert found.sentence == "/srv/ann/state cannot be seen: Permission denied."
    assert "COMMONS_HOME" in found.next_step


async def test_a_look_that_hangs_is_a_failure_after_its_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    looks = (Look("hanging", hanging, 7.0), Look("fine", at_once(fine)))
    begin_s = trio.current_time()
    hung, other = await look_at("this", looks)
    assert trio.current_time() - begin_s == 7.0
    assert (hung.name, hung.state) == ("hanging", "fail")
    assert "within 7 s" in hung.sentence
    assert other.state == "pass"


async def test_what_is_found_stands_in_the_order_of_the_table() -> None:
    async def late(_: str) -> list[Finding]:
        for _again in range(5):
            await trio.lowlevel.checkpoint()
        return [passed("late", "It took a while.")]

    found = await look_at("this", (Look("late", late), Look("fine", at_once(fine))))
    assert [each.name for each in found] == ["late", "fine"]
    assert states(found) == ["pass", "pass"]


def test_the_innermost_error_of_a_group_is_named_and_a_long_one_cut() -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("it was this.")])])
    assert words_of(group) == "ValueError: it was this"
    assert len(words_of(ValueError("x" * 5000))) == WORDS_MAX


@pytest.mark.parametrize("table", [LOOKS, MACHINE, MESH], ids=["outside", "machine", "mesh"])
def test_every_look_has_a_name_of_its_own_and_a_deadline(table: Sequence[Look[object]]) -> None:
    names = [each.name for each in table]
    assert len(names) == len(set(names))
    assert all(0 < each.deadline_s <= 30 for each in table)
