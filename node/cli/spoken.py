# SPDX-License-Identifier: MIT
"""Durations, peers and credit as people write and read them. Nothing is asked here."""

import argparse
from collections.abc import Sequence

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
YEAR_S = 366 * 86_400
PEER_PREFIX = "12D3KooW"
SHORT = 8


def duration_s(text: str) -> float:
    """Read `90m`, `2h`, `1h30m` or `7d`, as an argument; at most a year."""
    total_s, digits = 0.0, ""
    for letter in text.strip().lower():
        if letter.isdecimal() or letter == ".":
            digits += letter
        elif letter in UNITS_S and digits:
            total_s += _number(digits, text) * UNITS_S[letter]
            digits = ""
        else:
            raise _no_duration(text)
    if digits or not 1 <= total_s <= YEAR_S:
        raise _no_duration(text)
    return total_s


def lasting(seconds: float) -> str:
    """Say how long something is, in its two largest units."""
    rest = int(seconds)
    if rest < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{rest} s"
    parts = []
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if rest >= unit:
            parts.append(f"{rest // unit} {name}")
            rest %= unit
    return " ".join(parts[:2])


def milliseconds(seconds: float | None) -> str:
    """Say a round trip; a dash when it was not measured yet."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def rate(bytes_s: float | None) -> str:
    """Say how fast data move; a dash when it was not measured yet."""
    if bytes_s is None:
        return "-"
    if bytes_s < 1 << 20:
        return f"{bytes_s / 1024:.0f} KiB/s"
    return f"{bytes_s / (1 << 20):.1f} MiB/s"


def cu(amount: int) -> str:
    """Say an amount of credit."""
    return f"{amount:,} CU"


def counted(number: int, what: str, many: str = "") -> str:
    """Say how many there are of something."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def short(peer: str) -> str:
    """Name a peer in a table, by what stands behind the beginning that all of them share."""
    return peer.removeprefix(PEER_PREFIX)[:SHORT]


def find_peer(text: str, known: Sequence[str]) -> list[str]:
    """Give the peers that are meant: a whole id is taken as it is, else all that begin so."""
    if text.startswith(PEER_PREFIX) and len(text) >= 52:
        return [text]
    begin = text.removeprefix(PEER_PREFIX)
    return sorted({each for each in known if begin and each.startswith(PEER_PREFIX + begin)})


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise _no_duration(text) from None


def _no_duration(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(
        f"`{text}` is no duration: write 90m, 2h, 1h30m or 7d, at most a year"
    )
