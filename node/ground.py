# SPDX-License-Identifier: MIT
"""What belongs to the machine, whichever network it works in: key, models, quotas, governor.

`run_node` makes one ground, and one membership after another stands on it.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from node.config import Config
from node.executor.hardware import Hardware
from node.happenings import Happenings
from node.identity import Identity, load_or_make
from node.log import Log
from node.models.library import Library
from node.paths import make_private
from node.store.settings import PAUSED_UNTIL_S, QUOTAS, WALL_S, get, put
from node.store.store import Database
from node.store.tables import NODE
from node.supervised import Supervised
from node.work.governing import Governing
from node.work.pace import Pace
from node.work.quotas import Quotas
from node.world import World
from protocol.advert import ModelAtHand

KIB = 1024

#: What was used of the quotas is written down this often: a crash gives back so much at most.
KEEP_S = 300.0

#: For the last write, while the node stops.
LAST_S = 5.0

log = Log()


@dataclass(slots=True)
class Ground:
    """The parts, all of them at work."""

    config: Config
    world: World
    identity: Identity
    database: Database
    happenings: Happenings
    supervised: Supervised
    library: Library
    quotas: Quotas
    governing: Governing
    up: Pace
    down: Pace
    started_s: float
    quiet: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Waits until nothing is computed for others; set by who takes orders."""

    async def probe(self) -> Hardware:
        """Say what this machine can do; measured once, then recalled."""
        return await self.world.host.hardware()

    def models_at_hand(self) -> Sequence[ModelAtHand]:
        """Give the models that the mesh may know to be here; what is the owner's is not told."""
        return [ModelAtHand(digest, 0) for digest in self.library.served]

    def use_limits(self, config: Config) -> None:
        """Use another config from now on, as far as it can change while the node runs."""
        self.config = config
        self.governing.use(config.governor)
        self.up.bytes_per_s = config.governor.upload_kib_s * KIB
        self.down.bytes_per_s = config.governor.download_kib_s * KIB

    async def keep_pause(self) -> None:
        """Write down until when the owner has paused, so that a restart does not end it."""
        until_s = self.governing.paused_until_s
        await self.database.write(put(PAUSED_UNTIL_S, until_s))

    async def keep_quotas(self) -> None:
        """Write down what was used of the quotas, and when models were used.

        A disk that takes nothing costs what was used since the last time, after a crash.
        """
        now = self.world.clock.now()
        kept = json.dumps(self.quotas.as_kept(now))
        # The highest wall time: by it `commons doctor` notices a clock that was set back.
        wall_s = max(now.wall_s, get(self.database, WALL_S) or 0.0)
        uses = self.library.listed.uses()
        try:
            await self.database.write([*put(QUOTAS, kept), *put(WALL_S, wall_s), *uses])
        except OSError as error:  # a full disk; `doctor` and whoever works here say it louder
            log.warning("quotas_not_kept", error=str(error))


@asynccontextmanager
async def standing(config: Config, world: World) -> AsyncIterator[Ground]:
    """Have the ground inside the block: governed, and with all that is to be kept kept."""
    clock, host = world.clock, world.host
    identity = load_or_make(world.paths, clock)
    make_private(world.paths.cache)
    happenings = Happenings(clock, Log())
    supervised = Supervised(happenings)
    async with world.store.open("node", NODE) as database, trio.open_nursery() as nursery:
        library = Library(database, world.store.blobs, world.paths.models / "folders", clock)
        for name in await library.open():
            happenings.post("model_lost", model=name)
        kept = get(database, QUOTAS)

        async def quiet() -> None:
            await ground.quiet()  # of the membership that there is by then

        ground = Ground(
            config=config,
            world=world,
            identity=identity,
            database=database,
            happenings=happenings,
            supervised=supervised,
            library=library,
            quotas=Quotas(config.governor, clock.now(), json.loads(kept) if kept else None),
            governing=Governing(
                config.governor,
                clock,
                host,
                world.executor,
                happenings.post,
                paused_until_s=get(database, PAUSED_UNTIL_S),
                quiet=quiet,
            ),
            up=Pace(config.governor.upload_kib_s * KIB),
            down=Pace(config.governor.download_kib_s * KIB),
            started_s=clock.now().mono_s,
        )

        async def keep_keeping() -> None:
            while True:
                await trio.sleep(KEEP_S)
                await ground.keep_quotas()

        nursery.start_soon(supervised.keep, "governor", ground.governing.run)
        nursery.start_soon(supervised.keep, "quotas", keep_keeping)
        try:
            yield ground
        finally:
            with trio.move_on_after(LAST_S) as last:
                last.shield = True
                await ground.keep_quotas()
            nursery.cancel_scope.cancel()
