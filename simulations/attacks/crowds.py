# SPDX-License-Identifier: MIT
"""Attacks of many keys on few nodes: eclipse, garbage on every protocol, connections that wait."""

from collections.abc import Sequence
from random import Random

import trio

from node.mesh.framed import Framed
from node.mesh.peer import Peer
from node.mesh.viewing import PROTOCOL as VIEW
from protocol.canon import decode, encode
from protocol.channel import NoFrame
from protocol.exchange import Summary, Wanted
from protocol.frames import DocumentFrame, StatementFrame
from protocol.known import Held
from protocol.limits import QUERY_OTHERS_MAX, SUMMARY_ROWS_MAX
from protocol.query import Answer, Query
from simulations.attacks.attack import Attack, Attacked
from simulations.attacks.bytewise import AFTER_HELLO, ALL
from simulations.attacks.callers import (
    ENDS,
    Caller,
    Target,
    bare,
    found_targets,
    new_caller,
    own_advert,
)
from simulations.attacks.tongue import advert_in

#: An attacker comes again after about this time, and praises the ring as often.
AGAIN_S = 4.0


class Eclipse(Attack):
    """A ring of keys that wants all places of its victims, and praises only itself.

    All dial the victims again and again, listen where their adverts say, and tell, to whom they
    are connected, of nobody but each other. Given to several nodes it is one ring.
    """

    name = "eclipse"

    def __init__(
        self, victims: Sequence[Attacked] = (), *, keys: int = 20, is_on: bool = True
    ) -> None:
        """So many keys for each attacker; without `victims`, everybody is one."""
        super().__init__(is_on=is_on)
        self.victims = victims
        self.ring: dict[bytes, Caller] = {}
        self._keys = keys

    async def beside(self, node: Attacked, dice: Random) -> None:
        """Let all callers loose."""
        like, network = await own_advert(node), node.member.network
        callers = [new_caller(dice) for _ in range(self._keys)]
        for each in callers:
            each.make(network, like)
            each.mesh.speak(VIEW, self._on_called(each))
            self.ring[each.key] = each
        targets = await found_targets(node, self.victims)
        async with trio.open_nursery() as nursery:
            for each in callers:
                nursery.start_soon(self._call, node, each, targets, Random(f"{each.seed.hex()}"))

    async def _call(
        self, node: Attacked, caller: Caller, targets: list[Target], dice: Random
    ) -> None:
        async with caller.there(node.net, listens=True), trio.open_nursery() as nursery:
            for each in targets:
                nursery.start_soon(self._besiege, caller, each, dice)

    async def _besiege(self, caller: Caller, target: Target, dice: Random) -> None:
        """Dial one victim, talk as long as it listens, and come again."""
        while True:
            await trio.sleep(AGAIN_S * dice.uniform(0.5, 1.5))
            try:
                await caller.mesh.meet(target.key, target.addresses)
                self.did["met"] += 1
                async with caller.mesh.wire(target.key, VIEW) as wire:
                    await self._talk(caller, wire)
            except* ENDS:
                self.did["sent_away"] += 1

    def _on_called(self, caller: Caller) -> "_Called":
        return _Called(self, caller)

    async def _talk(self, caller: Caller, wire: Framed) -> None:
        """Praise the ring, send what is wished for, and answer with members of the ring."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._praise, caller, wire)
            while not isinstance(frame := await wire.receive(), NoFrame):
                if isinstance(frame, DocumentFrame):
                    await self._reply(wire, frame.body)
            nursery.cancel_scope.cancel()

    async def _praise(self, caller: Caller, wire: Framed) -> None:
        while True:
            others = [each for each in self.ring.values() if each is not caller]
            rows = [_held(each) for each in (caller, *others[: SUMMARY_ROWS_MAX - 1])]
            await wire.send(DocumentFrame(encode(Summary(tuple(rows)))))
            self.did["praised"] += 1
            await trio.sleep(AGAIN_S)

    async def _reply(self, wire: Framed, body: bytes) -> None:
        match decode(body, Query, Answer, Summary, Wanted):
            case Wanted(nodes):
                wished = [self.ring[each].sealed for each in nodes if each in self.ring]
                await wire.send(*map(StatementFrame, wished))
                self.did["sent"] += len(wished)
            case Query() as query:
                ring = tuple(each.sealed for each in self.ring.values())
                await wire.send(
                    DocumentFrame(encode(Answer(query.id, (), ring[:QUERY_OTHERS_MAX])))
                )
                self.did["answered"] += 1


class _Called:
    """Answers a victim that has dialled a member of the ring itself."""

    def __init__(self, attack: Eclipse, caller: Caller) -> None:
        self._attack = attack
        self._caller = caller

    async def __call__(self, peer: Peer, wire: Framed) -> None:
        del peer
        self._attack.did["was_dialled"] += 1
        await self._attack._talk(self._caller, wire)  # noqa: SLF001 - it is a part of it


class Garbage(Attack):
    """Sends bytes without a sense on every protocol, each time under a new key."""

    name = "garbage"

    def __init__(
        self, victims: Sequence[Attacked] = (), *, every_s: float = 1.0, is_on: bool = True
    ) -> None:
        """Come this often; without `victims`, to everybody in turn."""
        super().__init__(is_on=is_on)
        self.victims = victims
        self._every_s = every_s

    async def beside(self, node: Attacked, dice: Random) -> None:
        """Come before hello, and after one that was good, by turns."""
        while True:
            for target in await found_targets(node, self.victims):
                await trio.sleep(self._every_s)
                try:
                    if dice.random() < 0.5:
                        await self._before_hello(node, target, dice)
                    else:
                        await self._after_hello(node, target, dice)
                except* ENDS:
                    self.did["sent_away"] += 1
            await trio.sleep(self._every_s)

    async def _before_hello(self, node: Attacked, target: Target, dice: Random) -> None:
        async with bare(node.net, dice) as endpoint:
            connection = await endpoint.dial(target.key, target.addresses)
            for protocol in ALL:
                stream = await connection.open(protocol)
                await stream.send(_garbage(dice))
                self.did["sent"] += 1
            await trio.sleep(AGAIN_S)

    async def _after_hello(self, node: Attacked, target: Target, dice: Random) -> None:
        caller = new_caller(dice)
        caller.make(node.member.network, None)
        async with caller.there(node.net):
            peer = await caller.mesh.meet(target.key, target.addresses)
            for protocol in AFTER_HELLO:
                _, stream = await peer.open(protocol)
                await stream.send(_garbage(dice))
                self.did["sent"] += 1
            await trio.sleep(AGAIN_S)


class Lurk(Attack):
    """Connects under very many keys, and never says a word: each connection costs a place."""

    name = "lurk"

    def __init__(
        self, victims: Sequence[Attacked] = (), *, keys: int = 50, is_on: bool = True
    ) -> None:
        """Hold so many connections at a time, as far as the victims bear them."""
        super().__init__(is_on=is_on)
        self.victims = victims
        self._keys = keys

    async def beside(self, node: Attacked, dice: Random) -> None:
        """Call, wait until one is sent away, and call again under another key."""
        targets = await found_targets(node, self.victims)
        async with trio.open_nursery() as nursery:
            for number in range(self._keys):
                seed = dice.random()
                nursery.start_soon(self._lurk, node, targets[number % len(targets)], Random(seed))

    async def _lurk(self, node: Attacked, target: Target, dice: Random) -> None:
        while True:
            await trio.sleep(AGAIN_S * dice.uniform(0.5, 1.5))
            async with bare(node.net, dice) as endpoint:
                try:
                    connection = await endpoint.dial(target.key, target.addresses)
                except ENDS:
                    self.did["refused"] += 1
                    continue
                self.did["connected"] += 1
                await connection.wait_closed()
                self.did["sent_away"] += 1


def _held(caller: Caller) -> Held:
    advert = advert_in(caller.sealed)
    return Held(caller.key, advert.issued_at_s, advert.sequence, 1)


def _garbage(dice: Random) -> bytes:
    """Draw bytes; half of them begin as a frame would."""
    data = dice.randbytes(dice.randrange(1, 2000))
    if dice.random() < 0.5:
        data = bytes([dice.randrange(1, 14), 0, len(data) >> 8, len(data) & 255]) + data
    return data
