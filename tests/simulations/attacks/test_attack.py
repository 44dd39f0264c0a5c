# SPDX-License-Identifier: MIT
"""What an attack is: it is switched on and off, is stacked, and leaves the node itself alone."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
import trio

from node.mesh.transport import Connection, Endpoint, Transport
from node.world import World
from simulations.attacks.attack import Attack, Attacked
from simulations.attacks.bytewise import Delay, Drop, Silent, Tamper
from simulations.attacks.crowds import Eclipse, Garbage, Lurk
from simulations.attacks.lies import (
    Equivocate,
    FreeRide,
    LieAboutHardware,
    LieAboutModels,
    WrongResults,
)
from simulations.attacks.offers import Flood, Forge, Replay
from simulations.attacks.tapped import Tap, TappedTransport
from simulations.attacks.tongue import Cutter
from tests.node.mesh.memory_scene import MemoryScene
from tests.node.mesh.transport_promises import PROMISES, Promise, kept
from tests.simulations.attacks.mobs import a_mob, in_a_seeded_world

EVERY = (
    Delay(0.1, 0.2, is_on=False),
    Drop(is_on=False),
    Silent(is_on=False),
    Tamper(is_on=False),
    Equivocate(is_on=False),
    FreeRide(is_on=False),
    LieAboutHardware(is_on=False),
    LieAboutModels(is_on=False),
    WrongResults(is_on=False),
    Flood(is_on=False),
    Forge(is_on=False),
    Replay(is_on=False),
    Eclipse(is_on=False),
    Garbage(is_on=False),
    Lurk(is_on=False),
)


class Noting(Attack):
    """Notes what is asked of it."""

    name = "noting"

    def __init__(self, *, is_on: bool = True) -> None:
        super().__init__(is_on=is_on)
        self.notes: list[str] = []

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        self.notes.append(f"around {node.name} {dice.random():.3f}")
        return world

    async def beside(self, node: Attacked, dice: Random) -> None:
        self.notes.append(f"beside {node.name} {dice.random():.3f}")
        try:
            await trio.sleep_forever()
        finally:
            self.notes.append("over")


@in_a_seeded_world
async def test_an_attack_runs_while_it_is_on_as_often_as_it_is_switched_on(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        noting = Noting(is_on=False)
        await mob.start("eve", noting)
        await mob.passes(5)
        assert [each.split()[0] for each in noting.notes] == ["around"]
        for is_on in (True, True, False, True):
            noting.is_on = is_on
            await mob.passes(5)
        words = [each.split()[0] for each in noting.notes]
        assert words == ["around", "beside", "over", "beside"]


@in_a_seeded_world
async def test_the_dice_of_an_attack_follow_from_the_life_of_its_node(tmp_path: Path) -> None:
    seen = []
    for folder in ("one", "other"):
        async with a_mob(tmp_path / folder) as mob:
            noting = Noting()
            await mob.start("eve", noting)
            await mob.passes(1)
            seen.append(noting.notes[:2])
    assert seen[0] == seen[1]


@in_a_seeded_world
async def test_a_node_with_every_attack_switched_off_is_like_any_other(tmp_path: Path) -> None:
    async with a_mob(tmp_path) as mob:
        await mob.start_honest(4)
        eve = await mob.start("eve", *EVERY)
        await mob.until(lambda: mob.is_whole(eve))
        await mob.passes(400)
        assert not any(each.did for each in EVERY)
        assert mob.banned_by(eve) == []
        assert eve.failures == []
        assert mob.is_whole(eve)


def test_every_attack_has_a_name_of_its_own() -> None:
    assert len({each.name for each in EVERY}) == len(EVERY)


class TappedScene(MemoryScene):
    """The made network, through taps that change nothing."""

    def transport(self, who: str) -> Transport:
        return TappedTransport(super().transport(who), lambda _tapped: Tap())

    async def freeze(self, endpoint: Endpoint) -> None:
        await super().freeze(inner(endpoint))

    async def thaw(self, endpoint: Endpoint) -> None:
        await super().thaw(inner(endpoint))

    async def kill(self, endpoint: Endpoint) -> None:
        await super().kill(inner(endpoint))

    def streams(self, connection: Connection) -> int:
        return super().streams(connection._inner)  # type: ignore[attr-defined]  # it is a tapped one

    def reach(self, endpoint: Endpoint) -> Sequence[str]:
        return endpoint.addresses


def inner(endpoint: Endpoint) -> Endpoint:
    found: Endpoint = endpoint._inner  # type: ignore[attr-defined]  # it is a tapped one
    return found


@pytest.mark.parametrize("promise", PROMISES)
def test_a_tapped_transport_keeps_the_promises_of_all_transports(promise: Promise) -> None:
    @in_a_seeded_world
    async def run() -> None:
        await kept(promise, TappedScene())

    run()


def test_frames_are_cut_wherever_the_bytes_are_cut_and_garbage_is_let_through() -> None:
    whole = bytes([8, 0, 0, 8]) + bytes(8) + bytes([13, 0, 0, 0])
    for at in range(len(whole)):
        cutter = Cutter()
        frames = [*cutter.cut(whole[:at]), *cutter.cut(whole[at:])]
        assert [type(each).__name__ for each in frames] == ["Ping", "End"]
    cutter = Cutter()
    assert cutter.cut(b"\xff\xff") == []
    assert cutter.cut(b"\xff\xff\xff") == [b"\xff\xff\xff\xff\xff"]
    assert cutter.cut(b"more") == [b"more"]
