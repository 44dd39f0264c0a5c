# SPDX-License-Identifier: MIT
"""What this node says of itself: makes and seals its advert. How that spreads is the mesh's.

An advert is never better than the truth: what was not measured is 0, so nobody places work
by it, and what the owner keeps for himself is not offered.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from node.clock import Clock
from node.config import Config
from node.executor.hardware import Hardware
from protocol.advert import GIFT_ANYONE, GIFT_MEMBERS, GIFT_NONE, Advert, ModelAtHand
from protocol.errors import Refused
from protocol.keys import Keypair
from protocol.limits import (
    ADDRESSES_MAX,
    ADVERT_INTERVAL_S_MIN,
    CLOCK_SKEW_S_MAX,
    MODELS_PER_ADVERT_MAX,
)
from protocol.price import PRICE_VERSION
from protocol.sealed import seal

#: A node that is gone is gone from every directory after this; a missed renewal does no harm.
TTL_S = 3600

_GIFTS = {"none": GIFT_NONE, "members": GIFT_MEMBERS, "anyone": GIFT_ANYONE}

Probe = Callable[[], Awaitable[Hardware]]


@dataclass(slots=True)
class Description:
    """Makes the advert of one node in one network; :meth:`sealed` gives it as it is now."""

    keypair: Keypair
    network: bytes
    incarnation: bytes
    config: Config
    clock: Clock
    probe: Probe
    addresses: Callable[[], Sequence[str]]
    reach: Callable[[Sequence[str]], int]
    models: Callable[[], Sequence[ModelAtHand]] = tuple
    ttl_s: int = TTL_S
    hardware: Hardware | None = None
    trouble: str = ""  # why this node cannot work, for its owner
    _sequence: int = 0
    _last: Advert | None = None
    _wire: bytes = field(default=b"", repr=False)

    async def sealed(self) -> bytes:
        """Give the advert, made anew unless the last one is too young to be replaced."""
        last, now_s = self._last, int(self.clock.now().wall_s)
        if (
            last is not None
            and -CLOCK_SKEW_S_MAX <= now_s - last.issued_at_s < ADVERT_INTERVAL_S_MIN
        ):
            # Others would refuse it, and would not ask for it again. One from further ahead, before
            # the clock was set back, they have refused already.
            return self._wire
        try:
            self.hardware = await self.probe()
            self.trouble = ""
        except Refused as refused:
            self.hardware = None
            self.trouble = f"This machine could not be measured: {refused.detail}"
        self._sequence += 1
        self._last = self._advert(int(self.clock.now().wall_s))
        self._wire = seal(self.keypair, self.network, self._last).wire
        return self._wire

    def current(self) -> bytes:
        """Give the advert that was made last; empty before the first."""
        return self._wire

    def _advert(self, now_s: int) -> Advert:
        addresses = tuple(self.addresses())[:ADDRESSES_MAX]
        hardware, config = self.hardware, self.config
        runs = config.executor.runners * config.executor.threads
        free_mib = hardware.disk_mib - config.governor.disk_free_mib if hardware else 0
        memory_mib = min(hardware.memory_mib, config.executor.memory_mib) if hardware else 0
        return Advert(
            node=self.keypair.public,
            incarnation=self.incarnation,
            sequence=self._sequence,
            issued_at_s=now_s,
            ttl_s=self.ttl_s,
            cores=min(hardware.cores, runs) if hardware else 1,
            memory_mib=memory_mib,
            disk_mib=max(0, min(free_mib, config.governor.disk_mib)),
            accelerator=hardware.accelerator if hardware else "",
            accelerator_mib=hardware.accelerator_mib if hardware else 0,
            fp32_mflops=hardware.fp32_mflops if hardware else 0,
            int8_mops=hardware.int8_mops if hardware else 0,
            memory_mbps=hardware.memory_mbps if hardware else 0,
            price_version=PRICE_VERSION,
            rate_min=config.credit.rate_min,
            gift=_GIFTS[config.credit.gift],
            reach=self.reach(addresses),
            addresses=addresses,
            models=_listed(self.models()),
            extension=b"",
        )


def _listed(models: Sequence[ModelAtHand]) -> tuple[ModelAtHand, ...]:
    """Choose what fits an advert, warm ones first; each once, in the order that is canonical."""
    by_digest = {each.model: each for each in sorted(models, key=lambda each: each.warm)}
    chosen = sorted(by_digest.values(), key=lambda each: not each.warm)[:MODELS_PER_ADVERT_MAX]
    return tuple(sorted(chosen, key=lambda each: each.model))
