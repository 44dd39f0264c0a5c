# SPDX-License-Identifier: MIT
"""What the service manager hears."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.host.manager import notify, watchdog_s


@pytest.fixture
def hearing() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.settimeout(5)
        yield heard


def test_it_hears_lines_on_its_socket(hearing: socket.socket, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    hearing.bind(address)
    notify({"NOTIFY_SOCKET": address}, {"READY": "1", "STATUS": "12 peers"})
    assert hearing.recv(4096) == b"READY=1\nSTATUS=12 peers"


def test_an_address_without_a_file_begins_with_an_at_sign(hearing: socket.socket) -> None:
    name = f"commons-test-{id(hearing)}"
    hearing.bind(f"\0{name}")
    notify({"NOTIFY_SOCKET": f"@{name}"}, {"STOPPING": "1"})
    assert hearing.recv(4096) == b"STOPPING=1"


def test_a_value_cannot_add_a_line(hearing: socket.socket, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    hearing.bind(address)
    notify({"NOTIFY_SOCKET": address}, {"STATUS": "a\nREADY=1" + "x" * 999})
    got = hearing.recv(4096)
    assert got.startswith(b"STATUS=a READY=1")
    assert len(got) < 300


@pytest.mark.parametrize("address", ["", "/no/such/socket", "vsock:2:99", "@nobody-hears-this"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    notify({"NOTIFY_SOCKET": address} if address else {}, {"READY": "1"})


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_told_twice_in_its_time(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_s(environ, pid=7) == interval_s
