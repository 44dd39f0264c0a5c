# SPDX-License-Identifier: MIT
"""Nodes that say what a test says on the stream of the view, and what is needed to see it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.mesh.framed import Framed
from node.mesh.viewing import PROTOCOL
from protocol.advert import Advert
from protocol.canon import encode
from protocol.exchange import Summary
from protocol.frames import DocumentFrame, Frame
from protocol.keys import Keypair
from protocol.known import Held
from tests.node.mesh.made_mesh import MadeMesh, MadeNode
from tests.protocol.mesh import an_advert


@asynccontextmanager
async def called(liar: MadeNode, victim: MadeNode) -> AsyncIterator[Framed]:
    """A stream of the view from one that speaks for itself to an honest node."""
    await liar.describe()
    await liar.mesh.meet(victim.key, [f"/ip4/{victim.host}/tcp/4001"])
    async with liar.mesh.wire(victim.key, PROTOCOL) as wire:
        yield wire


async def two_and_a_liar(world: MadeMesh) -> tuple[MadeNode, MadeNode, MadeNode]:
    first = await world.start("first")
    second = await world.start("second", first)
    await world.until(world.all_know_all)
    return first, second, await world.start("liar", views=False)


def said(*held: Held) -> DocumentFrame:
    return DocumentFrame(encode(Summary(held)))


def held_of(advert: Advert) -> Held:
    return Held(advert.node, advert.issued_at_s, advert.sequence, 0)


def another(number: int, now_s: float, **changes: object) -> tuple[Keypair, Advert]:
    """A node that nobody runs, with an advert that is signed as it should be."""
    keypair = Keypair(number.to_bytes(32, "big"))
    address = f"/ip4/{20 + number // 200}.{number % 200}.0.1/tcp/4001"
    plain = {"issued_at_s": int(now_s), "addresses": (address,), "reach": 1} | changes
    return keypair, an_advert(keypair.public, **plain)


async def heard(wire: Framed, *kinds: type[Frame]) -> Frame:
    while True:
        frame = await wire.receive()
        if isinstance(frame, kinds):
            return frame
        assert isinstance(frame, Frame), frame


async def is_ended(wire: Framed) -> bool:
    """Whether the other side ends the stream soon."""
    with trio.move_on_after(30):
        try:
            while isinstance(await wire.receive(), Frame):
                pass
        except Exception:  # noqa: BLE001 - any end is one
            return True
        return True
    return False


def faults_of(node: MadeNode) -> list[tuple[bytes, str, str]]:
    """Note what a node blames others for, and carry it out all the same."""
    noted: list[tuple[bytes, str, str]] = []
    blame = node.mesh.blame

    def note(key: bytes, reason: object, detail: str) -> None:
        noted.append((key, str(reason), detail))
        blame(key, reason, detail)  # type: ignore[arg-type]  # handed on as it came

    node.mesh.blame = note  # type: ignore[method-assign]  # this object's only
    return noted
