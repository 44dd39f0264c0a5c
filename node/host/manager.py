# SPDX-License-Identifier: MIT
"""Talks to the service manager, as systemd's sd_notify does, without its library.

A datagram of lines `NAME=value` goes to the socket that the manager names. There may be no
manager, or one that has gone: then nobody hears it, and nothing fails.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress

#: What the manager shows is one line for a person.
VALUE_CHARACTERS_MAX = 200


def notify(environ: Mapping[str, str], state: Mapping[str, str]) -> None:
    """Tell this to the manager, if there is one."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):  # others, as `vsock:`, are for guests of machines
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    lines = [f"{name}={_one_line(value)}" for name, value in state.items()]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.setblocking(False)
        to.sendto("\n".join(lines).encode(), address)


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Say how often the manager wants to hear from this process: twice in its time."""
    wanted, of = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or int(wanted) == 0 or (of and of != str(pid)):
        return None
    return int(wanted) / 1e6 / 2


def _one_line(value: str) -> str:
    return " ".join(value.split())[:VALUE_CHARACTERS_MAX]
