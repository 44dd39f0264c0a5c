# SPDX-License-Identifier: MIT
"""How much more models and results may take of the disk, and what goes when a model is wanted.

The limits are `quotas`' own, which models may go is said in `models/room`. The free disk is what
the governor saw last.
"""

from collections.abc import Callable, Collection

import trio

from node.clock import Clock
from node.config import GovernorConfig
from node.executor.aside import aside
from node.host.host import Sensors
from node.models.library import Library
from node.models.room import make_room
from node.work.quotas import MIB, Kind, Quotas, may_keep
from node.work.results import Results
from node.work.wires import Post, Who
from protocol.reasons import Reason


class Disk:
    """Asks for the library and the results of one network."""

    def __init__(
        self,
        config: Callable[[], GovernorConfig],
        seen: Callable[[], Sensors | None],
        library: Library,
        results: Results,
        quotas: Quotas,
        clock: Clock,
        post: Post,
    ) -> None:
        """`config` and `seen` are asked each time: both change."""
        self._config = config
        self._look = seen
        self._library = library
        self._results = results
        self._quotas = quotas
        self._clock = clock
        self._post = post
        #: Says which models are in use now, and stay.
        self.in_use: Callable[[], Collection[bytes]] = frozenset
        self._one = trio.Lock()
        self._seen: Sensors | None = None
        self._results_bytes = self._let_go_bytes = 0

    def may_keep(self, size_bytes: int, *, models_bytes: int = 0) -> tuple[Reason | None, str]:
        """Ask whether so much more may be kept.

        For a result models are not counted: they do not go by themselves, and a node whose own
        models fill its share would never work again.
        """
        free_bytes = self._free_bytes()
        if free_bytes is None:
            return Reason.PAUSED, "the machine was not looked at yet"
        return may_keep(
            *(self._config(), size_bytes),
            free_mib=free_bytes // MIB,
            taken_mib=(models_bytes + self._results.total_bytes) // MIB,
        )

    async def may_fetch(self, peer: Who, size_bytes: int) -> tuple[Reason | None, str]:
        """Ask whether a model may be fetched because a peer wants it run; others go for it.

        The quota of strangers comes first: who may not have it fetched lets nothing go.
        """
        is_strange = not (peer.member or peer.trusted)
        quota = self._quotas[Kind.MODELS]
        if is_strange and quota.left(self._clock.now()) < size_bytes:
            return self._quotas.take(Kind.MODELS, size_bytes, self._clock.now())
        async with self._one:
            refusal = await self._may_take(size_bytes)
            if refusal[0] is Reason.DISK_LOW and await self._make_room(size_bytes):
                refusal = await self._may_take(size_bytes)
        if refusal[0] is not None or not is_strange:
            return refusal
        return self._quotas.take(Kind.MODELS, size_bytes, self._clock.now())

    async def _may_take(self, size_bytes: int) -> tuple[Reason | None, str]:
        models_bytes = await aside(self._library.blobs.total_bytes)
        return self.may_keep(size_bytes, models_bytes=models_bytes)

    async def _make_room(self, size_bytes: int) -> bool:
        """Let models go until both limits are kept; whether anything went."""
        config, free_bytes = self._config(), self._free_bytes()
        assert free_bytes is not None, "it is only done where the disk is known to be low"
        before_bytes = await aside(self._library.blobs.total_bytes)
        wanted_bytes = -(-size_bytes // MIB) * MIB
        taken_bytes = before_bytes + self._results.total_bytes
        needed_bytes = wanted_bytes + max(
            taken_bytes - config.disk_mib * MIB, config.disk_free_mib * MIB - free_bytes
        )
        for model in await make_room(self._library, needed_bytes, self.in_use()):
            self._post("model_let_go", model=model.manifest.name)
        gone_bytes = before_bytes - await aside(self._library.blobs.total_bytes)
        self._let_go_bytes += max(0, gone_bytes)
        return gone_bytes > 0

    def _free_bytes(self) -> int | None:
        """Tell what is free: as it was seen, less what came since then, and with what went."""
        seen, kept_bytes = self._look(), self._results.total_bytes
        if seen is None:
            return None
        if seen is not self._seen:
            self._seen, self._results_bytes, self._let_go_bytes = seen, kept_bytes, 0
        return seen.disk_free_mib * MIB - (kept_bytes - self._results_bytes) + self._let_go_bytes
