# SPDX-License-Identifier: MIT
"""The whole node on one screen: what runs, in the order in which it starts.

Everything that it touches comes through the five seams of its world, so the same code runs
in a simulation. It ends when it is told to; the ways to tell it are signals and the API.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from node.api.control import control_app
from node.config import Config
from node.desk import Desk
from node.ground import Ground, standing
from node.log import Log
from node.membership import Membership, member_of
from node.networks import Networks
from node.paths import usable_socket
from node.world import World
from protocol.keys import peer_id
from protocol.reasons import Reason

#: Work that runs when the node is told to end has so long at most, then it is given back: service
#: managers and people wait for some 20 s.
DRAIN_S_MAX = 15.0

#: A network that cannot be entered (a disk is full) is tried again after so long.
AGAIN_S = 5.0

#: What `systemctl status` shows is no older than this.
MANAGER_S = 10.0


@dataclass(frozen=True, slots=True)
class Ready:
    """A node that others can reach, as it introduces itself to its owner."""

    peer: str
    network: str
    private: bool
    addresses: tuple[str, ...]
    socket: str
    sentence: str


async def run_node(
    config: Config,
    world: World,
    *,
    ready: Callable[[Ready], None] = lambda _ready: None,
    at: Callable[[Desk], None] = lambda _desk: None,
) -> None:
    """Be a node until SIGTERM, SIGINT or `stop`; a second signal ends it at once.

    `ready` is told of each network that is entered, and `at` once of the desk: a simulation has
    its nodes in the same process, and sits down there.
    """
    socket = usable_socket(world.paths.control_socket)
    async with standing(config, world) as ground, trio.open_nursery() as nursery:
        desk = Desk(ground, Networks(world.paths, world.clock))
        at(desk)
        nursery.start_soon(_obey_signals, ground, desk, nursery.cancel_scope)
        nursery.start_soon(_tell_manager, ground, desk)
        async with world.host.serve(control_app(desk, Log()), str(socket)):
            await _belong(desk, lambda member: ready(_introduced(member, str(socket))))
        nursery.cancel_scope.cancel()


async def _belong(desk: Desk, entered: Callable[[Membership], None]) -> None:
    """Be in one network after another until the node is to end.

    A node that cannot begin says so and ends. One that has begun stays: whatever is wrong with
    the network that it goes to, its owner can still ask it, and it is tried again.
    """
    has_begun = False
    while not desk.stopping.is_set():
        try:
            async with member_of(desk.begin(), desk.ground) as member:
                desk.entered(member)
                entered(member)
                has_begun = True
                try:
                    await desk.wait_end()
                    await _wind_down(member, desk)
                finally:
                    desk.member = None
        except Exception as error:
            desk.member = None
            if not has_begun or desk.stopping.is_set():
                raise
            desk.cannot_enter(error, AGAIN_S)
            with trio.move_on_after(AGAIN_S):
                await desk.wait_end()


async def _wind_down(member: Membership, desk: Desk) -> None:
    """Take nothing new, and let running work end, or give it back."""
    reason = Reason.SHUTTING_DOWN if desk.stopping.is_set() else Reason.PAUSED
    member.ground.world.host.notify({"STOPPING": "1"} if desk.stopping.is_set() else {})
    await member.wind_down(reason, min(DRAIN_S_MAX, member.ground.config.governor.drain_s))


async def _tell_manager(ground: Ground, desk: Desk) -> None:
    """Tell the service manager how it is; this loop turns as long as the node's one does."""
    host = ground.world.host
    while True:
        _, sentence = ground.governing.may_work()
        count = len(desk.member.mesh.peers) if desk.member else 0
        host.notify({"WATCHDOG": "1", "STATUS": f"{count} peers. {sentence}"})
        await trio.sleep(min(host.watchdog_s or MANAGER_S, MANAGER_S))


async def _obey_signals(ground: Ground, desk: Desk, everything: trio.CancelScope) -> None:
    async with ground.world.host.signals() as signals:
        async for number in signals:
            ground.happenings.post("signal_received", number=number)
            if desk.stopping.is_set():
                everything.cancel()
            desk.stop()


def _introduced(member: Membership, socket: str) -> Ready:
    ground, network = member.ground, member.network
    _, sentence = ground.governing.may_work()
    addresses = member.addresses
    told = Ready(
        peer_id(ground.identity.me), network.name, network.is_private, addresses, socket, sentence
    )
    ground.happenings.post("node_ready", peer=told.peer, network=network.name)
    ground.world.host.notify({"READY": "1"})
    return told
