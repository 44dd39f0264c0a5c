# SPDX-License-Identifier: MIT
"""A runner that lies ends itself and nothing else: not the daemon, not its time, not its memory.

Where somebody waits, time is virtual: he finds his deadline at once, and exactly.
"""

from contextlib import suppress

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from node.executor.wire import INLINE_BYTES_MAX, TABLE_BYTES_MAX, Op, Place, head_bytes
from protocol.errors import Refused
from protocol.limits import PORTS_MAX
from protocol.reasons import Reason
from tests.node.executor.lying_runner import (
    BIG,
    DEADLINE_S,
    FOUR,
    SMALL,
    Liar,
    assert_gone,
    call,
    done,
    done_shared,
    failed,
    float_rows,
    lied_to,
    needs,
    raw,
    ready,
    refusal,
    row,
    saying,
)

# --- an honest one, to know that the others are refused for what they are -------------------------


async def test_an_honest_runner_is_heard() -> None:
    async def be_honest(liar: Liar) -> None:
        await liar.say(ready())
        for _ in range(2):
            await liar.hear_call()
            await liar.say(done(FOUR, busy_us=7))

    async with lied_to(be_honest) as link:
        await link.ready(DEADLINE_S)
        assert [port.name for port in (*link.inputs, *link.outputs)] == ["x", "y"]
        for inputs in ((), (SMALL,)):
            answer = await call(link, *inputs)
            assert [bytes(each.data) for each in answer.tensors] == [FOUR]
            assert 0 < answer.busy_s <= 7e-6
        assert not link.gone


async def test_an_answer_may_come_byte_by_byte(autojump_clock: MockClock) -> None:
    async def stutter(liar: Liar) -> None:
        await liar.hear_call()
        for byte in done(FOUR):
            await liar.say(bytes([byte]))
            await trio.sleep(0.01)

    async with lied_to(stutter) as link:
        assert bytes((await call(link)).tensors[0].data) == FOUR
    assert autojump_clock.current_time() > 0.5


async def test_a_runner_that_says_what_is_wrong_may_go_on() -> None:
    async def fail_once(liar: Liar) -> None:
        await liar.hear_call()
        await liar.say(failed(Reason.RUN_FAILED, "a bad day"))
        await liar.hear_call()
        await liar.say(done(FOUR))

    async with lied_to(fail_once) as link:
        refused = await refusal(link)
        assert (refused.reason, refused.detail) == (Reason.RUN_FAILED, "a bad day")
        assert len((await call(link)).tensors) == 1


# --- lies in an answer ----------------------------------------------------------------------------


ANSWERS = {
    "a word that nobody knows": raw(op=0),
    "a word that nobody knows either": raw(op=255),
    "a word of ours": raw(op=Op.RUN),
    "ready, again": ready(),
    "another session": done(FOUR, session=1),
    "the highest session": raw(session=0xFFFF_FFFF),
    "one byte too many": done(FOUR) + b"!",
    "two answers": done(FOUR) * 2,
    "an answer and a failure": done(FOUR) + failed(),
    "more bytes than it announced": raw() + FOUR,
    "a table of 4 GB": raw(0xFFFF_FFFF),
    "a table just over its cap": raw(TABLE_BYTES_MAX + 1),
    "data of 2^64 bytes": raw(inline_bytes=0xFFFF_FFFF_FFFF_FFFF),
    "data just over their cap": raw(inline_bytes=INLINE_BYTES_MAX + 1),
    "65,535 tensors": raw(count=0xFFFF),
    "more tensors than a call may have": head_bytes(
        Op.DONE, float_rows(PORTS_MAX + 1), count=PORTS_MAX + 1, inline_bytes=4 * (PORTS_MAX + 1)
    ),
    "tensors without a table": raw(count=1),
    "a table without tensors": raw(5) + b"table",
    "data without tensors": raw(inline_bytes=4) + FOUR,
    "a tensor without its data": head_bytes(Op.DONE, float_rows(1), count=1),
    "a tensor of half its data": head_bytes(Op.DONE, float_rows(1), count=1, inline_bytes=2)
    + FOUR[:2],
    "a tensor in shared memory that is not there": done_shared(0, 1),
    "a tensor before shared memory": done_shared((1 << 64) - 4, 4),
    "a header of another size": head_bytes(Op.DONE, row(0, 2, 0) + b"\1\1", count=1),
    "noise": bytes(range(256)) * 300,
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a reason that does not exist": failed("no_such_reason"),
    "no reason": head_bytes(Op.FAILED),
    "a reason that is no text": head_bytes(Op.FAILED, b"\xff\xfe\x00"),
    "that the requester is banned": failed(Reason.BANNED),
    "that the executor is paused": failed(Reason.PAUSED),
    "that it was handed back": failed(Reason.HANDED_BACK),
    "that its deadline is over": failed(Reason.DEADLINE),
    "that the machine contains nobody": failed(Reason.NOT_CONTAINED),
    "a failure and more": failed() + b"!",
    "a failure and the next answer": failed() + done(FOUR),
    "a failure with data": raw(11, Op.FAILED, inline_bytes=4) + b"run_failed\n" + FOUR,
    "a failure of another session": failed(session=1),
    "a need of nothing said": needs(""),
    "a need of words": needs("much"),
    "a need below zero": needs(-1),
    "a need of 2^63 bytes": needs(1 << 63),
    "a need of many digits": needs("9" * 20),
    "a need of more digits than are read": needs("0" * 1000 + "1"),
    "a need in the digits of another script": needs("\u0663"),
}


@pytest.mark.parametrize("lie", ANSWERS.values(), ids=ANSWERS)
async def test_a_lie_ends_the_runner(lie: bytes) -> None:
    async with lied_to(saying(lie)) as link:
        refused = await refusal(link)
        assert refused.reason is Reason.RUN_FAILED
        assert "broke the rules" in refused.detail
        assert refused.detail.isprintable()
        assert len(refused.detail) < 1000
        assert_gone(link)
        again = await refusal(link)
        assert again.reason is Reason.IDLE


ANSWERS_TO_A_BIG_CALL = {
    "one byte behind the end": done_shared((1 << 20) - 3, 4),
    "at the very end": done_shared(1 << 20, 1),
    "far outside": done_shared(1 << 40, 1),
    "before the beginning": done_shared((1 << 64) - 1, 1),
    "more than there is": done_shared(0, (1 << 20) + 1),
    "one inside, one outside": head_bytes(
        Op.DONE,
        float_rows(1, place=Place.SHARED)[:11]
        + row(1, 18, 1 << 20)
        + float_rows(2, place=Place.SHARED)[22:],
        count=2,
    ),
    "a need, though it was told where": needs(100),
}


@pytest.mark.parametrize("lie", ANSWERS_TO_A_BIG_CALL.values(), ids=ANSWERS_TO_A_BIG_CALL)
async def test_a_lie_about_shared_memory_ends_the_runner(lie: bytes) -> None:
    async with lied_to(saying(lie)) as link:
        refused = await refusal(link, BIG, expected=[BIG.header])
        assert refused.reason is Reason.RUN_FAILED
        assert "broke the rules" in refused.detail
        assert_gone(link)


async def test_the_last_byte_of_shared_memory_is_inside() -> None:
    async with lied_to(saying(done_shared((1 << 20) - 4, 4))) as link:
        answer = await call(link, BIG, expected=[BIG.header])
        assert bytes(answer.tensors[0].data) == bytes(4)
        del answer


async def test_a_runner_that_needs_room_gets_it_once() -> None:
    async def need_twice(liar: Liar) -> None:
        await liar.hear_call()
        await liar.say(needs(5))
        assert (await liar.hear()).op == Op.ROOM_OUT
        assert (await liar.hear()).op == Op.AGAIN
        await liar.say(needs(6))

    async with lied_to(need_twice) as link:
        refused = await refusal(link)
        assert refused.reason is Reason.RUN_FAILED
        assert "word 67" in refused.detail
        assert_gone(link)


async def test_a_runner_that_needs_less_than_it_has_gets_nothing_new() -> None:
    async def need(liar: Liar) -> None:
        for size_bytes in (5, 0, 1 << 20):
            await liar.hear_call()
            await liar.say(needs(size_bytes))
            assert (await liar.hear_call()).op == Op.AGAIN
            await liar.say(done_shared(0, 1))
        assert [head.op for head in liar.heard].count(Op.ROOM_OUT) == 1

    async with lied_to(need) as link:
        for _ in range(3):
            assert len((await call(link)).tensors) == 1


async def test_escape_codes_do_not_reach_a_terminal() -> None:
    async with lied_to(saying(failed(Reason.RUN_FAILED, "\x1b[2J\x07\r\nall is well"))) as link:
        refused = await refusal(link)
        assert refused.detail.isprintable()
        assert "all is well" in refused.detail


# --- anything -------------------------------------------------------------------------------------

WORDS = [
    *(
        done(FOUR),
        done(FOUR)[:-1],
        done(FOUR)[1:],
        done(),
        done_shared(0, 4),
        done_shared(1, 1 << 20),
    ),
    *(
        failed(),
        failed("paused"),
        needs(3),
        needs(1 << 21),
        ready(),
        raw(),
        raw(9),
        raw(op=Op.NEEDS),
    ),
]
words = st.lists(st.sampled_from(WORDS) | st.binary(max_size=80), max_size=6)


@given(words, words, st.booleans(), st.booleans())
def test_whatever_a_runner_says_ends_in_an_answer_or_a_refusal(
    loading: list[bytes], running: list[bytes], big: bool, bound: bool
) -> None:
    async def speak(liar: Liar) -> None:
        await liar.say(*loading)
        while True:
            await liar.hear()
            await liar.say(*running)

    async def listen() -> None:
        async with lied_to(speak) as link:
            inputs = (BIG,) if big else (SMALL,)
            with suppress(Refused):
                await link.ready(DEADLINE_S)
            for _ in range(3):
                with suppress(Refused):
                    answer = await call(link, *inputs, expected=[BIG.header] if bound else None)
                    assert all(not each.header.broken_rule() for each in answer.tensors)
                    del answer

    trio.run(listen, clock=MockClock(autojump_threshold=0))
