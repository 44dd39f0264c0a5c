# SPDX-License-Identifier: MIT
"""Each layer alone: what it refuses by itself, so that a hole in one is caught by the next."""

import ctypes
import os
import resource
import select
import signal
import struct
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.executor.executor import Layer
from node.executor.sandbox import confine as door
from node.executor.sandbox import try_out
from node.executor.sandbox.bpf import ALLOW, packed
from node.executor.sandbox.confine import (
    LAYERS,
    Confinement,
    close_files,
    confine,
    holds_strangers,
)
from node.executor.sandbox.kernel import prctl
from node.executor.sandbox.syscalls import (
    ARM64,
    MACHINES,
    NUMBERS,
    X86_64,
    Machine,
    this_machine,
)
from tests.node.executor.attacks import ATTACKS, DONE, Scene, call, refusals
from tests.node.executor.forked import (
    STARTS,
    Died,
    end,
    fork,
    in_a_fork,
    landlock_here,
    skip_without_namespaces,
)
from tests.node.executor.scene import a_scene, open_sockets

pytestmark = pytest.mark.skipif(this_machine() is None, reason="there is no sandbox here")

MEMORY_BYTES = 300 << 20
LANDLOCK_WITH_SCOPES = 6

NEWUSER, NEWNS = 1 << 28, 0x2_0000
MS_REC, MS_SHARED = 1 << 14, 1 << 20
PR_SET_NO_NEW_PRIVS = 38

READING = {"read_outside", "read_by_dots", "read_passwd", "read_through_proc_root"}
READING |= {"read_through_a_link", "read_through_a_relative_link", "list_above"}
WRITING = {"create_inside", "write_inside", "append_inside", "truncate_while_opening"}
WRITING |= {"create_without_a_name", "truncate_inside", "make_a_folder_inside", "rename_inside"}
WRITING |= {"symlink_inside", "unlink_inside"}
NEIGHBOUR = {"trace_the_neighbour", "read_the_neighbour", "open_the_memory_of_the_neighbour"}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with a_scene() as made:
        yield made


def behind(
    scene: Scene, only: Collection[str], names: Collection[str], start: str
) -> dict[str, str]:
    """Try attacks behind these layers alone, which must all be on."""
    if "namespaces" in only:
        skip_without_namespaces()

    def live() -> dict[str, str]:
        open_sockets(scene)
        confined = confine(Confinement(str(scene.folder), MEMORY_BYTES), only=only)
        assert [layer.name for layer in confined.layers if layer.on] == [
            name for name in LAYERS if name in only
        ], confined.layers
        return refusals(replace(scene, folder=Path(confined.folder)), sorted(names))

    return in_a_fork(live, start=start)


@pytest.mark.parametrize("start", STARTS)
def test_landlock_alone_refuses_files_and_processes_of_others(scene: Scene, start: str) -> None:
    if landlock_here() < LANDLOCK_WITH_SCOPES:
        pytest.skip("this kernel's landlock knows less")
    refused = READING | WRITING | NEIGHBOUR
    refused |= {"connect_tcp", "bind_tcp", "connect_abstract", "mount", "execute_in_a_child"}
    refused |= {"signal_the_neighbour", "signal_the_parent"}
    left_open = {"send_udp", "fork", "memory_to_write_and_execute"}  # hence the other layers
    found = behind(scene, {"no_new_privileges", "landlock"}, refused | left_open, start)
    assert {name for name, how in found.items() if how == DONE} == left_open
    assert {how for how in found.values() if how != DONE} == {"EACCES", "EPERM"}


@pytest.mark.parametrize("start", STARTS)
def test_the_filter_alone_refuses_all_but_reading(scene: Scene, start: str) -> None:
    left_open = {*READING, "read_root_only", "open_the_memory_of_the_neighbour"}
    only = {"no_new_privileges", "seccomp_load"}
    found = behind(scene, only, set(ATTACKS) - left_open, start)
    assert set(found.values()) == {"EPERM"}


@pytest.mark.parametrize("start", STARTS)
def test_namespaces_alone_refuse_the_network_and_the_memory_of_others(
    scene: Scene, start: str
) -> None:
    refused = {*NEIGHBOUR, "connect_tcp", "send_udp", "connect_abstract"}
    found = behind(scene, {"uid", "namespaces"}, refused, start)
    assert DONE not in found.values()
    assert found["send_udp"] == "ENETUNREACH"


@pytest.mark.parametrize("start", STARTS)
def test_a_root_directory_alone_hides_all_other_files(scene: Scene, start: str) -> None:
    refused = READING | WRITING | {"connect_path", "open_the_memory_of_the_neighbour"}
    found = behind(scene, {"uid", "namespaces", "root"}, refused - {"list_above"}, start)
    assert set(found.values()) <= {"ENOENT", "EROFS"}


def test_a_dropped_user_alone_has_nothing_of_the_administrators(scene: Scene) -> None:
    refused = {"read_root_only", "signal_the_parent", "become_root", "change_root", "mount"}
    found = behind(scene, {"uid", "capabilities"}, refused, "root")
    assert set(found.values()) == {"EPERM", "EACCES"}


def test_a_dropped_user_is_in_no_group() -> None:
    def drop() -> tuple[list[int], tuple[int, int, int], tuple[int, int, int]]:
        os.setgroups([4, 27])
        confine(Confinement(None, MEMORY_BYTES, uid=4321), only={"uid"})
        return os.getgroups(), os.getresuid(), os.getresgid()

    assert in_a_fork(drop, start="root") == ([], (4321,) * 3, (4321,) * 3)


def test_a_user_who_is_no_administrator_stays_who_he_is(scene: Scene) -> None:
    found = behind(scene, {"uid", "capabilities"}, {"become_root", "change_root"}, "unprivileged")
    assert set(found.values()) == {"EPERM"}


def test_nobody_can_look_into_a_process_that_hides_its_memory(scene: Scene) -> None:
    """Here the confined one is the neighbour, and who attacks it is not confined."""
    ready, tell = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            confine(Confinement(None, MEMORY_BYTES), only={"uid", "capabilities", "not_dumpable"})
            os.write(tell, b"!")
            signal.pause()
        finally:
            os._exit(0)
    os.read(ready, 1)
    try:
        attacked = replace(scene, neighbour=pid)
        found = in_a_fork(lambda: refusals(attacked, NEIGHBOUR), start="unprivileged")
        assert set(found.values()) <= {"EPERM", "EACCES"}
    finally:
        end(pid)
        os.close(ready)
        os.close(tell)


def test_an_orphan_dies() -> None:
    """The parent ends, and the pipe that its child holds open is closed by the child's end."""
    held, hold = os.pipe()

    def leave_an_orphan() -> int:
        ready, tell = os.pipe()
        parent = os.getpid()
        pid = fork()
        if pid == 0:
            try:
                confine(Confinement(None, MEMORY_BYTES, parent_pid=parent))
                os.write(tell, b"!")
                while True:
                    signal.pause()
            finally:
                os._exit(0)
        os.read(ready, 1)
        return pid

    assert in_a_fork(leave_an_orphan)
    os.close(hold)
    assert select.select([held], [], [], 60)[0]
    assert os.read(held, 1) == b""
    os.close(held)


def test_who_is_an_orphan_already_ends_itself() -> None:
    def come_too_late() -> None:
        confine(Confinement(None, MEMORY_BYTES, parent_pid=os.getpid()), only={"parent_death"})

    with pytest.raises(Died) as died:
        in_a_fork(come_too_late)
    assert died.value.signal == signal.SIGKILL


def test_only_descriptors_that_were_named_stay_open() -> None:
    def forget_one() -> tuple[Layer, bool]:
        forgotten = os.open("/dev/null", os.O_RDONLY)
        kept = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - {forgotten}
        wanted = Confinement("/", MEMORY_BYTES, keep_open=kept)
        (layer,) = confine(wanted, only={"descriptors"}).layers
        return layer, Path(f"/proc/self/fd/{forgotten}").exists()

    layer, still_open = in_a_fork(forget_one)
    assert layer.on
    assert not still_open


def test_limits_are_what_was_wanted() -> None:
    def read_back() -> dict[str, tuple[int, int]]:
        confine(Confinement(None, MEMORY_BYTES, cpu_s=5, open_files=32), only={"limits"})
        names = ("CORE", "FSIZE", "MEMLOCK", "MSGQUEUE", "NOFILE", "CPU")
        return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names}

    found = in_a_fork(read_back)
    soft_s, hard_s = found.pop("CPU")
    assert (soft_s >= 6, hard_s) == (True, soft_s + 1)
    assert found.pop("NOFILE") == (32, 32)
    assert set(found.values()) == {(0, 0)}


def test_a_limit_that_is_lower_already_stays() -> None:
    def read_back() -> tuple[int, int, bool]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))
        layer = confine(Confinement(None, MEMORY_BYTES), only={"limits"}).layers[0]
        return (*resource.getrlimit(resource.RLIMIT_NOFILE), layer.on)

    assert in_a_fork(read_back) == (20, 30, True)


@pytest.mark.slow
def test_who_computes_for_too_long_is_killed() -> None:
    def compute() -> None:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)  # hostile code would not listen either
        confine(Confinement(None, MEMORY_BYTES, cpu_s=0))
        while True:
            pass

    with pytest.raises(Died) as died:
        in_a_fork(compute)
    assert died.value.signal == signal.SIGKILL


def test_a_second_thread_is_noticed() -> None:
    """The layers would be put on one thread, and the other would do as it likes."""

    def start_one() -> Layer:
        never = threading.Event()
        threading.Thread(target=never.wait, daemon=True).start()
        return confine(Confinement(None, MEMORY_BYTES), only={"one_thread"}).layers[0]

    layer = in_a_fork(start_one)
    assert not layer.on
    assert layer.detail.startswith("2 threads")


def test_a_layer_that_the_system_refuses_is_off_and_the_others_are_put_on(scene: Scene) -> None:
    """Here a filter of the system forbids namespaces, as that of a container does."""
    if not landlock_here():
        pytest.skip("this kernel has no landlock either")

    def live() -> tuple[tuple[Layer, ...], str, bool]:
        forbid_namespaces()
        confined = confine(Confinement(str(scene.folder), MEMORY_BYTES))
        return confined.layers, confined.folder, (Path(confined.folder) / "file").exists()

    layers, folder, there = in_a_fork(live)
    off = {layer.name for layer in layers if not layer.on}
    assert off == {"descriptors", "namespaces", "threads", "root"}
    assert holds_strangers(layers)
    assert (folder, there) == (str(scene.folder), True)


def test_without_users_of_its_own_an_administrator_still_gets_the_rest(scene: Scene) -> None:
    """And what it mounts stays with it, where mounts spread by default as systemd has them."""
    skip_without_namespaces()

    def live() -> tuple[tuple[Layer, ...], str]:
        forbid_namespaces(NEWUSER)
        confined = confine(Confinement(str(scene.folder), MEMORY_BYTES))
        names = ["read_outside", "connect_path", "send_udp", "trace_the_neighbour"]
        found = refusals(replace(scene, folder=Path(confined.folder)), names)
        assert DONE not in found.values()
        return confined.layers, confined.folder

    def mounts_and_live() -> tuple[bool, tuple[tuple[Layer, ...], str]]:
        call("unshare", NEWNS)
        call("mount", b"none", b"/", None, MS_SHARED | MS_REC, None)
        before = Path("/proc/self/mountinfo").read_bytes()
        answer = in_a_fork(live)
        return Path("/proc/self/mountinfo").read_bytes() == before, answer

    unchanged, (layers, folder) = in_a_fork(mounts_and_live, start="root")
    assert unchanged
    assert folder == "/model"
    assert {layer.name for layer in layers if not layer.on} == {"descriptors", "threads"}


def forbid_namespaces(kinds: int = -1 & 0xFFFF_FFFF) -> None:
    """Install a filter that allows every call but unshare, which no rule of ours could say."""
    number = NUMBERS["unshare"][MACHINES.index(this_machine() or X86_64)]
    assert number is not None
    load, equal, any_bit, give, refuse = 0x20, 0x15, 0x45, 0x06, 0x0005_0001
    program = [
        *[(load, 0, 0, 0), (equal, 0, 3, number)],
        *[(load, 0, 0, 16), (any_bit, 0, 1, kinds), (give, 0, 0, refuse)],
        (give, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(packed(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    call("seccomp", 1, 0, header)


def test_a_folder_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        confine(Confinement("/nowhere/at/all", MEMORY_BYTES), only=set())


def test_on_other_systems_every_layer_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (door, try_out):
        monkeypatch.setattr(module, "this_machine", lambda: None)
    confined = confine(Confinement("/anywhere", MEMORY_BYTES))
    layers = (*confined.layers, close_files())
    assert tuple(layer.name for layer in confined.layers) == LAYERS
    assert not any(layer.on for layer in layers)
    assert all(layer.detail.startswith("there is none for") for layer in layers)
    assert confined.folder == "/anywhere"
    assert not holds_strangers(layers)
    assert try_out.layers_here() == layers


@pytest.mark.parametrize(
    ("system", "machine", "known"),
    [
        ("linux", "x86_64", X86_64),
        ("linux", "aarch64", ARM64),
        ("linux", "riscv64", None),
        ("linux", "i686", None),
        ("darwin", "arm64", None),
        ("win32", "AMD64", None),
    ],
)
def test_a_machine_is_known_by_its_system_and_processor(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, known: Machine | None
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("os.uname", lambda: os.uname_result((*["x"] * 4, machine)))
    assert this_machine.__wrapped__() is known
