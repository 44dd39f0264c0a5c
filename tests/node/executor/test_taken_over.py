# SPDX-License-Identifier: MIT
"""A loader or a runner that was taken over harms itself, and nothing and nobody else."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from node.executor.executor import Group, Model, Outputs
from node.executor.link import Link
from node.executor.pool import Pool, PoolLimits
from node.executor.sandbox.confine import RUN, STRANGERS_NEED
from node.executor.sandbox.syscalls import this_machine
from node.executor.zygote import Zygote
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, tensor_digest
from tests.node.executor.attacks import ATTACKS, SECRET
from tests.node.executor.folders import (
    Port,
    add_one,
    array,
    filled,
    helper,
    identity,
    tensor,
    write,
)
from tests.node.executor.forked import NOBODY, STARTS
from tests.node.executor.scene import a_scene
from tests.node.executor.taken_over import LIES, MODULE, SHARED_BYTES, Plan, words_of
from tests.node.executor.traces import Traces, maps_of, nothing_new_since, until
from tests.node.executor.unprivileged import in_a_daemon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(this_machine() is None, reason="there is no sandbox here"),
]

BYTES = ElementType.UINT8
BIG = Tensor(BYTES, (SHARED_BYTES,), b"\7" * SHARED_BYTES)
SMALL = tensor([1, 2])

# These need sockets and files that a mistake would leave open; here there is no such mistake.
NEED_MORE = {
    *("connect_an_open_tcp_socket", "connect_an_open_unix_socket", "send_out_of_band"),
    *("make_a_shared_socket_never_wait", "join_a_namespace"),
}
TRIED = tuple(name for name in ATTACKS if name not in {*NEED_MORE, "execute"})


@asynccontextmanager
async def a_pool(**limits: Any) -> AsyncIterator[Pool]:
    before = Traces.now()
    pool = Pool(PoolLimits(**{"runners": 4, **limits}), Zygote(nice=0, module=MODULE))
    async with pool.open():
        yield pool
    nothing_new_since(before)


@pytest.fixture(autouse=True)
def _folders_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    above = tmp_path / "temporary"
    above.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(above))
    yield
    assert list(above.iterdir()) == []


def taken_over(model: Model, **plan: Any) -> Model:
    """Take over whoever loads this model."""
    Plan(**plan).write(model.folder)
    return model


async def ask(
    pool: Pool, model: Model, *inputs: Tensor, group: str = "taken over", deadline_s: float = 60
) -> Outputs:
    async with pool.lease(model, Group(group)) as runner:
        return await runner.run(inputs, deadline_s=deadline_s)


async def refusal(pool: Pool, model: Model, *inputs: Tensor, deadline_s: float = 60) -> Refused:
    with pytest.raises(Refused) as caught:
        await ask(pool, model, *inputs, deadline_s=deadline_s)
    return Refused(caught.value.reason, caught.value.detail)


async def report(pool: Pool, model: Model, *inputs: Tensor, group: str = "taken over") -> Any:
    outputs = await ask(pool, model, *inputs, group=group)
    return json.loads(bytes(outputs.tensors[0].data))


async def still_works(pool: Pool, above: Path) -> None:
    outputs = await ask(pool, add_one(above / "honest"), SMALL, group="honest")
    assert array(outputs.tensors[0]).tolist() == [2, 3]


@pytest.fixture
def above(tmp_path: Path) -> Path:
    (tmp_path / "honest").mkdir()
    return tmp_path


# --- what it can reach: nothing -------------------------------------------------------------------


def attack_from_everywhere() -> dict[str, Any]:
    """Be a daemon that runs a neighbour and the attacker; give what the attacker reports."""
    with a_scene() as scene:
        above = scene.outside.parent
        neighbours = add_one(above)
        attackers = replace(neighbours, digest=sha256(b"attacker").digest(), interface=None)
        (scene.folder / "graph.onnx").write_bytes((neighbours.folder / "graph.onnx").read_bytes())
        attackers = replace(attackers, folder=scene.folder)

        async def be_a_daemon() -> Any:
            zygote = Zygote(nice=0, module=MODULE)
            pool = Pool(PoolLimits(runners=4), zygote)
            async with pool.open(), pool.lease(neighbours, Group("neighbour")) as neighbour:
                await neighbour.run((SMALL,), deadline_s=60)
                (neighbour_pid,) = pool.pids
                assert zygote.pid
                paths = (
                    *("/etc/passwd", "/proc/self/environ", "/proc/self/mem", "/proc/1/environ"),
                    *("/dev/null", "/dev/shm", "/tmp", "/sys", "/run", "/", ".", ".."),
                    *("/model/graph.onnx", "/model", "/model/..", "/proc", "/proc/self/fd"),
                    *(str(scene.outside), str(above), scene.path_socket),
                    *(str(neighbours.folder / "graph.onnx"), f"/model/../{neighbours.folder.name}"),
                )
                plan = Plan(
                    attacks=TRIED,
                    targets=(neighbour_pid, zygote.pid, os.getpid(), scene.neighbour),
                    paths=paths,
                    scene=words_of(scene),
                )
                plan.write(scene.folder)
                found = await report(pool, attackers, SMALL)
                await neighbour.run((SMALL,), deadline_s=60)
            return {**found, "me": os.geteuid()}

        found: dict[str, Any] = trio.run(be_a_daemon)
        return found


@pytest.fixture(scope="module", params=STARTS)
def attacked(request: pytest.FixtureRequest) -> dict[str, Any]:
    return in_a_daemon(attack_from_everywhere, request.param)


def test_the_attacks_came_from_both_kinds_of_daemon(
    attacked: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    start = request.node.callspec.params["attacked"]
    as_nobody = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert attacked["me"] == (0 if start == "root" else as_nobody)
    assert len(attacked["load"]) == len(attacked["run"]) > 100


def test_a_taken_over_loader_reaches_nothing_and_nobody(attacked: dict[str, Any]) -> None:
    """What it can do is read its own model, in a root directory that holds nothing else."""
    reached = {name for name, how in attacked["load"].items() if how == "done"}
    assert reached == {"/model", "/model/graph.onnx"}
    assert set(attacked["load"].values()) - {"done"} <= {"EPERM", "ENOENT", "EACCES"}


def test_a_taken_over_loader_is_told_so_by_the_filter_unless_it_only_reads(
    attacked: dict[str, Any],
) -> None:
    not_by_it = {name for name, how in attacked["load"].items() if how in {"ENOENT", "EACCES"}}
    reading = ("read_", "list_", "/", ".", "mem ", "maps ", "environ ", "fd ", "root ", "open_the")
    assert {name for name in not_by_it if not name.startswith(reading)} == set()


def test_a_taken_over_runner_reaches_nothing_and_nobody(attacked: dict[str, Any]) -> None:
    assert {name for name, how in attacked["run"].items() if how != "EPERM"} == set()


def test_a_runner_inherits_its_link_and_nothing_else(attacked: dict[str, Any]) -> None:
    kinds = sorted(each.partition(":")[0] for each in attacked["inherited"])
    assert kinds == ["/dev/null"] * 3 + ["socket"]
    assert len(attacked["descriptors"]) in {1, 4}


@pytest.mark.parametrize("name", [*sorted(STRANGERS_NEED), RUN])
async def test_a_layer_that_fails_this_time_keeps_the_model_out(above: Path, name: str) -> None:
    """It held when the zygote tried it, but memory and namespaces can run out."""
    model = taken_over(add_one(above), lost=name)
    async with a_pool() as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.NOT_CONTAINED
        assert name in refused.detail
        await still_works(pool, above)


async def test_a_layer_that_strangers_can_do_without_may_fail(above: Path) -> None:
    model = taken_over(add_one(above, bound=False), lost="root")
    async with a_pool() as pool:
        assert (await report(pool, model, SMALL))["load"] == {}


async def test_a_taken_over_runner_cannot_execute_anything(above: Path) -> None:
    """If it could, nobody would be left to answer."""
    with a_scene() as scene:
        model = taken_over(
            replace(add_one(above, bound=False)), attacks=("execute",), scene=words_of(scene)
        )
        async with a_pool() as pool:
            found = await report(pool, model, SMALL)
    assert found["load"] == found["run"] == {"execute": "EPERM"}


# --- what is another requester's ------------------------------------------------------------------


async def test_nothing_of_one_group_is_in_the_memory_of_the_next(above: Path) -> None:
    """Neither tensors nor the names of ports, nor where the model is, nor its digest."""
    name, content = "a_port_that_only_group_a_has", b"the tensor of group a, in rows!!"
    ports: tuple[Port, Port] = (name, BYTES, ("n",)), ("y", BYTES, ("n",))
    of_a = write(above, [helper.make_node("Identity", [name], ["y"])], ports[:1], ports[1:])
    big = (content * (SHARED_BYTES // len(content) + 1))[:SHARED_BYTES]
    wanted = (name, content.decode(), of_a.folder.name)
    of_b = taken_over(
        add_one(above, bound=False),
        scan=(*(each[::-1] for each in wanted), "ylthgisthgirb"),
    )
    async with a_pool() as pool:
        for data in (content, big):
            outputs = await ask(pool, of_a, Tensor(BYTES, (len(data),), data), group="a")
            assert outputs.tensors[0].data == data
        (first,) = pool.pids
        found = await report(pool, of_b, SMALL, group="b")
        assert found["pid"] in pool.pids
        assert found["pid"] != first
        assert maps_of(first).count("memfd:room") == 2
        assert "memfd:" not in maps_of(found["pid"])
    # each text is there once: what it is looked for with
    assert set(found["scan"].values()) == {1}


async def test_a_scan_finds_what_is_there(above: Path) -> None:
    """Else the test before this one would prove nothing."""
    own_name = add_one(above, bound=False).folder.name
    of_b = taken_over(add_one(above, bound=False), scan=(own_name[::-1], "telemetry_is_off"[::-1]))
    async with a_pool() as pool:
        found = await report(pool, of_b, SMALL)
    assert all(count > 1 for count in found["scan"].values())


async def test_groups_never_share_a_runner(above: Path) -> None:
    model = taken_over(add_one(above, bound=False))
    async with a_pool() as pool:
        pids: dict[Group, int] = {}
        for group in (Group("a"), Group("b"), Group("a", trusted=True), Group("a"), Group("b")):
            async with pool.lease(model, group) as runner:
                outputs = await runner.run((SMALL,), deadline_s=60)
                pid = json.loads(bytes(outputs.tensors[0].data))["pid"]
                assert pids.setdefault(group, pid) == pid
        assert len(set(pids.values())) == 3


# --- shared memory --------------------------------------------------------------------------------


async def test_shared_memory_cannot_be_truncated_grown_or_sealed(above: Path) -> None:
    async with a_pool() as pool:
        found = await report(pool, taken_over(identity(above, BYTES)), BIG)
    for_inputs, for_outputs = found["rooms"]
    for room in (for_inputs, for_outputs):
        assert set(room.values()) == {"EPERM"}
        assert len(room) == 5


async def test_what_it_writes_to_its_inputs_changes_nothing_of_the_callers(above: Path) -> None:
    """The double writes a secret over each room that it gets."""
    data = bytearray(b"\7" * SHARED_BYTES)
    model = taken_over(replace(identity(above, BYTES), interface=None))
    async with a_pool() as pool, pool.lease(model, Group("a")) as runner:
        await runner.run((Tensor(BYTES, (SHARED_BYTES,), data),), deadline_s=60)
        async with runner.call([BIG.header]) as call:
            assert bytes(call.inputs[0][: len(SECRET)]) in {SECRET, b"\7" * len(SECRET)}
            call.inputs[0][:] = data
            await call.run(deadline_s=60)
    assert data == b"\7" * SHARED_BYTES


async def test_outputs_do_not_change_after_they_were_given_out(above: Path) -> None:
    """The runner goes on writing where its answer is; what a caller has is a copy."""
    model = taken_over(identity(above, BYTES), lie="scribble")
    async with a_pool() as pool, pool.lease(model, Group("a")) as runner:
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


async def test_what_is_only_lent_does_change(above: Path) -> None:
    """That is what the seam says of calls in place; whoever needs more reads each byte once."""
    model = taken_over(identity(above, BYTES), lie="scribble")
    async with a_pool() as pool, pool.lease(model, Group("a")) as runner:
        async with runner.call([BIG.header]) as call:
            call.inputs[0][:] = BIG.data
            (lent,) = (await call.run(deadline_s=60)).tensors
            digest = tensor_digest(lent)
            await scribbled(pool.links[0])
            assert tensor_digest(lent) != digest
        del lent, call


async def test_a_hole_in_an_answer_is_zeros(above: Path) -> None:
    model = taken_over(identity(above, BYTES), lie="punch_a_hole")
    async with a_pool() as pool:
        outputs = await ask(pool, model, BIG)
        assert outputs.tensors[0].data == bytes(SHARED_BYTES)
        await still_works(pool, above)


async def test_shared_memory_counts_against_the_cap(above: Path) -> None:
    """No limit of the kernel counts it; so the daemon gives no more than the model may have."""
    cap = 64 << 20
    model = filled(above, (8192, 8192), memory_bytes=cap)
    wants = tensor([8192, 8192], "int64")
    async with a_pool() as pool:
        for each in (model, taken_over(model, lie="touch_all_of_the_room")):
            refused = await refusal(pool, each, wants)
            assert refused.reason is Reason.OVER_MEMORY
            assert pool.memory_bytes <= 2 * cap
        too_big = Tensor(BYTES, (cap + 1,), bytes(cap + 1))
        refused = await refusal(pool, replace(identity(above, BYTES), memory_bytes=cap), too_big)
        assert refused.reason is Reason.OVER_MEMORY
        await still_works(pool, above)


async def test_a_runner_that_takes_all_memory_gets_its_share(above: Path) -> None:
    cap_mib = 200
    model = taken_over(
        replace(add_one(above, bound=False), memory_bytes=cap_mib << 20), lie="take_all_memory"
    )
    async with a_pool() as pool:
        outputs = await ask(pool, model, SMALL)
        assert cap_mib // 2 < int(bytes(outputs.tensors[0].data)) <= cap_mib
        await still_works(pool, above)


# --- its link -------------------------------------------------------------------------------------


async def test_descriptors_that_it_sends_do_not_arrive(above: Path) -> None:
    model = taken_over(add_one(above, bound=False), lie="flood_with_descriptors")
    async with a_pool() as pool, pool.lease(model, Group("a")) as runner:
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
async def test_a_taken_over_runner_ends_alone(above: Path, lie: str) -> None:
    model = taken_over(add_one(above, bound=False), lie=lie)
    async with a_pool() as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.RUN_FAILED
        assert ENDS[lie] in refused.detail
        await still_works(pool, above)


@pytest.mark.parametrize("lie", [name for name in ENDS if name != "speak_nonsense"])
async def test_a_taken_over_loader_ends_alone(above: Path, lie: str) -> None:
    model = taken_over(add_one(above, bound=False), at_load=lie)
    async with a_pool() as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert ENDS[lie] in refused.detail
        await still_works(pool, above)


async def test_a_loader_that_speaks_nonsense_is_refused(above: Path) -> None:
    model = taken_over(add_one(above, bound=False), at_load="speak_nonsense")
    async with a_pool() as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert "nonsense" in refused.detail
        await still_works(pool, above)


@pytest.mark.parametrize("lie", SILENCES)
async def test_a_taken_over_runner_that_is_silent_ends_at_the_deadline(
    above: Path, lie: str
) -> None:
    model = taken_over(add_one(above, bound=False), lie=lie)
    async with a_pool() as pool:
        async with pool.lease(model, Group("a")) as runner:
            with pytest.raises(Refused) as caught:
                await runner.run((SMALL,), deadline_s=0.2)
        assert caught.value.reason is Reason.DEADLINE
        await still_works(pool, above)


@pytest.mark.parametrize("lie", SILENCES)
async def test_a_taken_over_loader_that_is_silent_ends_at_the_deadline(
    above: Path, lie: str
) -> None:
    model = taken_over(add_one(above, bound=False), at_load=lie)
    async with a_pool(load_s=1) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.MODEL_REFUSED
        assert "did not load within 1 s" in refused.detail
        await still_works(pool, above)


@pytest.mark.parametrize("lie", ["break_a_bool", "break_a_string", "break_a_nibble"])
async def test_outputs_that_break_the_rules_of_tensors_are_refused(above: Path, lie: str) -> None:
    model = taken_over(add_one(above, bound=False), lie=lie)
    async with a_pool() as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.WRONG_FORM
        await still_works(pool, above)


async def test_what_it_says_of_itself_is_only_a_claim(above: Path) -> None:
    model = taken_over(add_one(above, bound=False), lie="boast")
    async with a_pool() as pool, pool.lease(model, Group("a")) as runner:
        begin_s = trio.current_time()
        outputs = await runner.run((SMALL,), deadline_s=60, look=True)
        assert outputs.busy_s <= trio.current_time() - begin_s


def test_every_lie_is_told() -> None:
    told = {*ENDS, *SILENCES, "break_a_bool", "break_a_string", "break_a_nibble", "boast"}
    told |= {"scribble", "punch_a_hole", "touch_all_of_the_room", "take_all_memory"}
    assert told | {"flood_with_descriptors"} == LIES.keys()
