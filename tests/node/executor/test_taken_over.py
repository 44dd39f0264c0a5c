# SPDX-License-Identifier: MIT
"""A loader or a runner that was taken over harms itself, and nothing and nobody else."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from node.executor.executor import Group
from node.executor.link import Link
from node.executor.sandbox.syscalls import this_machine
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor, tensor_digest
from tests.node.executor.attacks import SECRET
from tests.node.executor.folders import (
    add_one,
    filled,
    identity,
    tensor,
)
from tests.node.executor.pools import a_pool
from tests.node.executor.taken_over import LIES, SHARED_BYTES
from tests.node.executor.traces import Traces, runs, until
from tests.node.executor.under_attack import (
    BIG,
    BYTES,
    SMALL,
    ask,
    refusal,
    report,
    still_works,
    taken_over,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(this_machine() is None, reason="there is no sandbox here"),
]


# --- shared memory --------------------------------------------------------------------------------


async def test_shared_memory_cannot_be_truncated_grown_or_sealed(tmp_path: Path) -> None:
    async with a_pool(tmp_path) as pool:
        found = await report(pool, taken_over(identity(tmp_path, BYTES)), BIG)
    for_inputs, for_outputs = found["rooms"]
    for room in (for_inputs, for_outputs):
        assert set(room.values()) == {"EPERM"}
        assert len(room) == 5


async def test_what_it_writes_to_its_inputs_changes_nothing_of_the_callers(tmp_path: Path) -> None:
    """The double writes a secret over each room that it gets."""
    data = bytearray(b"\7" * SHARED_BYTES)
    model = taken_over(replace(identity(tmp_path, BYTES), interface=None))
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")) as runner:
        await runner.run((Tensor(BYTES, (SHARED_BYTES,), data),), deadline_s=60)
        async with runner.call([BIG.header]) as call:
            assert bytes(call.inputs[0][: len(SECRET)]) in {SECRET, b"\7" * len(SECRET)}
            call.inputs[0][:] = data
            await call.run(deadline_s=60)
    assert data == b"\7" * SHARED_BYTES


async def test_outputs_do_not_change_after_they_were_given_out(tmp_path: Path) -> None:
    """The runner goes on writing where its answer is; what a caller has is a copy."""
    model = taken_over(identity(tmp_path, BYTES), lie="scribble")
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")) as runner:
        kept = []
        for _ in range(5):
            (given,) = (await runner.run((BIG,), deadline_s=60)).tensors
            digest = tensor_digest(given)
            await scribbled(pool.links[0])
            assert tensor_digest(given) == digest
            kept.append((given, digest))
        assert [tensor_digest(given) for given, _ in kept] == [digest for _, digest in kept]


async def scribbled(link: Link) -> None:
    """Wait until the room has changed at least once."""
    before = bytes(link._out.view[:1])
    await until(lambda: bytes(link._out.view[:1]) != before)


async def test_what_is_only_lent_does_change(tmp_path: Path) -> None:
    """That is what the seam says of calls in place; whoever needs more reads each byte once."""
    model = taken_over(identity(tmp_path, BYTES), lie="scribble")
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")) as runner:
        async with runner.call([BIG.header]) as call:
            call.inputs[0][:] = BIG.data
            (lent,) = (await call.run(deadline_s=60)).tensors
            digest = tensor_digest(lent)
            await scribbled(pool.links[0])
            assert tensor_digest(lent) != digest
        del lent, call


async def test_a_hole_in_an_answer_is_zeros(tmp_path: Path) -> None:
    model = taken_over(identity(tmp_path, BYTES), lie="punch_a_hole")
    async with a_pool(tmp_path) as pool:
        outputs = await ask(pool, model, BIG)
        assert outputs.tensors[0].data == bytes(SHARED_BYTES)
        await still_works(pool, tmp_path)


async def test_shared_memory_counts_against_the_cap(tmp_path: Path) -> None:
    """No limit of the kernel counts it; so the daemon gives no more than the model may have."""
    cap = 64 << 20
    model = filled(tmp_path, (8192, 8192), memory_bytes=cap)
    wants = tensor([8192, 8192], "int64")
    async with a_pool(tmp_path) as pool:
        for each in (model, taken_over(model, lie="touch_all_of_the_room")):
            refused = await refusal(pool, each, wants)
            assert refused.reason is Reason.OVER_MEMORY
            assert pool.memory_bytes <= 2 * cap
        too_big = Tensor(BYTES, (cap + 1,), bytes(cap + 1))
        refused = await refusal(pool, replace(identity(tmp_path, BYTES), memory_bytes=cap), too_big)
        assert refused.reason is Reason.OVER_MEMORY
        await still_works(pool, tmp_path)


async def test_a_runner_that_takes_all_memory_gets_its_share(tmp_path: Path) -> None:
    cap_mib = 200
    model = taken_over(
        replace(add_one(tmp_path, bound=False), memory_bytes=cap_mib << 20), lie="take_all_memory"
    )
    async with a_pool(tmp_path) as pool:
        outputs = await ask(pool, model, SMALL)
        assert cap_mib // 2 < int(bytes(outputs.tensors[0].data)) <= cap_mib
        await still_works(pool, tmp_path)


# --- its link -------------------------------------------------------------------------------------


async def test_descriptors_that_it_sends_do_not_arrive(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie="flood_with_descriptors")
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")) as runner:
        before = None
        for _ in range(5):
            outputs = await runner.run((SMALL,), deadline_s=60)
            assert outputs.tensors[0].data == b"an answer"
            now = Traces.now().descriptors
            assert now == (before or now)
            before = now


ENDS = {
    "leave": "left with status 0",
    "die_of_a_fault": "ended by SIGSEGV",
    "die_of_a_signal_without_a_name": "ended by signal 40",
    "close_the_link": "ended by SIGKILL",
    "speak_nonsense": "broke the rules",
}
SILENCES = ("stop", "close_one_half", "loop")


@pytest.mark.parametrize("lie", ENDS)
async def test_a_taken_over_runner_ends_alone(tmp_path: Path, lie: str) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie=lie)
    async with a_pool(tmp_path) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.RUN_FAILED
        assert ENDS[lie] in refused.detail
        await still_works(pool, tmp_path)


@pytest.mark.parametrize("lie", [name for name in ENDS if name != "speak_nonsense"])
async def test_a_taken_over_loader_ends_alone(tmp_path: Path, lie: str) -> None:
    model = taken_over(add_one(tmp_path, bound=False), at_load=lie)
    async with a_pool(tmp_path) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert ENDS[lie] in refused.detail
        await still_works(pool, tmp_path)


async def test_a_loader_that_speaks_nonsense_is_refused(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False), at_load="speak_nonsense")
    async with a_pool(tmp_path) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert "nonsense" in refused.detail
        await still_works(pool, tmp_path)


@pytest.mark.parametrize("lie", SILENCES)
async def test_a_taken_over_runner_that_is_silent_ends_at_the_deadline(
    tmp_path: Path, lie: str
) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie=lie)
    async with a_pool(tmp_path) as pool:
        async with pool.lease(model, Group("a")) as runner:
            (pid,) = pool.pids
            with pytest.raises(Refused) as caught:
                await runner.run((SMALL,), deadline_s=0.2)
            assert not runs(pid)
        assert caught.value.reason is Reason.DEADLINE
        await still_works(pool, tmp_path)


async def test_whoever_ends_a_runner_finds_it_gone_however_many_do(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie="loop")
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")):
        (link,) = pool.links
        found = []

        async def end_it() -> None:
            await link.end("enough")
            found.append(runs(link.child.pid))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(end_it)
        assert found == [False] * 3


@pytest.mark.parametrize("lie", SILENCES)
async def test_a_taken_over_loader_that_is_silent_ends_at_the_deadline(
    tmp_path: Path, lie: str
) -> None:
    model = taken_over(add_one(tmp_path, bound=False), at_load=lie)
    async with a_pool(tmp_path, load_s=1) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert "did not load within 1 s" in refused.detail
        await still_works(pool, tmp_path)


@pytest.mark.parametrize("lie", ["break_a_bool", "break_a_string", "break_a_nibble"])
async def test_outputs_that_break_the_rules_of_tensors_are_refused(
    tmp_path: Path, lie: str
) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie=lie)
    async with a_pool(tmp_path) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.WRONG_FORM
        await still_works(pool, tmp_path)


async def test_what_it_says_of_itself_is_only_a_claim(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lie="boast")
    async with a_pool(tmp_path) as pool, pool.lease(model, Group("a")) as runner:
        begin_s = trio.current_time()
        outputs = await runner.run((SMALL,), deadline_s=60, look=True)
        assert outputs.busy_s <= trio.current_time() - begin_s


def test_every_lie_is_told() -> None:
    told = {*ENDS, *SILENCES, "break_a_bool", "break_a_string", "break_a_nibble", "boast"}
    told |= {"scribble", "punch_a_hole", "touch_all_of_the_room", "take_all_memory"}
    assert told | {"flood_with_descriptors"} == LIES.keys()
