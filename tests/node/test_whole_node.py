# SPDX-License-Identifier: MIT
"""Whole nodes in a made world: a network of friends, an order, and how a node ends."""

import signal
import subprocess
import sys
from pathlib import Path

import trio

from node.main import DRAIN_S_MAX
from protocol.errors import Refused
from protocol.keys import peer_id
from protocol.order import Role, State
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import (
    agreed,
    does,
    friends,
    order,
    ordering,
    said,
    slow,
    some_nodes,
    until,
)
from tests.tree import ROOT


@in_virtual_time
async def test_three_nodes_form_a_private_network_by_an_invite(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        made = await friends(nodes, "ann", "bob", "cas")
        for each in made:
            told = await said(each, "GET", "peers?all=1")
            others = {peer_id(other.key) for other in made if other is not each}
            assert {advert["peer"] for advert in told["adverts"]} == others
            assert {peer["peer"] for peer in told["peers"]} <= others
            assert all(peer["member"] for peer in told["peers"])
            status = await said(each, "GET", "status")
            assert (status["network"]["name"], status["network"]["private"]) == ("friends", True)
            assert status["notes"] == []


@in_virtual_time
async def test_an_order_goes_all_its_way_and_both_have_the_same_accounts(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        placed = await order(ann, bob)
        assert (placed.wrong, placed.acked) == (None, True)
        assert placed.paid == placed.price > 0
        assert agreed(ann, bob) == (placed.price, 0)
        price = placed.price
        ann_says, bob_says = [await said(each, "GET", "status") for each in (ann, bob)]
        assert (ann_says["credit"]["spent_cu"], ann_says["credit"]["balance_cu"]) == (price, -price)
        assert (bob_says["credit"]["earned_cu"], bob_says["credit"]["balance_cu"]) == (price, price)
        assert bob_says["work"] == {
            "running": 0,
            "done": 1,
            "failed": 0,
            "refused": 0,
            "earned_cu": price,
        }
        assert ann_says["work"]["done"] == 0
        for each in (ann, bob):
            (peer,) = (await said(each, "GET", "peers"))["peers"]
            assert (peer["orders"], peer["failed_orders"]) == (1, 0)


@in_virtual_time
async def test_a_signal_lets_running_work_end_and_then_the_node(tmp_path: Path) -> None:
    """What it has delivered is paid as soon as it is back."""
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 5.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(does, ann, lambda: order(ann, bob))
            await trio.sleep(7)
            begin_s = trio.current_time()
            await bob.stop()
            assert 2 < trio.current_time() - begin_s < DRAIN_S_MAX
        assert bob.error is None
        assert {"STOPPING": "1"} in bob.host.notified
        await until(lambda: bob.key not in ann.member.mesh.peers, 5)  # it has said goodbye
        await nodes.start("bob")
        await until(lambda: ann.member.orders.counts(Role.REQUESTER, 0) == {State.SETTLED: 1})
        signed, _ = agreed(ann, bob)
        assert signed > 0


@in_virtual_time
async def test_a_worker_that_leaves_while_its_results_are_checked_is_paid_when_it_is_back(
    tmp_path: Path,
) -> None:
    """Nothing is signed for a node that is not there: this ended the order with a misuse."""
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("ann", 20.0))

        async def anew() -> None:
            await until(lambda: bool(bob.member.orders.counts(Role.WORKER, 0).get(State.DELIVERED)))
            await bob.stop()
            await trio.sleep(60)
            await nodes.start("bob")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(anew)
            placed = await order(ann, bob)
        assert (placed.wrong, placed.acked) == (None, True)
        assert agreed(ann, bob) == (placed.price, 0)


@in_virtual_time
async def test_a_lost_order_is_gone_on_with_as_soon_as_its_worker_is_met_again(
    tmp_path: Path,
) -> None:
    """Not when the next try is due, for which a requester waits longer each time."""
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 10.0))
        async with ordering(ann, bob) as told:
            await trio.sleep(5)
            bob.crash()
            await trio.sleep(17)
            assert told == []
            await nodes.start("bob")
            await until(lambda: bob.key in ann.member.mesh.peers)
            await trio.sleep(2)
            assert isinstance(told[0], Refused)  # what was computed is lost with the process
        assert agreed(ann, bob) == (0, 0)


@in_virtual_time
async def test_work_that_takes_too_long_is_given_back_before_the_node_ends(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 100.0))
        async with ordering(ann, bob) as told:
            await trio.sleep(7)
            begin_s = trio.current_time()
            await bob.stop()
            assert trio.current_time() - begin_s < DRAIN_S_MAX + 5
        assert isinstance(told[0], Refused)
        assert "gave it back" in str(told[0])
        assert bob.error is None
        await nodes.start("bob")
        assert agreed(ann, bob) == (0, 0)


@in_virtual_time
async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 1000.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(does, ann, lambda: order(ann, bob))
            await trio.sleep(5)
            bob.host.send_signal(signal.SIGTERM)
            await trio.sleep(1)
            assert not bob.over.is_set()
            bob.host.send_signal(signal.SIGINT)
            assert await until(bob.over.is_set) < 1
            assert bob.error is None
            nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_node_that_starts_again_is_the_same_at_the_same_place(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        made = await friends(nodes, "ann", "bob")
        bob = made[1]
        before = bob.readies[-1]
        await bob.stop()
        await nodes.start("bob")
        (after,) = bob.readies
        assert (after.peer, after.addresses, after.network) == (
            *(before.peer, before.addresses, "friends"),
        )
        assert after.private
        await until(lambda: made[0].key in bob.member.mesh.peers)


_THREE = """
import sys, tempfile, threading
from pathlib import Path
import trio
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import friends, order, some_nodes

def no_thread(self):
    raise AssertionError("a thread was started")

threading.Thread.start = no_thread

@in_virtual_time
async def run(folder):
    async with some_nodes(Path(folder)) as nodes:
        ann, bob, cas = await friends(nodes, "ann", "bob", "cas")
        assert (await order(ann, cas)).acked
        for each in (ann, bob, cas):
            await each.stop()
            assert each.error is None, each.error

with tempfile.TemporaryDirectory() as folder:
    run(folder)
real = {"libp2p", "multiaddr", "hypercorn", "onnxruntime", "onnx", "numpy", "zeroconf"}
print(*sorted(real & sys.modules.keys()))
"""


def test_three_nodes_live_without_sockets_servers_runners_or_threads() -> None:
    command = [sys.executable, "-c", _THREE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == []
