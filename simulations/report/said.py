# SPDX-License-Identifier: MIT
"""How numbers are said to people: few digits, a unit, and never more than is known."""

import math

# A number and its unit stay on one line.
_GAP = "\u00a0"
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0

# How the name of a figure says its unit, and how people write it; the longer ones first.
_UNITS = (
    ("_bytes_per_s", "bytes/s"),
    ("_per_minute", "per minute"),
    ("_per_s", "/s"),
    ("_percent", "%"),
    ("_bytes", "bytes"),
    ("_ms", "ms"),
    ("_us", "µs"),
    ("_s", "s"),
    ("_cu", "CU"),
)


def count(value: float) -> str:
    """Say a whole number: `12,345`."""
    return f"{value:,.0f}" if math.isfinite(value) else "?"


def amount(value: float) -> str:
    """Say any number with about three digits: `0.0123`, `4.5`, `12,345`."""
    if not math.isfinite(value):
        return "?"
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def short(value: float, unit: str = "") -> str:
    """Say a number in the least room: `950`, `1.2 k`, `34 M`, or with a unit `1.2 kB`."""
    if not math.isfinite(value):
        return "?"
    size, prefix = value, ""
    for larger in ("k", "M", "G", "T"):
        if abs(size) < 999.5:
            break
        size, prefix = size / 1000, larger
    digits = f"{size:.0f}" if abs(size) >= 99.5 or size == round(size) else f"{size:.2g}"
    if not prefix and (not unit or unit.startswith("/")):
        return digits + unit
    return f"{digits}{_GAP}{prefix}{unit}"


def duration(seconds: float) -> str:
    """Say how long: `320 ms`, `14.2 s`, `245 s`, `12 min 20 s`, `5 h 12 min`, `3 d 4 h`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 1:
        return f"{seconds * 1000:.0f}{_GAP}ms" if seconds else f"0{_GAP}s"
    if seconds < 600:
        # The axes of the drawings speak of seconds up to here, too.
        digits = f"{seconds:.1f}".removesuffix(".0") if seconds < 100 else f"{seconds:.0f}"
        return f"{digits}{_GAP}s"
    if seconds < _HOUR_S - 0.5:
        return _two(seconds, _MINUTE_S, "min", 1.0, "s")
    if seconds < 2 * _DAY_S - 30:
        return _two(seconds, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(seconds, _DAY_S, "d", _HOUR_S, "h")


def _two(seconds: float, unit_s: float, unit: str, part_s: float, part: str) -> str:
    whole, rest = divmod(round(seconds / part_s), round(unit_s / part_s))
    return f"{whole}{_GAP}{unit}" + (f" {rest}{_GAP}{part}" if rest else "")


def percent(part: float) -> str:
    """Say a part of a whole. What is not quite all is not said to be all."""
    if not math.isfinite(part):
        return "?"
    tenths = math.floor(part * 1000 + 1e-9)
    return f"{tenths / 10:g}{_GAP}%"


def many(number: int, thing: str) -> str:
    """Say how many there are: `1 host`, `12 hosts`."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def figure(name: str, value: float) -> tuple[str, str]:
    """Say a figure whose name ends with its unit: what it is, and how much."""
    for suffix, unit in _UNITS:
        if name.endswith(suffix) and name != suffix:
            if unit == "s":
                return name.removesuffix(suffix).replace("_", " "), duration(value)
            gap = "" if unit == "/s" else _GAP
            return name.removesuffix(suffix).replace("_", " "), f"{amount(value)}{gap}{unit}"
    return name.replace("_", " "), amount(value)
