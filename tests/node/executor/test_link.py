# SPDX-License-Identifier: MIT
"""A runner that lies ends itself and nothing else: not the daemon, not its time, not its memory.

Where somebody waits, time is virtual: he finds his deadline at once, and exactly.
"""

import gc
import os
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from node.executor.link import Answer, Link
from node.executor.wire import (
    HEAD,
    INLINE_BYTES_MAX,
    TABLE_BYTES_MAX,
    Op,
    Place,
    Placed,
    head_bytes,
    table_bytes,
)
from protocol.errors import Refused
from protocol.limits import PORTS_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader
from tests.node.executor.lying_runner import (
    DESCRIPTION,
    Liar,
    Lie,
    done,
    done_shared,
    failed,
    linked,
    needs,
    ready,
)

pytestmark = pytest.mark.usefixtures("_nothing_is_left")

DEADLINE_S = 5.0
FOUR = b"\0\0\x80\x40"
BIG = Tensor(ElementType.UINT8, (INLINE_BYTES_MAX + 1,), bytes(INLINE_BYTES_MAX + 1))
SMALL = Tensor(ElementType.FLOAT, (1,), FOUR)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting descriptors, not files


def rooms_mapped() -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:room")


@pytest.fixture
def _nothing_is_left() -> Iterator[None]:
    before = rooms_mapped()
    yield
    assert rooms_mapped() == before


@asynccontextmanager
async def lied_to(lie: Lie) -> AsyncIterator[Link]:
    """Give a link to a liar; afterwards all that it held is given back, and time went on."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.25)
            ticks += 1

    before, begin_s = descriptors(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        async with linked(lie) as link:
            yield link
        nursery.cancel_scope.cancel()
    assert ticks >= int((trio.current_time() - begin_s) / 0.25) - 1
    if descriptors() != before:
        gc.collect()  # what pytest remembers of an exception holds views of shared memory
    assert descriptors() == before


def saying(*parts: bytes) -> Lie:
    """Answer the first call with these words."""

    async def lie(liar: Liar) -> None:
        await liar.hear_call()
        await liar.say(*parts)

    return lie


async def call(link: Link, *inputs: Tensor, **more: object) -> Answer:
    async with link.turn():
        return await link.call(Op.RUN, inputs, deadline_s=DEADLINE_S, **more)  # type: ignore[arg-type]  # as the test says


async def refusal(link: Link, *inputs: Tensor, **more: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await call(link, *inputs, **more)
    return caught.value


def assert_gone(link: Link) -> None:
    assert link.gone
    assert link.shared_bytes == 0
    assert link.child.ended.is_set()


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


def float_rows(count: int, *, place: Place = Place.INLINE, size_bytes: int = 4) -> bytes:
    header = TensorHeader(ElementType.FLOAT, (size_bytes // 4,), size_bytes)
    return table_bytes([Placed(place, header, 0)] * count)


def raw(
    table_size: int = 0, op: int = Op.DONE, count: int = 0, inline_bytes: int = 0, session: int = 0
) -> bytes:
    """Write a head that says what it likes."""
    return HEAD.pack(table_size, op, 0, count, session, inline_bytes, 0)


def row(place: int, header_bytes: int, offset: int) -> bytes:
    return struct.pack("<BHQ", place, header_bytes, offset)


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
    "a need of more digits than are read": needs("0" * 19 + "1" * 1000),
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


# --- silence, floods, leaving ---------------------------------------------------------------------


async def silent(liar: Liar) -> None:
    await liar.hear_call()
    await trio.sleep_forever()


async def deaf(liar: Liar) -> None:
    del liar
    await trio.sleep_forever()


@pytest.mark.parametrize("lie", [silent, deaf], ids=["silent", "deaf"])
@pytest.mark.parametrize("inputs", [(), (SMALL,), (BIG,), (SMALL,) * PORTS_MAX], ids=len)
async def test_silence_ends_at_the_deadline(
    lie: Lie, inputs: tuple[Tensor, ...], autojump_clock: MockClock
) -> None:
    async with lied_to(lie) as link:
        refused = await refusal(link, *inputs)
        assert refused.reason is Reason.DEADLINE
        assert autojump_clock.current_time() == DEADLINE_S
        assert_gone(link)


async def test_a_runner_that_does_not_read_cannot_hold_the_daemon_in_sending(
    autojump_clock: MockClock,
) -> None:
    """Its socket is full, so even the first byte of the next call has no place."""

    async with lied_to(deaf) as link:
        while True:
            try:
                link._socket.send(bytes(1 << 16))
            except BlockingIOError:
                break
        refused = await refusal(link, SMALL)
        assert refused.reason is Reason.DEADLINE
        assert autojump_clock.current_time() == DEADLINE_S
        assert_gone(link)


@pytest.mark.parametrize("piece", [b"\0", bytes(HEAD.size), b"\1" * 500, bytes(1 << 16)], ids=len)
async def test_a_flood_ends_the_runner(piece: bytes) -> None:
    """It says nothing but this, for as long as somebody takes it."""

    async def flood(liar: Liar) -> None:
        while True:
            await liar.say(piece)

    async with lied_to(flood) as link:
        refused = await refusal(link)
        assert refused.reason is Reason.RUN_FAILED
        assert_gone(link)


async def test_a_flood_before_a_call_takes_no_memory_of_the_daemon() -> None:
    """What nobody asked for stays in the socket: the kernel has a bound for that."""
    said = 0

    async def flood(liar: Liar) -> None:
        nonlocal said
        while True:
            said += await liar.socket.send(bytes(1 << 16))

    async with lied_to(flood) as link:
        await trio.testing.wait_all_tasks_blocked()
        assert said < 8 << 20
        assert len(link._heard) == 0


@pytest.mark.parametrize("cut", [0, 1, HEAD.size - 1, HEAD.size, HEAD.size + 5, -1])
async def test_a_message_that_ends_in_the_middle(cut: int) -> None:
    async def leave(liar: Liar) -> None:
        await liar.hear_call()
        await liar.say(done(FOUR)[:cut])
        liar.close()

    async with lied_to(leave) as link:
        refused = await refusal(link)
        assert refused.reason is Reason.RUN_FAILED
        assert "SIGKILL" in refused.detail
        assert_gone(link)


@pytest.mark.parametrize("inputs", [(), (SMALL,), (BIG,)], ids=len)
async def test_a_runner_that_has_left_is_noticed(inputs: tuple[Tensor, ...]) -> None:
    async def leave(liar: Liar) -> None:
        liar.close()

    async with lied_to(leave) as link:
        await trio.testing.wait_all_tasks_blocked()
        refused = await refusal(link, *inputs)
        assert refused.reason is Reason.RUN_FAILED
        assert_gone(link)


async def test_a_runner_that_has_left_is_noticed_where_its_inputs_are_placed() -> None:
    async def leave(liar: Liar) -> None:
        liar.close()

    async with lied_to(leave) as link:
        await trio.testing.wait_all_tasks_blocked()
        async with link.turn():
            with pytest.raises(Refused) as caught:
                await link.place([BIG.header])
        assert caught.value.reason is Reason.RUN_FAILED
        assert_gone(link)


async def test_a_caller_that_leaves_takes_the_runner_along(autojump_clock: MockClock) -> None:
    async with lied_to(silent) as link:
        with trio.move_on_after(1):
            await call(link, SMALL)
        assert autojump_clock.current_time() == 1
        assert_gone(link)


async def test_a_runner_that_is_ended_while_it_works_says_why() -> None:
    async with lied_to(silent) as link, trio.open_nursery() as nursery:

        async def wait_for_it() -> None:
            refused = await refusal(link, SMALL)
            assert refused.reason is Reason.PAUSED
            assert "lunch" in refused.detail

        nursery.start_soon(wait_for_it)
        await trio.testing.wait_all_tasks_blocked()
        await link.end("lunch", Reason.PAUSED)


async def test_a_runner_that_is_ended_while_something_big_is_copied_says_why() -> None:
    huge = Tensor(ElementType.UINT8, (4 << 20,), bytes(4 << 20))
    async with lied_to(silent) as link, trio.open_nursery() as nursery:

        async def wait_for_it() -> None:
            refused = await refusal(link, huge)
            assert refused.reason is Reason.PAUSED

        nursery.start_soon(wait_for_it)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        assert link.shared_bytes
        await link.end("lunch", Reason.PAUSED)


async def test_whoever_waits_for_his_turn_hears_that_the_runner_is_gone(
    autojump_clock: MockClock,
) -> None:
    async with lied_to(silent) as link, trio.open_nursery() as nursery:
        reasons = []

        async def wait_for_it() -> None:
            reasons.append((await refusal(link, SMALL)).reason)

        for _ in range(3):
            nursery.start_soon(wait_for_it)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(2 * DEADLINE_S)
        assert reasons == [Reason.DEADLINE, Reason.HANDED_BACK, Reason.HANDED_BACK]
        assert autojump_clock.current_time() == 2 * DEADLINE_S


async def test_an_answer_that_nobody_asked_for_is_not_the_next_ones() -> None:
    """Between two calls nothing may come; whoever says something then is not believed again."""

    async def speak_up(liar: Liar) -> None:
        await liar.say(ready(), done(FOUR))

    async with lied_to(speak_up) as link:
        with pytest.raises(Refused) as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert_gone(link)


# --- sessions -------------------------------------------------------------------------------------


async def test_a_session_is_forgotten_without_disturbing_anybody(autojump_clock: MockClock) -> None:
    """A word that fell into the middle of another call's bytes would be taken for data."""

    async def listen(liar: Liar) -> None:
        await trio.sleep(1)  # the first call fills the socket, and still has something to say
        await liar.hear_call()
        await liar.say(done(FOUR))
        assert (await liar.hear()).op == Op.CLOSE
        assert (await liar.hear()).op == Op.RUN
        await liar.say(done(FOUR))
        assert (await liar.hear()).op == Op.CLOSE

    wide = Tensor(ElementType.UINT8, (INLINE_BYTES_MAX,), bytes(INLINE_BYTES_MAX))
    async with lied_to(listen) as link, trio.open_nursery() as nursery:
        link._socket.setsockopt(1, 7, 4096)  # SOL_SOCKET, SO_SNDBUF
        nursery.start_soon(call, link, wide)
        await trio.testing.wait_all_tasks_blocked()
        await link.forget(9)
        await call(link, SMALL)
        await link.forget(10)
        assert autojump_clock.current_time() == 1


async def test_forgetting_is_fine_when_the_runner_has_left() -> None:
    async def leave(liar: Liar) -> None:
        liar.close()

    async with lied_to(leave) as link:
        await trio.testing.wait_all_tasks_blocked()
        await link.forget(1)
        await link.forget(2)


# --- while it loads -------------------------------------------------------------------------------


def described(**changed: object) -> bytes:
    return ready({**DESCRIPTION, **changed})


def document(data: bytes) -> bytes:
    return head_bytes(Op.READY, data)


PORT = ["x", 1, []]
DESCRIPTIONS = {
    "garbage": document(b"\x00\xff garbage"),
    "nothing": document(b""),
    "a list": ready([]),
    "a number": ready(5),
    "null": document(b"null"),
    "a deep list": document(b"[" * TABLE_BYTES_MAX),
    "a deep object": document(b'{"inputs":' * (TABLE_BYTES_MAX // 10)),
    "a long number": document(b"9" * TABLE_BYTES_MAX),
    "a port with a long number": document(b'{"inputs":[["x",1,[' + b"9" * 100_000 + b"]]]}"),
    "not a number": described(inputs=[["x", float("nan"), []]]),
    "infinity": described(inputs=[["x", float("inf"), []]]),
    "no inputs": ready({"outputs": [], "layers": []}),
    "no layers": ready({"inputs": [], "outputs": []}),
    "inputs that are text": described(inputs="ports"),
    "inputs that are an object": described(inputs={"x": 1}),
    "inputs that are null": described(inputs=None),
    "too many inputs": described(inputs=[PORT] * (PORTS_MAX + 1)),
    "too many outputs": described(outputs=[PORT] * 80_000),
    "a million ports": document(
        b'{"inputs":[' + b"[]," * 300_000 + b'[]],"outputs":[],"layers":[]}'
    ),
    "a port of two": described(inputs=[["x", 1]]),
    "a port of four": described(inputs=[["x", 1, [], 0]]),
    "a port that is text": described(inputs=["xyz", "ab"]),
    "a type that does not exist": described(inputs=[["x", 0, []]]),
    "a type that is a long text": described(inputs=[["x", "\x1b" * 100_000, []]]),
    "a type that is a list": described(inputs=[["x", [1], []]]),
    "dimensions that are a number": described(inputs=[["x", 1, 5]]),
    "dimensions that are null": described(inputs=[["x", 1, None]]),
    "too many dimensions": described(inputs=[["x", 1, [1] * 100_000]]),
    "layers of two": described(layers=[["seccomp", True]]),
    "layers that are a number": described(layers=7),
    "too many layers": described(layers=[["a", True, "b"]] * 50_000),
    "something else": done(FOUR),
    "a need": needs(5),
    "noise": bytes(range(256)) * 300,
    "a table of 4 GB": raw(0xFFFF_FFFF, Op.READY),
    "data as well": raw(2, Op.READY, inline_bytes=4) + b"{}" + FOUR,
    "a reason that is not its business": failed(Reason.BANNED),
    "one byte more": ready() + b"!",
    "ready twice": ready() * 2,
}


@pytest.mark.parametrize("lie", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
async def test_nonsense_while_loading_refuses_the_model(lie: bytes) -> None:
    async def load(liar: Liar) -> None:
        await liar.say(lie)

    async with lied_to(load) as link:
        with pytest.raises(Refused) as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert caught.value.detail.isprintable()
        assert len(caught.value.detail) < 1000
        assert_gone(link)
        assert (await refusal(link)).reason is Reason.IDLE


async def test_a_name_cannot_speak_to_a_terminal() -> None:
    evil = "\x1b[2J\ud800" + "n" * 100_000

    async def load(liar: Liar) -> None:
        await liar.say(
            described(inputs=[[evil, 1, [evil]]], outputs=[], layers=[[evil, True, evil]])
        )

    async with lied_to(load) as link:
        await link.ready(DEADLINE_S)
        (port,), (layer,) = link.inputs, link.layers
        for text in (port.name, port.dims[0], layer.name, layer.detail):
            assert isinstance(text, str)
            assert text.isprintable()
            assert len(text) < 1000
            text.encode()


@pytest.mark.parametrize("dim", [-1, 1 << 63, 1.5, True, None, [], {}], ids=repr)
async def test_a_dimension_that_is_none_is_not_known(dim: object) -> None:
    async def load(liar: Liar) -> None:
        await liar.say(described(inputs=[["x", 1, [dim]]]))

    async with lied_to(load) as link:
        await link.ready(DEADLINE_S)
        assert link.inputs[0].dims in {(None,), (1,)}


async def test_a_load_that_says_nothing_ends_in_time(autojump_clock: MockClock) -> None:
    async def load(liar: Liar) -> None:
        for byte in ready():
            await liar.say(bytes([byte]))
            await trio.sleep(1)

    async with lied_to(load) as link:
        with pytest.raises(Refused, match="did not load within 5 s") as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert autojump_clock.current_time() == DEADLINE_S
        assert_gone(link)


async def test_a_load_that_is_cancelled_leaves_nothing(autojump_clock: MockClock) -> None:
    async with lied_to(deaf) as link:
        with trio.move_on_after(1):
            await link.ready(DEADLINE_S)
        assert autojump_clock.current_time() == 1
        assert_gone(link)


async def test_a_loader_that_dies_refuses_the_model() -> None:
    async def load(liar: Liar) -> None:
        liar.close()

    async with lied_to(load) as link:
        with pytest.raises(Refused, match="died while loading") as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert_gone(link)


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
