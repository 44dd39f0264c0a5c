# SPDX-License-Identifier: MIT
"""A loader or a runner that was taken over reaches nothing: no file, no network, no neighbour."""

import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from node.executor.executor import Group
from node.executor.pool import Pool, PoolLimits
from node.executor.sandbox.confine import RUN, STRANGERS_NEED
from node.executor.sandbox.syscalls import this_machine
from node.executor.zygote import Zygote
from protocol.reasons import Reason
from protocol.tensors import Tensor
from tests.node.executor.attacks import ATTACKS
from tests.node.executor.folders import (
    Port,
    add_one,
    helper,
    write,
)
from tests.node.executor.forked import NOBODY, STARTS
from tests.node.executor.pools import a_pool
from tests.node.executor.scene import a_scene
from tests.node.executor.taken_over import MODULE, SHARED_BYTES, Plan, words_of
from tests.node.executor.traces import maps_of
from tests.node.executor.under_attack import (
    BYTES,
    SMALL,
    ask,
    refusal,
    report,
    still_works,
    taken_over,
)
from tests.node.executor.unprivileged import in_a_daemon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(this_machine() is None, reason="there is no sandbox here"),
]

# These need sockets and files that a mistake would leave open; here there is no such mistake.
NEED_MORE = {
    *("connect_an_open_tcp_socket", "connect_an_open_unix_socket", "send_out_of_band"),
    *("make_a_shared_socket_never_wait", "join_a_namespace"),
}
TRIED = tuple(name for name in ATTACKS if name not in {*NEED_MORE, "execute"})


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
async def test_a_layer_that_fails_this_time_keeps_the_model_out(tmp_path: Path, name: str) -> None:
    """It held when the zygote tried it, but memory and namespaces can run out."""
    model = taken_over(add_one(tmp_path), lost=name)
    async with a_pool(tmp_path) as pool:
        refused = await refusal(pool, model, SMALL)
        assert refused.reason is Reason.NOT_CONTAINED
        assert name in refused.detail
        await still_works(pool, tmp_path)


async def test_a_layer_that_strangers_can_do_without_may_fail(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False), lost="root")
    async with a_pool(tmp_path) as pool:
        assert (await report(pool, model, SMALL))["load"] == {}


async def test_a_taken_over_runner_cannot_execute_anything(tmp_path: Path) -> None:
    """If it could, nobody would be left to answer."""
    with a_scene() as scene:
        model = taken_over(
            replace(add_one(tmp_path, bound=False)), attacks=("execute",), scene=words_of(scene)
        )
        async with a_pool(tmp_path) as pool:
            found = await report(pool, model, SMALL)
    assert found["load"] == found["run"] == {"execute": "EPERM"}


# --- what is another requester's ------------------------------------------------------------------


async def test_nothing_of_one_group_is_in_the_memory_of_the_next(tmp_path: Path) -> None:
    """Neither tensors nor the names of ports, nor where the model is, nor its digest."""
    name, content = "a_port_that_only_group_a_has", b"the tensor of group a, in rows!!"
    ports: tuple[Port, Port] = (name, BYTES, ("n",)), ("y", BYTES, ("n",))
    of_a = write(tmp_path, [helper.make_node("Identity", [name], ["y"])], ports[:1], ports[1:])
    big = (content * (SHARED_BYTES // len(content) + 1))[:SHARED_BYTES]
    wanted = (name, content.decode(), of_a.folder.name)
    of_b = taken_over(
        add_one(tmp_path, bound=False),
        scan=(*(each[::-1] for each in wanted), "ylthgisthgirb"),
    )
    async with a_pool(tmp_path) as pool:
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


async def test_a_scan_finds_what_is_there(tmp_path: Path) -> None:
    """Else the test before this one would prove nothing."""
    own_name = add_one(tmp_path, bound=False).folder.name
    of_b = taken_over(
        add_one(tmp_path, bound=False), scan=(own_name[::-1], "telemetry_is_off"[::-1])
    )
    async with a_pool(tmp_path) as pool:
        found = await report(pool, of_b, SMALL)
    assert all(count > 1 for count in found["scan"].values())


async def test_groups_never_share_a_runner(tmp_path: Path) -> None:
    model = taken_over(add_one(tmp_path, bound=False))
    async with a_pool(tmp_path) as pool:
        pids: dict[Group, int] = {}
        for group in (Group("a"), Group("b"), Group("a", trusted=True), Group("a"), Group("b")):
            async with pool.lease(model, group) as runner:
                outputs = await runner.run((SMALL,), deadline_s=60)
                pid = json.loads(bytes(outputs.tensors[0].data))["pid"]
                assert pids.setdefault(group, pid) == pid
        assert len(set(pids.values())) == 3
