# SPDX-License-Identifier: MIT
"""Attacks on bytes: a node that is cut off, slow, silent, or says what nobody can read."""

from collections.abc import Collection
from dataclasses import replace
from random import Random

import trio

from node.mesh.hello import HELLO
from node.mesh.viewing import PROTOCOL as VIEW
from node.models.serve import BLOB
from node.work.wires import BOOKS, WORK
from node.world import World
from simulations.attacks.attack import Attack, Attacked
from simulations.attacks.tapped import Tap, Tapped, TappedTransport

#: All that nodes speak with each other.
ALL = (HELLO, VIEW, WORK, BOOKS, BLOB)

#: The same, but for what begins a connection: who breaks that is met by nobody.
AFTER_HELLO = (VIEW, WORK, BOOKS, BLOB)


class _OnStreams(Attack):
    """An attack on streams of some protocols."""

    def __init__(self, protocols: Collection[str], *, is_on: bool = True) -> None:
        super().__init__(is_on=is_on)
        self._protocols = frozenset(protocols)

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Tap the streams."""
        del node

        def make_tap(tapped: Tapped) -> Tap:
            return self.tap(dice) if tapped.protocol in self._protocols else Tap()

        return replace(world, transport=TappedTransport(world.transport, make_tap))

    def tap(self, dice: Random) -> Tap:
        """Make the tap of one stream."""
        raise NotImplementedError


class Drop(_OnStreams):
    """Nothing leaves on some streams, chosen by lot, while this is on: lost bytes are a stall."""

    name = "drop"

    def __init__(
        self, share: float = 1.0, protocols: Collection[str] = ALL, *, is_on: bool = True
    ) -> None:
        """This share of streams stalls."""
        super().__init__(protocols, is_on=is_on)
        self._share = share

    def tap(self, dice: Random) -> Tap:
        """Let the lot decide."""
        attack, stalls = self, dice.random() < self._share

        class Dropping(Tap):
            async def leaving(self, data: bytes) -> bytes:
                if stalls and attack.is_on:
                    attack.did["stalled"] += 1
                    await attack.wait_off()
                return data

        return Dropping()


class Delay(_OnStreams):
    """Everything leaves later, and in order."""

    name = "delay"

    def __init__(
        self,
        least_s: float,
        most_s: float,
        protocols: Collection[str] = ALL,
        *,
        is_on: bool = True,
    ) -> None:
        """Each message waits for a time between these."""
        super().__init__(protocols, is_on=is_on)
        self._least_s, self._most_s = least_s, most_s

    def tap(self, dice: Random) -> Tap:
        """Wait before each message."""
        attack = self

        class Delaying(Tap):
            async def leaving(self, data: bytes) -> bytes:
                if attack.is_on:
                    attack.did["delayed"] += 1
                    await trio.sleep(dice.uniform(attack._least_s, attack._most_s))
                return data

        return Delaying()


class Tamper(_OnStreams):
    """Some bits of what the node says are others: a broken memory, or malice."""

    name = "tamper"

    def __init__(
        self, share: float = 0.05, protocols: Collection[str] = AFTER_HELLO, *, is_on: bool = True
    ) -> None:
        """This share of messages has one wrong bit."""
        super().__init__(protocols, is_on=is_on)
        self._share = share

    def tap(self, dice: Random) -> Tap:
        """Change bits."""
        attack = self

        class Tampering(Tap):
            async def leaving(self, data: bytes) -> bytes:
                if not attack.is_on or dice.random() >= attack._share:
                    return data
                attack.did["tampered"] += 1
                changed = bytearray(data)
                changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
                return bytes(changed)

        return Tampering()


class Silent(_OnStreams):
    """Takes connections and streams, says nothing on them, and does not read: a slowloris."""

    name = "silent"

    def __init__(self, protocols: Collection[str] = AFTER_HELLO, *, is_on: bool = True) -> None:
        """With `ALL` it does not even say hello, and nobody ever meets it."""
        super().__init__(protocols, is_on=is_on)

    def tap(self, dice: Random) -> Tap:
        """Swallow what the node says, and let it hear nothing."""
        del dice
        attack = self

        class Swallowing(Tap):
            async def leaving(self, data: bytes) -> bytes:
                if not attack.is_on:
                    return data
                attack.did["swallowed"] += 1
                return b""

            async def reading(self) -> None:
                await attack.wait_off()

        return Swallowing()
