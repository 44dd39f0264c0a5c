# SPDX-License-Identifier: MIT
"""How a node comes in and comes back: bootstrap, invites, cache, house. The view does the rest.

Who is alone tries all it knows, again and again, at first after a second and at last once a
minute, for ever. Who is not alone still tries now and then a node that it once knew and has no
advert of: a mesh that was split in two heals as soon as one node of one half does that.
"""

from collections.abc import Callable, Iterator, Sequence

import trio

from node.clock import Clock
from node.host.host import Host, Seen
from node.log import Log
from node.mesh.addresses import announced, with_peer
from node.mesh.cache import PeerCache
from node.mesh.viewing import Viewing
from node.networks import Network, parse_bootstrap
from protocol.actions import Dial
from protocol.bounded import remember
from protocol.limits import ADDRESSES_MAX, OUTBOUND_NEIGHBOURS_SOUGHT

#: Alone: the first wait between two rounds, doubled each time ...
ALONE_S_MIN = 1.0

#: ... up to this. A node whose router comes back is in the mesh again a minute later.
ALONE_S_MAX = 60.0

#: How many nodes one round tries, and how many of them at a time.
ROUND_MAX, PARALLEL_MAX = 8, 3

#: How often a node looks whether it is alone.
LOOK_S = 5.0

#: How often a node tries one that it has no advert of: a dial in ten minutes costs nothing.
REUNION_S = 600.0

#: The first save comes soon: a node that is killed early must not depend on its bootstrap nodes.
SAVE_S_MIN = 5.0

#: How often the peer cache is written down.
SAVE_S = 300.0

#: For the last save, while the node stops.
SAVE_AT_END_S = 5.0

#: An invite has eight places, and its writer should have most of them.
REFERENCES_MAX = 3

#: Nodes of this house; more than a house has.
HOUSE_MAX = 64

log = Log()


def bootstrap_of(network: Network, chosen: Sequence[str] = ()) -> tuple[Dial, ...]:
    """Give the nodes to ask first: the owner's (`mesh.bootstrap`), then those of the invites."""
    found: dict[bytes, list[str]] = {}
    for text in (*chosen, *network.bootstrap):
        parsed = parse_bootstrap(text)
        if parsed is not None:
            found.setdefault(parsed[0], []).append(parsed[1])
    return tuple(Dial(key, tuple(each[:ADDRESSES_MAX])) for key, each in found.items())


class Discovery:
    """Keeps this node in company, while :meth:`run` runs."""

    def __init__(
        self,
        viewing: Viewing,
        clock: Clock,
        cache: PeerCache,
        *,
        bootstrap: Sequence[Dial] = (),
        host: Host | None = None,
        addresses: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """Make it; without `host` nobody in the house is looked for, and nobody finds us."""
        self.house: dict[bytes, tuple[str, ...]] = {}
        self.tries = 0
        self._viewing = viewing
        self._clock = clock
        self._cache = cache
        self._bootstrap = tuple(bootstrap)
        self._host = host
        self._addresses = addresses

    async def run(self) -> None:
        """Come in, and stay in, until cancelled. The cache is saved at the end, too."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_company)
                nursery.start_soon(self._keep_reuniting)
                nursery.start_soon(self._keep_saving)
                if self._host is not None:
                    nursery.start_soon(self._keep_house, self._host)
        finally:
            with trio.move_on_after(SAVE_AT_END_S) as saving:
                saving.shield = True
                await self._save()

    def references(self) -> tuple[str, ...]:
        """Give addresses of neighbours for an invite: those that we chose and that have stayed.

        In a private network those that chose us are as good, for they have proven its secret:
        whom all came in by has chosen nobody, and its invites must not die with it.
        """
        found: list[str] = []
        neighbours = self._viewing.view.neighbours
        came = neighbours.inbound() if self._viewing.mesh.network.is_private else []
        for neighbour in (*neighbours.outbound(), *came):
            entry = self._viewing.view.directory.entries.get(neighbour.key)
            # What lies in this neighbour's advert is what it says; it was dialled there, though.
            if entry is not None and neighbour.proven:
                best = announced(entry.known.advert.addresses)[:1]
                found += [each for each in with_peer(best, neighbour.key) if parse_bootstrap(each)]
        return tuple(found[:REFERENCES_MAX])

    # --- company ------------------------------------------------------------------------------

    async def _keep_company(self) -> None:
        wait_s = ALONE_S_MIN
        dice = self._clock.dice("discovery")
        while True:
            if not self._viewing.is_alone:
                wait_s = ALONE_S_MIN
                await trio.sleep(LOOK_S)
                continue
            # Nodes that lost the same neighbour do not all come back in the same second.
            await trio.sleep(wait_s * dice.uniform(0.75, 1.25))
            wait_s = min(ALONE_S_MAX, wait_s * 2)
            if self._viewing.is_alone:
                await self._try(self._mixed(lambda _key: True))

    async def _keep_reuniting(self) -> None:
        dice = self._clock.dice("reunion")
        while True:
            await trio.sleep(REUNION_S * dice.uniform(0.75, 1.25))
            if self._viewing.is_alone:
                continue
            self._cache.take(self._viewing.view.directory)
            for key, addresses in self._mixed(self._is_unknown):
                if key not in self._viewing.mesh.peers:
                    self.tries += 1
                    await self._viewing.introduce(key, addresses)
                    break

    def _is_unknown(self, key: bytes) -> bool:
        return key not in self._viewing.view.directory

    async def _try(self, line: Iterator[tuple[bytes, tuple[str, ...]]]) -> None:
        """Dial the next few, until there is company."""
        left = iter([each for each, _ in zip(line, range(ROUND_MAX), strict=False)])

        async def work() -> None:
            for key, addresses in left:
                if not self._viewing.is_alone:
                    return
                self.tries += 1
                await self._viewing.introduce(key, addresses)

        async with trio.open_nursery() as nursery:
            for _ in range(PARALLEL_MAX):
                nursery.start_soon(work)

    def _mixed(self, wanted: Callable[[bytes], bool]) -> Iterator[tuple[bytes, tuple[str, ...]]]:
        """Go through all nodes that are known, in turns of where we know them from, by lot."""
        dice = self._clock.dice("discovery")
        me = self._viewing.mesh.me
        sources = [
            list(self.house.items()),
            [(dial.key, dial.addresses) for dial in self._bootstrap],
            self._cache.candidates(),
        ]
        for source in sources:
            dice.shuffle(source)
        seen = {me}
        while any(sources):
            for source in sources:
                while source:
                    key, addresses = source.pop()
                    if key not in seen and wanted(key):
                        seen.add(key)
                        yield key, addresses
                        break

    # --- the house ----------------------------------------------------------------------------

    async def _keep_house(self, host: Host) -> None:
        viewing = self._viewing
        name = viewing.mesh.network.id.hex()
        async with host.house(name, viewing.mesh.me, self._addresses) as seen:
            async for one in seen:
                await self._on_seen(one)

    async def _on_seen(self, one: Seen) -> None:
        """Note a node of the house, and meet it if there is a place for it."""
        if one.peer == self._viewing.mesh.me or not one.addresses:
            return
        addresses = one.addresses[:ADDRESSES_MAX]
        remember(self.house, one.peer, addresses, HOUSE_MAX)
        if len(self._viewing.view.neighbours.outbound()) < OUTBOUND_NEIGHBOURS_SOUGHT:
            await self._viewing.introduce(one.peer, addresses)

    # --- the cache ------------------------------------------------------------------------------

    async def _keep_saving(self) -> None:
        wait_s = SAVE_S_MIN
        while True:
            await trio.sleep(wait_s)
            wait_s = min(SAVE_S, wait_s * 2)
            await self._save()

    async def _save(self) -> None:
        self._viewing.view.directory.expire(self._clock.now().wall_s)
        self._cache.take(self._viewing.view.directory)
        try:
            await self._cache.save()
        except OSError as error:
            # Nothing is lost but some dials after the next start.
            log.warning("peer_cache_not_saved", error=str(error))
