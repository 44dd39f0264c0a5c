# SPDX-License-Identifier: MIT
"""For how long nobody has used keyboard or mouse. What they are used for is never read.

Without the libraries of a desktop there are three things that tell, all of them for everybody
to read, and none of them says what was typed:

- a terminal's time of last reading, as `w` shows it;
- the number of transfers of a USB keyboard or mouse (`urbnum`), which grows with each key;
- the number of interrupts of the keyboards and touch pads of laptops.

Numbers tell only that something happened since the last look. A desktop without any device
that counts (a Bluetooth keyboard alone, a remote desktop) tells nothing: its programs do not
read from terminals. Then the answer is None, and not the age of an old terminal.
"""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

#: More terminals and devices than this are not looked at.
LOOKED_AT_MAX = 256
#: What input devices are called in the list of interrupts.
INPUT = re.compile(r"i8042|i2c_hid|hid-over-i2c|ELAN[0-9]|SYNA[0-9]|WCOM[0-9]", re.IGNORECASE)


class Idle:
    """Remembers what the devices counted at the last look."""

    def __init__(self, root: Path) -> None:
        """`root` is where /proc, /sys and /dev are."""
        self._root = root
        self._counts: dict[str, int] | None = None
        self._used_s: float | None = None

    def look(self, wall_s: float) -> float | None:
        """Say how long it is; None when this machine does not tell."""
        if sys.platform != "linux":
            return None
        counts = {**self._usb(), **self._interrupts()}
        if not counts and self._has_desktop():
            return None
        if counts and counts != self._counts:  # at the first look, too: nobody knows better
            self._used_s = wall_s
        self._counts = counts
        read = self._terminals()
        if read is not None and (self._used_s is None or read > self._used_s):
            self._used_s = read
        # a terminal that was read in the future (a wall clock was set back) was read just now
        return None if self._used_s is None else max(wall_s - self._used_s, 0.0)

    def _terminals(self) -> float | None:
        """When the last terminal was read; one where nobody ever was counts for little."""
        found = []
        for folder, pattern in (("dev", r"tty[0-9]+"), ("dev/pts", r"[0-9]+")):
            for name in _names(self._root / folder, pattern):
                with suppress(OSError):
                    found.append((self._root / folder / name).stat().st_atime)
        return max(found, default=None)

    def _usb(self) -> dict[str, int]:
        counts = {}
        devices = self._root / "sys/bus/usb/devices"
        for name in _names(devices, r"[0-9.-]+:[0-9.]+"):
            kind = (
                _read(devices / name / "bInterfaceClass"),
                _read(devices / name / "bInterfaceProtocol"),
            )
            if kind in {("03", "01"), ("03", "02")}:  # a keyboard, or a mouse
                device = name.partition(":")[0]
                with suppress(ValueError):
                    counts[device] = int(_read(devices / device / "urbnum"))
        return counts

    def _interrupts(self) -> dict[str, int]:
        counts = {}
        for line in _read(self._root / "proc/interrupts").splitlines()[:LOOKED_AT_MAX]:
            number, _, rest = line.partition(":")
            if INPUT.search(rest):
                words = rest.split()
                counts[f"interrupt {number.strip()}"] = sum(int(w) for w in words if w.isdigit())
        return counts

    def _has_desktop(self) -> bool:
        sessions = self._root / f"run/user/{os.getuid()}"
        return bool(
            _names(self._root / "tmp/.X11-unix", r"X[0-9]+") or _names(sessions, r"wayland-[0-9]+")
        )


def _names(folder: Path, pattern: str) -> list[str]:
    try:
        found = os.listdir(folder)  # noqa: PTH208 - names alone are wanted
    except OSError:
        return []
    return [name for name in sorted(found) if re.fullmatch(pattern, name)][:LOOKED_AT_MAX]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
