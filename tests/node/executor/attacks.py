# SPDX-License-Identifier: MIT
"""What native code would try that has taken over a loader or a runner. Each is one function.

An attack that is refused raises OSError; one that succeeds does no harm.
"""

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE, mmap
from pathlib import Path

from node.executor.sandbox.syscalls import NUMBERS, X86_64, this_machine
from tests.node.executor.forbidden_calls import FORBIDDEN

SECRET = b"a secret of the neighbour"
DONE = "done"

MAP_GROWSDOWN = 0x100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_secret = ctypes.create_string_buffer(SECRET)


@dataclass(slots=True)
class Scene:
    """What there is to attack. `folder` is where the model is for the attacker."""

    folder: Path
    outside: Path
    parent: int
    neighbour: int
    tcp_port: int
    abstract: str
    path_socket: str
    root_only: Path
    open_sockets: dict[str, socket.socket] = field(default_factory=dict)
    namespace: int = -1
    memory: int = -1


Attack = Callable[[Scene], object]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[getattr(function, "__name__", "")] = function
    return function


def refusals(scene: Scene, names: Iterable[str]) -> dict[str, str]:
    """Try attacks in order; give the errno of each that was refused, or "done"."""
    found = {}
    for name in names:
        try:
            ATTACKS[name](scene)
            found[name] = DONE
        except OSError as error:
            found[name] = errno.errorcode.get(error.errno or 0, str(error))
    return found


def raw(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by its number."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def call(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call by its name."""
    number = (FORBIDDEN | NUMBERS)[name][0 if this_machine() is X86_64 else 1]
    assert number is not None
    return raw(number, *arguments)


def look(path: Path | str, flags: int = os.O_RDONLY) -> None:
    os.close(os.open(path, flags, 0o600))


# --- files ----------------------------------------------------------------------------------------


@attack
def read_outside(scene: Scene) -> None:
    look(scene.outside)


@attack
def read_by_dots(scene: Scene) -> None:
    look(f"{scene.folder}/../{scene.outside.name}")


@attack
def read_passwd(_: Scene) -> None:
    look("/etc/passwd")


@attack
def read_through_proc_root(_: Scene) -> None:
    look("/proc/self/root/etc/passwd")


@attack
def read_through_a_link(scene: Scene) -> None:
    look(scene.folder / "link")


@attack
def read_through_a_relative_link(scene: Scene) -> None:
    look(scene.folder / "relative")


@attack
def list_above(scene: Scene) -> None:
    list(scene.folder.parent.iterdir())


@attack
def read_root_only(scene: Scene) -> None:
    look(scene.root_only)


@attack
def create_inside(scene: Scene) -> None:
    look(scene.folder / "new", os.O_CREAT | os.O_WRONLY)


@attack
def create_without_a_name(scene: Scene) -> None:
    look(scene.folder, os.O_TMPFILE | os.O_RDWR)


@attack
def write_inside(scene: Scene) -> None:
    look(scene.folder / "file", os.O_WRONLY)


@attack
def append_inside(scene: Scene) -> None:
    look(scene.folder / "file", os.O_WRONLY | os.O_APPEND)


@attack
def truncate_while_opening(scene: Scene) -> None:
    look(scene.folder / "doomed", os.O_RDONLY | os.O_TRUNC)


@attack
def truncate_inside(scene: Scene) -> None:
    os.truncate(scene.folder / "doomed", 0)


@attack
def make_a_folder_inside(scene: Scene) -> None:
    (scene.folder / "folder").mkdir()


@attack
def link_inside(scene: Scene) -> None:
    os.link(scene.folder / "file", scene.folder / "again")


@attack
def symlink_inside(scene: Scene) -> None:
    (scene.folder / "passwd").symlink_to("/etc/passwd")


@attack
def rename_inside(scene: Scene) -> None:
    (scene.folder / "victim").rename(scene.folder / "renamed")


@attack
def unlink_inside(scene: Scene) -> None:
    (scene.folder / "doomed").unlink()


# --- sockets --------------------------------------------------------------------------------------


def _new_socket(family: int, kind: int) -> Attack:
    def make(_: Scene) -> None:
        socket.socket(family, kind).close()

    return make


def family_of(name: str) -> int:
    """Other systems lack these names, and read this file nevertheless."""
    return int(getattr(socket, name, -1))


NEW_SOCKETS: dict[str, Attack] = {
    "new_unix_socket": _new_socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "new_tcp_socket": _new_socket(socket.AF_INET, socket.SOCK_STREAM),
    "new_udp_socket": _new_socket(socket.AF_INET, socket.SOCK_DGRAM),
    "new_ipv6_socket": _new_socket(socket.AF_INET6, socket.SOCK_STREAM),
    "new_netlink_socket": _new_socket(family_of("AF_NETLINK"), socket.SOCK_RAW),
}
# Only some kernels have these families, and only an administrator may have the second.
ODD_SOCKETS: dict[str, Attack] = {
    "new_vsock_socket": _new_socket(family_of("AF_VSOCK"), socket.SOCK_STREAM),
    "new_packet_socket": _new_socket(family_of("AF_PACKET"), socket.SOCK_RAW),
    "new_alg_socket": _new_socket(family_of("AF_ALG"), socket.SOCK_SEQPACKET),
}
ATTACKS |= NEW_SOCKETS | ODD_SOCKETS


@attack
def new_socket_pair(_: Scene) -> None:
    for end in socket.socketpair():
        end.close()


@attack
def connect_tcp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.connect(("127.0.0.1", scene.tcp_port))


@attack
def bind_tcp(_: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.bind(("127.0.0.1", 0))


@attack
def send_udp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"", ("127.0.0.1", scene.tcp_port))


@attack
def connect_abstract(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(scene.abstract)


@attack
def connect_path(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(scene.path_socket)


@attack
def connect_an_open_tcp_socket(scene: Scene) -> None:
    scene.open_sockets["tcp"].connect(("127.0.0.1", scene.tcp_port))


@attack
def connect_an_open_unix_socket(scene: Scene) -> None:
    scene.open_sockets["unix"].connect(scene.path_socket)


@attack
def send_out_of_band(scene: Scene) -> None:
    scene.open_sockets["pair"].send(b"!", socket.MSG_OOB)


@attack
def make_a_shared_socket_never_wait(scene: Scene) -> None:
    """Who else has it open would see that too."""
    fcntl.fcntl(scene.open_sockets["pair"], fcntl.F_SETFL, os.O_NONBLOCK)


# --- processes ------------------------------------------------------------------------------------


@attack
def signal_the_parent(scene: Scene) -> None:
    os.kill(scene.parent, 0)


@attack
def signal_the_neighbour(scene: Scene) -> None:
    os.kill(scene.neighbour, 0)


@attack
def signal_a_thread_of_the_neighbour(scene: Scene) -> None:
    call("tkill", scene.neighbour, 0)


@attack
def trace_the_neighbour(scene: Scene) -> None:
    seize, interrupt_and_leave = 0x4206, 17
    call("ptrace", seize, scene.neighbour, 0, 0)
    call("ptrace", 0x4207, scene.neighbour, 0, 0)
    os.waitpid(scene.neighbour, 0x4000_0000)
    call("ptrace", interrupt_and_leave, scene.neighbour, 0, 0)


@attack
def read_the_neighbour(scene: Scene) -> None:
    """It was forked from the same process, so its secret is at the same address."""
    mine = ctypes.create_string_buffer(len(SECRET))
    here = (ctypes.c_size_t * 2)(ctypes.addressof(mine), len(SECRET))
    there = (ctypes.c_size_t * 2)(ctypes.addressof(_secret), len(SECRET))
    call("process_vm_readv", scene.neighbour, bytes(here), 1, bytes(there), 1, 0)
    assert mine.raw == SECRET


@attack
def open_the_memory_of_the_neighbour(scene: Scene) -> None:
    look(f"/proc/{scene.neighbour}/mem")


@attack
def hold_the_neighbour(scene: Scene) -> None:
    os.close(os.pidfd_open(scene.neighbour))


@attack
def limit_the_neighbour(scene: Scene) -> None:
    resource.prlimit(scene.neighbour, resource.RLIMIT_CORE)


@attack
def move_the_neighbour(scene: Scene) -> None:
    os.sched_setaffinity(scene.neighbour, os.sched_getaffinity(0))


@attack
def fork(_: Scene) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@attack
def execute_in_a_child(scene: Scene) -> None:
    program = str(scene.folder / "program")
    _, status = os.waitpid(os.posix_spawn(program, [program], {}), 0)
    assert status == 0


@attack
def execute(scene: Scene) -> None:
    """If it succeeds, nobody is left to tell."""
    os.execv(scene.folder / "program", ["program"])


# --- who and where it is --------------------------------------------------------------------------


@attack
def become_root(_: Scene) -> None:
    os.setresuid(0, 0, 0)


@attack
def change_root(_: Scene) -> None:
    os.chroot("/")


@attack
def leave_the_network(_: Scene) -> None:
    call("unshare", 0x4000_0000)


@attack
def have_users_of_its_own(_: Scene) -> None:
    call("unshare", 0x1000_0000)


@attack
def join_a_namespace(scene: Scene) -> None:
    call("setns", scene.namespace, 0)


@attack
def mount(scene: Scene) -> None:
    call("mount", b"none", str(scene.folder).encode(), b"tmpfs", 0, None)


@attack
def show_its_memory_again(_: Scene) -> None:
    call("prctl", 4, 1, 0, 0, 0)


@attack
def outlive_the_parent(_: Scene) -> None:
    call("prctl", 1, 0, 0, 0, 0)


# --- memory ---------------------------------------------------------------------------------------


@attack
def memory_to_write_and_execute(_: Scene) -> None:
    mmap(-1, 4096, MAP_PRIVATE | MAP_ANONYMOUS, PROT_READ | PROT_WRITE | PROT_EXEC).close()


@attack
def file_to_execute(scene: Scene) -> None:
    with (scene.folder / "file").open("rb") as file:
        mmap(file.fileno(), 1, MAP_PRIVATE, PROT_READ | PROT_EXEC).close()


@attack
def memory_made_executable(_: Scene) -> None:
    memory = mmap(-1, 4096, MAP_PRIVATE | MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call("mprotect", address, 4096, PROT_READ | PROT_EXEC)


@attack
def shared_memory_that_nobody_counts(_: Scene) -> None:
    mmap(-1, 4096, MAP_SHARED | MAP_ANONYMOUS).close()


@attack
def a_stack_that_nobody_counts(_: Scene) -> None:
    mmap(-1, 4096, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN).close()


@attack
def a_file_in_memory(_: Scene) -> None:
    os.close(os.memfd_create("x"))


@attack
def a_segment_of_shared_memory(_: Scene) -> None:
    segment = call("shmget", 0, 4096, 0o1600)
    call("shmctl", segment, 0, None)


@attack
def signal_itself_as_another(_: Scene) -> None:
    """Its own process is fine to signal; this goes through a call that can name any other."""
    call("rt_sigqueueinfo", os.getpid(), signal.SIGCONT, bytes([0] * 8 + [0xFF] * 4 + [0] * 116))
