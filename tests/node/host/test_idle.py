# SPDX-License-Identifier: MIT
"""For how long nobody has used keyboard or mouse, on machines that the tests make of files."""

import os
import sys
from pathlib import Path

import pytest

from node.host.idle import Idle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems tell nothing")
NOW = 1_800_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def terminal(root: Path, name: str, read_s: float) -> None:
    path = root / "dev" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (read_s, read_s))


def keyboard(root: Path, transfers: int, protocol: str = "01", kind: str = "03") -> None:
    devices = root / "sys/bus/usb/devices"
    (devices / "1-2:1.0").mkdir(parents=True, exist_ok=True)
    (devices / "1-2").mkdir(exist_ok=True)
    (devices / "1-2:1.0/bInterfaceClass").write_text(f"{kind}\n")
    (devices / "1-2:1.0/bInterfaceProtocol").write_text(f"{protocol}\n")
    (devices / "1-2/urbnum").write_text(f"{transfers}\n")


def interrupts(root: Path, count: int) -> None:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/interrupts").write_text(
        "           CPU0       CPU1\n"
        f"  1:        {count}          3   IO-APIC   1-edge      i8042\n"
        f" 24:        {count * 9}          0   PCI-MSI   xhci_hcd\n"
    )


def desktop(root: Path) -> None:
    (root / "tmp/.X11-unix/X0").mkdir(parents=True)


def test_a_machine_that_has_nothing_to_tell_tells_nothing(root: Path) -> None:
    assert Idle(root).look(NOW) is None


def test_the_terminal_that_was_read_last_counts(root: Path) -> None:
    terminal(root, "tty1", NOW - 5000)
    terminal(root, "pts/0", NOW - 60)
    terminal(root, "pts/ptmx", NOW - 1)
    terminal(root, "ttyS0", NOW - 1)
    assert Idle(root).look(NOW) == 60


def test_a_terminal_that_is_closed_does_not_make_the_machine_unknown(root: Path) -> None:
    terminal(root, "pts/0", NOW - 60)
    idle = Idle(root)
    idle.look(NOW)
    (root / "dev/pts/0").unlink()
    assert idle.look(NOW + 10) == 70


def test_a_terminal_that_was_read_in_the_future_was_read_now(root: Path) -> None:
    terminal(root, "pts/0", NOW + 3600)
    assert Idle(root).look(NOW) == 0


def test_a_key_on_a_usb_keyboard_is_seen(root: Path) -> None:
    keyboard(root, 100)
    idle = Idle(root)
    assert idle.look(NOW) == 0
    assert idle.look(NOW + 300) == 300
    keyboard(root, 101)
    assert idle.look(NOW + 305) == 0
    assert idle.look(NOW + 310) == 5


@pytest.mark.parametrize(("kind", "protocol"), [("08", "01"), ("03", "00")])
def test_a_disk_or_a_headset_is_no_keyboard(root: Path, kind: str, protocol: str) -> None:
    keyboard(root, 100, kind=kind, protocol=protocol)
    assert Idle(root).look(NOW) is None


def test_the_keyboard_of_a_laptop_is_seen_by_its_interrupts(root: Path) -> None:
    interrupts(root, 50)
    idle = Idle(root)
    idle.look(NOW)
    assert idle.look(NOW + 60) == 60
    interrupts(root, 51)
    assert idle.look(NOW + 65) == 0


def test_a_desktop_whose_devices_count_nothing_tells_nothing(root: Path) -> None:
    """Its terminals are old, and somebody may well sit there with a browser."""
    desktop(root)
    terminal(root, "tty1", NOW - 50_000)
    idle = Idle(root)
    assert idle.look(NOW) is None
    keyboard(root, 1)
    assert idle.look(NOW + 5) == 0


def test_files_that_are_not_what_they_should_be_are_passed_over(root: Path) -> None:
    keyboard(root, 1)
    (root / "sys/bus/usb/devices/1-2/urbnum").write_text("many\n")
    (root / "proc").mkdir()
    (root / "proc/interrupts").write_bytes(b"\xff\xfe:: i8042 \xff\n" * 1000)
    Idle(root).look(NOW)
