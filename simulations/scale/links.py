# SPDX-License-Identifier: MIT
"""Connections of the scale tier, and the line of the view on each. What is said is `node`'s.

A connection is two **ends**, one at each node. On it there is at most one line at a time; each has
a number, so that what was said on a line that one side has closed is told from what is said on the
next one. What is said arrives after the latency of the pair, in the order in which it was said.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulations.scale.node import ScaleNode


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a message takes: drawn once for each pair, evenly between two bounds."""

    least_s: float = 0.01
    most_s: float = 0.09

    def of_s(self, seed: str, one: int, other: int) -> float:
        """Give the latency between two nodes."""
        low, high = sorted((one, other))
        text = f"{seed} latency {low} {high}".encode()
        place = int.from_bytes(blake2b(text, digest_size=4).digest(), "big") / (1 << 32)
        return self.least_s + (self.most_s - self.least_s) * place


class End:
    """One node's end of a connection."""

    __slots__ = (
        "advert",
        "closed",
        "delay_s",
        "far",
        "inbound",
        "is_place",
        "is_up",
        "line",
        "node",
        "ready_s",
        "used_s",
    )

    far: "End"

    def __init__(
        self, node: "ScaleNode", advert: bytes, delay_s: float, now: float, *, inbound: bool
    ) -> None:
        """`advert` is what the other node has said of itself in its hello."""
        self.node = node
        self.advert = advert
        self.delay_s = delay_s
        self.inbound = inbound
        self.is_up = True
        self.is_place = False
        self.line = 0  # the number of the line that is open here, 0 for none
        self.closed = 0  # the last one that is over here
        self.ready_s = 0.0  # when the stream is open, so that something may be said
        self.used_s = now

    def open_line(self, now: float) -> None:
        """Have a line: the one that the other side has opened, or a new one."""
        if self.line:
            return
        self.used_s = now
        far = self.far
        if far.line > self.closed:
            self.line = far.line
        else:
            self.line = max(self.closed, far.closed, far.line) + 1
            self.ready_s = now + 2 * self.delay_s

    def hears(self, number: int) -> bool:
        """Whether what was said on this line is heard; one that is new here begins with it."""
        if self.line == number:
            return True
        if self.line or number <= self.closed:
            return False
        self.line = number
        return True

    def close_line(self) -> int:
        """End the line here; give its number, 0 when there is none."""
        number, self.line = self.line, 0
        self.closed = max(self.closed, number)
        return number
