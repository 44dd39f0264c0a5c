# SPDX-License-Identifier: MIT
"""The links of a made network, and addresses on it. Who talks over them is in `transport.py`.

All that two nodes exchange passes through two objects, one for each direction. So a world that
wants its links slow, narrow or broken changes what :class:`Way` does, and nothing else.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: The size of a message that carries no data: the head of a Yamux frame.
WORD_BYTES = 12

WILDCARDS = {"ip4": "0.0.0.0", "ip6": "::"}  # noqa: S104 - nothing is bound here


class Way:
    """One direction between two hosts: what is posted arrives later or never, in order.

    What waits here has a bound: data waits for the window of its stream before it is posted,
    and each stream posts a handful of other words.
    """

    def __init__(self, *, is_held: bool) -> None:
        """A held way keeps what is posted until it is released."""
        self._is_held = is_held
        self._is_passing = False
        self._waiting: deque[Callable[[], None]] = deque()
        self.carried_bytes = 0

    def post(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Send something of this size; `arrive` is called when it is there."""
        self.carried_bytes += size_bytes
        self._waiting.append(arrive)
        self._pass_on()

    def hold(self, *, is_held: bool) -> None:
        """Keep what is posted from now on, or let it go."""
        self._is_held = is_held
        self._pass_on()

    def drop(self) -> None:
        """Lose whatever has not arrived yet."""
        self._waiting.clear()

    def _pass_on(self) -> None:
        if self._is_passing:  # what arrives may post in turn; that comes after it
            return
        self._is_passing = True
        try:
            while self._waiting and not self._is_held:
                self._waiting.popleft()()
        finally:
            self._is_passing = False


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The two ways between a host and the one that it has dialled."""

    hosts: tuple[str, str]
    there: Way
    back: Way

    def hold(self, *, is_held: bool) -> None:
        """Hold both directions, or release them."""
        self.there.hold(is_held=is_held)
        self.back.hold(is_held=is_held)

    def drop(self) -> None:
        """Lose whatever is on its way."""
        self.there.drop()
        self.back.drop()


def family_of(host: str) -> str:
    """Tell the kind of an address of a host."""
    return "ip6" if ":" in host else "ip4"
