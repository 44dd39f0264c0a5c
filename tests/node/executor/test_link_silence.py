# SPDX-License-Identifier: MIT
"""A runner that is silent, floods, leaves or is left: nobody waits longer than he said.

Time is virtual where somebody waits: he finds his deadline at once, and exactly.
"""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.executor.wire import HEAD, INLINE_BYTES_MAX, Op
from protocol.errors import Refused
from protocol.limits import PORTS_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.node.executor.lying_runner import (
    BIG,
    DEADLINE_S,
    FOUR,
    SMALL,
    Liar,
    Lie,
    assert_gone,
    call,
    deaf,
    done,
    lied_to,
    ready,
    refusal,
    silent,
)

# --- silence, floods, leaving ---------------------------------------------------------------------


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
        assert autojump_clock.current_time() == 0
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
