# SPDX-License-Identifier: MIT
"""What is remembered of others between connections. What follows from it is in `neighbours`."""

from collections.abc import Container

from protocol.bounded import remember
from protocol.limits import DIAL_REST_S_MAX, DIAL_REST_S_MIN, KEYS_REMEMBERED_MAX, SHUN_S


class Memory:
    """Who rests after a failed dial, who is shunned, and who was proven here first."""

    __slots__ = ("_proofs", "_proved", "_rests", "_shunned")

    def __init__(self) -> None:
        """Begin without any."""
        self._rests: dict[bytes, tuple[float, int]] = {}
        self._shunned: dict[bytes, float] = {}
        self._proved: dict[bytes, int] = {}
        self._proofs = 0

    def __len__(self) -> int:
        """Count the largest of the three."""
        return max(len(self._rests), len(self._shunned), len(self._proved))

    def rest(self, key: bytes, now: float) -> None:
        """Leave the node alone for a while, longer each time."""
        failures = self._rests.get(key, (0.0, 0))[1]
        # The exponent is bounded so that the number stays small; the cap is reached long before.
        rest_s = min(DIAL_REST_S_MAX, DIAL_REST_S_MIN << min(failures, 10))
        remember(self._rests, key, (now + rest_s, failures + 1), KEYS_REMEMBERED_MAX)

    def rests(self, key: bytes, now: float) -> bool:
        """Tell whether the node is left alone now."""
        return self._rests.get(key, (now, 0))[0] > now

    def awake(self, key: bytes) -> None:
        """Forget that the node was ever hard to reach."""
        self._rests.pop(key, None)

    def shun(self, key: bytes, now: float) -> None:
        """Have nothing to do with the node for a long while."""
        remember(self._shunned, key, now + SHUN_S, KEYS_REMEMBERED_MAX)

    def shuns(self, key: bytes, now: float) -> bool:
        """Tell whether the node is not to be met now."""
        return self._shunned.get(key, now) > now

    def prove(self, key: bytes, known: Container[bytes]) -> None:
        """Note that the node was proven; in a full memory only those not `known` make room."""
        if key in self._proved:
            return
        if len(self._proved) >= KEYS_REMEMBERED_MAX:
            self._proved = {key: n for key, n in self._proved.items() if key in known}
        if len(self._proved) < KEYS_REMEMBERED_MAX:
            self._proved[key] = self._proofs
            self._proofs += 1

    def seniority(self, key: bytes) -> int:
        """Give the place among all that were ever proven here; the first is the lowest."""
        return self._proved.get(key, self._proofs)
