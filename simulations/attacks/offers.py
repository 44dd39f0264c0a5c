# SPDX-License-Identifier: MIT
"""Attacks on the directory: a node that offers adverts which it made up, forged, or kept too long.

They stand in its summaries beside what its node really has. Whoever wishes for one gets it; the
node itself never hears of that wish.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import trio

from node.world import World
from protocol.advert import REACH_DIRECT, Advert
from protocol.canon import Message, encode
from protocol.exchange import Summary, Wanted
from protocol.hello import Hello
from protocol.keys import SIGNATURE_BYTES, Keypair
from protocol.known import Held
from protocol.limits import ADVERT_INTERVAL_S_MIN, ADVERT_TTL_S_MAX, SUMMARY_ROWS_MAX
from protocol.sealed import seal
from simulations.attacks.attack import Attack, Attacked
from simulations.attacks.tapped import Tapped
from simulations.attacks.tongue import Life, Tongue, advert_in, tongues

#: What can be wrong with an advert. The first two are crimes, the others cost nobody anything.
FALSE_SIGNATURE, OTHER_NETWORK = "false_signature", "other_network"
FUTURE, EXPIRED = "future", "expired"
FORGERIES = (FALSE_SIGNATURE, OTHER_NETWORK, FUTURE, EXPIRED)

#: Made-up nodes of each kind of forgery.
MADE_UP = 4

#: A little more than a second: as often as an honest neighbour may tell a summary.
PUSH_S = 1.1


@dataclass
class Goods:
    """What one life of an attacker offers, by node: the row that it tells, and what it sends."""

    offers: dict[bytes, tuple[Held, bytes]] = field(default_factory=dict)
    turn: int = 0

    def add(self, wire: bytes, *, claimed: tuple[int, int] | None = None) -> None:
        """Offer an advert, as what it is or as another version of it."""
        advert = advert_in(wire)
        version = claimed or (advert.issued_at_s, advert.sequence)
        self.offers[advert.node] = Held(advert.node, *version, 1), wire

    def next_rows(self, most: int) -> list[Held]:
        """Give the next rows to tell, in turn."""
        rows = [row for row, _ in self.offers.values()]
        self.turn = (self.turn + most) % len(rows) if len(rows) > most else 0
        return (rows[self.turn :] + rows[: self.turn])[:most]


class Offering(Tongue):
    """Tells of the goods too, and sends what is wished for."""

    def __init__(self, tapped: Tapped, life: Life, goods: Goods) -> None:
        """Share the goods with the other streams of this life."""
        super().__init__(tapped, life)
        self.goods = goods
        self._offered: set[bytes] = set()

    def offer(self) -> Summary:
        """Make a summary of goods alone."""
        return self._told([])

    def message(self, message: Message) -> Iterable[Message]:
        """Tell the goods before what the node has; its own advert stays the first row."""
        return (self._told(message.held) if isinstance(message, Summary) else message,)

    def heard(self, message: Message) -> Message | None:
        """Send what was wished for out of the goods, and let the node hear of the rest."""
        if not isinstance(message, Wanted):
            return message
        mine = [each for each in message.nodes if each in self._offered & self.goods.offers.keys()]
        self.say(*(self.goods.offers[each][1] for each in mine))
        self.life.attack.did["sent"] += len(mine)
        rest = tuple(each for each in message.nodes if each not in mine)
        return Wanted(rest) if rest else None

    def _told(self, held: Sequence[Held]) -> Summary:
        rows = {each.node: each for each in held[:1]}
        rows |= {each.node: each for each in self.goods.next_rows(SUMMARY_ROWS_MAX - 1)}
        self._offered |= self.goods.offers.keys() & rows.keys()
        for each in held[1:]:
            if len(rows) < SUMMARY_ROWS_MAX:
                rows.setdefault(each.node, each)
        rows.pop(self.peer, None)
        return Summary(tuple(rows.values()))


class Forge(Attack):
    """Offers forged adverts: in the names of others, from another network, another time."""

    name = "forge"

    def __init__(self, *kinds: str, is_on: bool = True) -> None:
        """Without `kinds`, all that there are."""
        super().__init__(is_on=is_on)
        self.kinds = kinds or FORGERIES

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Forge what the node hears of, and what nobody ever said."""
        del node
        attack, goods = self, Goods()

        class Forging(Offering):
            def hello(self, hello: Hello) -> Hello:
                if hello.advert and not goods.offers:
                    for wire in attack.made_up(advert_in(hello.advert), hello.network, dice):
                        goods.add(wire)
                return hello

            def heard_advert(self, wire: bytes) -> None:
                true = advert_in(wire)
                if FALSE_SIGNATURE in attack.kinds and true.node != self.me:
                    goods.add(_in_the_name_of(true, dice))

        def forging(tapped: Tapped, life: Life) -> Tongue:
            return Forging(tapped, life, goods)

        return tongues(world, Life(self, world.clock, dice), forging)

    def made_up(self, like: Advert, network: bytes, dice: Random) -> Iterable[bytes]:
        """Make adverts of nodes that nobody runs, with what is wrong with them."""
        shifts_s = {FUTURE: 7200, EXPIRED: -7200, OTHER_NETWORK: 0}
        for kind in self.kinds:
            for _ in range(MADE_UP if kind in shifts_s else 0):
                issued_at_s = like.issued_at_s + shifts_s[kind]
                there = bytes(16) if kind == OTHER_NETWORK else network
                yield made_up(like, there, dice, issued_at_s=issued_at_s, ttl_s=3600)


class Replay(Attack):
    """Keeps the first advert that it hears of each node, and offers it as the newest for ever."""

    name = "replay"

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Collect, and offer what is old."""
        del node
        first: dict[bytes, bytes] = {}
        goods = Goods()

        class Replaying(Offering):
            def heard_advert(self, wire: bytes) -> None:
                advert = advert_in(wire)
                old = first.setdefault(advert.node, wire)
                if advert.node != self.me and old != wire:
                    # Only what sounds newer than all that there is gets wished for.
                    newer_s = advert.issued_at_s + ADVERT_INTERVAL_S_MIN
                    goods.add(old, claimed=(newer_s, advert.sequence + 1))

        def replaying(tapped: Tapped, life: Life) -> Tongue:
            return Replaying(tapped, life, goods)

        return tongues(world, Life(self, world.clock, dice), replaying)


class Flood(Attack):
    """Offers the adverts of a crowd with real keys, as fast as the rules allow, all praised."""

    name = "flood"

    def __init__(self, keys: int = 200, *, is_on: bool = True) -> None:
        """Make so many nodes up; each has an address in another range, where nobody is."""
        super().__init__(is_on=is_on)
        self._keys = keys
        self._speaking: dict[str, list[Offering]] = {}

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Make the crowd as soon as the network is known."""
        attack, goods = self, Goods()
        speaking = self._speaking[node.name] = []

        class Praising(Offering):
            def hello(self, hello: Hello) -> Hello:
                if hello.advert and not goods.offers:
                    like = advert_in(hello.advert)
                    for _ in range(attack._keys):
                        goods.add(made_up(like, hello.network, dice, ttl_s=ADVERT_TTL_S_MAX))
                return hello

        def praising(tapped: Tapped, life: Life) -> Tongue:
            tongue = Praising(tapped, life, goods)
            if tongue.is_of_view:
                speaking.append(tongue)
            return tongue

        return tongues(world, Life(self, world.clock, dice), praising)

    async def beside(self, node: Attacked, dice: Random) -> None:
        """Tell everybody of the crowd, again and again."""
        del dice
        speaking = self._speaking[node.name]
        while True:
            await trio.sleep(PUSH_S)
            for each in [each for each in speaking if each.is_over]:
                speaking.remove(each)
            for each in speaking:
                each.say(each.offer())
            self.did["summaries"] += len(speaking)


def made_up(like: Advert, network: bytes, dice: Random, **changes: int) -> bytes:
    """Seal the advert of a node that nobody runs, at an address where nobody is."""
    keypair = Keypair(dice.randbytes(32))
    address = (
        f"/ip4/{dice.randrange(20, 90)}.{dice.randrange(256)}.{dice.randrange(256)}.9/tcp/4001"
    )
    plain = replace(like, node=keypair.public, addresses=(address,), reach=REACH_DIRECT)
    return seal(keypair, network, replace(plain, **changes)).wire  # type: ignore[arg-type]  # numbers alone


def _in_the_name_of(true: Advert, dice: Random) -> bytes:
    """Change what a node says of itself, and put a made-up signature before it."""
    newer_s = true.issued_at_s + ADVERT_INTERVAL_S_MIN
    lie = replace(true, issued_at_s=newer_s, sequence=true.sequence + 1, memory_mib=1)
    return dice.randbytes(SIGNATURE_BYTES) + encode(lie)
