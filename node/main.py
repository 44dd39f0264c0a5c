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

#: Work that runs when the node is told to end has so long, then it is given back.
DRAIN_S = 15.0

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
    config: Config, world: World, *, ready: Callable[[Ready], None] = lambda _ready: None
) -> None:
    """Be a node until SIGTERM, SIGINT or `stop`; a second signal ends it at once."""
    socket = usable_socket(world.paths.control_socket)
    async with standing(config, world) as ground, trio.open_nursery() as nursery:
        desk = Desk(ground, Networks(world.paths, world.clock))
        nursery.start_soon(_obey_signals, ground, desk, nursery.cancel_scope)
        nursery.start_soon(_tell_manager, ground, desk)
        async with world.host.serve(control_app(desk, Log()), str(socket)):
            while not desk.stopping.is_set():
                network = desk.begin()
                async with member_of(network, ground) as member:
                    desk.member = member
                    ready(_introduced(member, str(socket)))
                    await desk.wait_end()
                    await _wind_down(member, desk)
                desk.member = None
        nursery.cancel_scope.cancel()


async def _wind_down(member: Membership, desk: Desk) -> None:
    """Take nothing new, and let running work end, or give it back."""
    reason = Reason.SHUTTING_DOWN if desk.stopping.is_set() else Reason.PAUSED
    member.ground.world.host.notify({"STOPPING": "1"} if desk.stopping.is_set() else {})
    await member.wind_down(reason, DRAIN_S)


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
