# SPDX-License-Identifier: MIT
"""What was said and heard, counted by protocol: in frames, and in the bytes that they have.

It is the same in every world: below the frames a transport cuts and pads as it likes, and what it
says for itself (handshakes, keep-alives) is not counted.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """What was said and heard in one protocol."""

    sent_frames: int = 0
    sent_bytes: int = 0
    received_frames: int = 0
    received_bytes: int = 0


class Tallies(dict[str, Tally]):
    """The tallies of all protocols. A peer cannot add one: ours are those that a node serves."""

    def of(self, protocol: str) -> Tally:
        """Give the one of a protocol."""
        return self.setdefault(protocol, Tally())
