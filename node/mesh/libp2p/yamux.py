# SPDX-License-Identifier: MIT
"""Yamux's frames: twelve bytes before each. What happens on them is in `session` and `streams`."""

from enum import IntEnum, IntFlag
from struct import Struct

YAMUX = "/yamux/1.0.0"

#: Version, kind, flags, stream, length.
HEADER = Struct("!BBHII")

#: What each end may send on a new stream before any window update, by Yamux's definition.
FIRST_WINDOW_BYTES = 1 << 18


class Kind(IntEnum):
    """What a frame is about."""

    DATA = 0
    WINDOW = 1
    PING = 2
    GO_AWAY = 3


class Flag(IntFlag):
    """What it says beside."""

    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


def header(kind: Kind, flags: int, stream: int, length: int) -> bytes:
    """Write the head of a frame; for what is not data, it is all of it."""
    return HEADER.pack(0, kind, flags, stream, length)
