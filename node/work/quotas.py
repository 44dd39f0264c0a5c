# SPDX-License-Identifier: MIT
"""What this machine does for others unpaid, in amounts per day, and how much disk it may take.

A quota is a bucket that holds a day's amount and refills all day long. So a day's amount may
go at once, never more than two of them go in any day, and nobody waits for midnight. Time is
the clock's that counts suspend: a machine that slept has refilled.
"""

from collections.abc import Mapping
from enum import StrEnum

from node.config import GovernorConfig
from protocol.events import Instant
from protocol.reasons import Reason

MIB = 1 << 20
DAY_S = 86400.0
#: Relaying is for members and carries no bulk; a day of talk of some hundred nodes.
RELAY_MIB_DAY = 1000


class Kind(StrEnum):
    """What is counted, and in what."""

    MODELS = "models"
    BLOBS = "blobs"
    EVIDENCE = "evidence"
    RELAY = "relay"


_SPOKEN = {
    Kind.MODELS: ("fetching models that strangers want run", "governor.models_mib_day"),
    Kind.BLOBS: ("sending models to others", "governor.blobs_mib_day"),
    Kind.EVIDENCE: ("checking evidence", "governor.evidence_cu_day"),
    Kind.RELAY: ("relaying for members", "the day's amount"),
}


class Quota:
    """One bucket. Amounts are whole numbers: bytes, or CU."""

    def __init__(self, per_day: int, now: Instant, left: float | None = None) -> None:
        """Begin full, or with what was left."""
        self.per_day = per_day
        self._level = float(per_day if left is None else min(max(left, 0), per_day))
        self._at_s = now.mono_s

    def left(self, now: Instant) -> int:
        """Tell how much may be taken now."""
        passed_s = max(now.mono_s - self._at_s, 0.0)
        self._at_s = max(now.mono_s, self._at_s)
        self._level = min(self._level + self.per_day * passed_s / DAY_S, self.per_day)
        return int(self._level)

    def take(self, amount: int, now: Instant) -> bool:
        """Take it all, or nothing when so much is not left."""
        assert amount >= 0, f"an amount of {amount}"
        if amount > self.left(now):
            return False
        self._level -= amount
        return True

    def give_back(self, amount: int) -> None:
        """Give back what was taken and not used."""
        assert amount >= 0, f"an amount of {amount}"
        self._level = min(self._level + amount, self.per_day)

    def wait_s(self, amount: int, now: Instant) -> float | None:
        """Tell how long until so much is left; None when that never comes."""
        if amount > self.per_day:
            return None
        missing = amount - self.left(now)
        # what is left is counted in whole units, so that one more is waited for
        return (missing + 1) * DAY_S / self.per_day if missing > 0 else 0.0


class Quotas:
    """All kinds, from the config. What is left can be kept over a restart."""

    def __init__(
        self, config: GovernorConfig, now: Instant, kept: Mapping[str, float] | None = None
    ) -> None:
        """`kept` is what :meth:`as_kept` gave before the node was restarted."""
        kept = kept or {}
        # time between two runs is the wall clock's; one that was set back refills nothing
        away_s = max(now.wall_s - kept.get("wall_s", now.wall_s), 0.0)
        self._quotas = {
            kind: Quota(amount, now, _refilled(kept.get(kind), amount, away_s))
            for kind, amount in _per_day(config).items()
        }

    def __getitem__(self, kind: Kind) -> Quota:
        """Give the bucket of a kind."""
        return self._quotas[kind]

    def use(self, config: GovernorConfig, now: Instant) -> None:
        """Go by other amounts from now on; what is left is cut to the new one."""
        for kind, amount in _per_day(config).items():
            left = self._quotas[kind].left(now)
            self._quotas[kind] = Quota(amount, now, left)

    def take(self, kind: Kind, amount: int, now: Instant) -> tuple[Reason | None, str]:
        """Take an amount, or say why not."""
        quota = self._quotas[kind]
        if quota.take(amount, now):
            return None, ""
        what, key = _SPOKEN[kind]
        wait_s = quota.wait_s(amount, now)
        if wait_s is None:
            return Reason.QUOTA_SPENT, f"{what} takes more at once than {key} allows in a whole day"
        hours = max(wait_s / 3600, 0.1)
        return (
            Reason.QUOTA_SPENT,
            f"{key} for {what} is used up; there is enough again in {hours:.1f} hours",
        )

    def as_kept(self, now: Instant) -> dict[str, float]:
        """Give what to keep, so that a node that is restarted often gives no more than others."""
        left = {str(kind): float(quota.left(now)) for kind, quota in self._quotas.items()}
        return {**left, "wall_s": now.wall_s}


def may_keep(
    config: GovernorConfig, size_bytes: int, *, free_mib: int, taken_mib: int
) -> tuple[Reason | None, str]:
    """Tell whether so much may be kept on the disk: None, or why not.

    `free_mib` is what the host sees, `taken_mib` what models and results take already.
    """
    size_mib = -(-size_bytes // MIB)
    sentence = ""
    if free_mib - size_mib < config.disk_free_mib:
        sentence = (
            f"{free_mib} MiB of disk are free and {size_mib} MiB are wanted, and "
            f"{config.disk_free_mib} MiB stay free (governor.disk_free_mib)"
        )
    elif taken_mib + size_mib > config.disk_mib:
        sentence = (
            f"models and results take {taken_mib} MiB and {size_mib} MiB more are wanted, and "
            f"{config.disk_mib} MiB is the limit (governor.disk_mib)"
        )
    return (Reason.DISK_LOW if sentence else None), sentence


def _per_day(config: GovernorConfig) -> dict[Kind, int]:
    return {
        Kind.MODELS: config.models_mib_day * MIB,
        Kind.BLOBS: config.blobs_mib_day * MIB,
        Kind.EVIDENCE: config.evidence_cu_day,
        Kind.RELAY: RELAY_MIB_DAY * MIB,
    }


def _refilled(left: float | None, per_day: int, away_s: float) -> float | None:
    return None if left is None else left + per_day * away_s / DAY_S
