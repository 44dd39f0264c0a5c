# SPDX-License-Identifier: MIT
"""Where the process is to the kernel: namespaces of its own, and a root directory of its own.

Namespaces take away the network, the queues and semaphores of others, and the mounts. A root
directory takes away the names of all other files. Neither is everywhere to be had: a system may
forbid user namespaces, and without one they take an administrator.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.executor.sandbox.kernel import Off, call, prctl

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWNET = 0x2_0000, 0x400_0000, 0x800_0000, 1 << 28, 1 << 30
_NEWCGROUP = 0x200_0000
_EXTRA = (("ipc", _NEWIPC), ("host name", _NEWUTS), ("cgroups", _NEWCGROUP))

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 8, 32, 1 << 12
_MS_PRIVATE = 1 << 18
_FLAGS = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC

# A mount that is there on every Linux, and that everybody may enter.
_MOUNT_POINT = "/dev"

_PR_SET_DUMPABLE = 4

_FOLDER = "/model"
_DESCRIPTORS = "/proc/self/fd"


@dataclass(slots=True)
class Place:
    """Where the process stands, while it is being confined.

    `descriptor` is the folder that may be read, opened before anything was given up: later
    steps find it also where this user may not enter the folders above it.
    """

    folder: str
    descriptor: int | None = None
    own_users: bool = False
    own_mounts: bool = False

    def close(self) -> None:
        """Forget the descriptor of the folder."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def open_place(folder: str | None) -> Place:
    """Find the folder that may be read, and go there; OSError where there is none."""
    if folder is None:
        return Place("")
    found = Place(str(Path(folder).absolute()))
    found.descriptor = os.open(found.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(found.descriptor)
    return found


def enter_namespaces(place: Place) -> str:
    """Leave the network and all else that is shared, if possible with users of its own as well.

    In a user namespace of its own the threads of this process are counted apart, and not even
    a process of the same user outside may look into it.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        call("unshare", _NEWUSER | _NEWNET | _NEWNS)
    except OSError as refused:
        try:
            call("unshare", _NEWNET | _NEWNS)
        except OSError:
            raise refused from None
        had = [f"no users of its own ({refused.strerror})", "network", "mounts"]
    else:
        place.own_users = True
        had = ["users", "network", "mounts"]
        prctl(_PR_SET_DUMPABLE, 1)  # else these files are the administrator's who it has been
        _write("setgroups", "deny")  # before it, only an administrator may say who the group is
        _write("uid_map", f"{uid} {uid} 1")
        _write("gid_map", f"{gid} {gid} 1")
    place.own_mounts = True
    for word, kind in _EXTRA:
        with suppress(OSError):  # a kernel may be built without
            call("unshare", kind)
            had.append(word)
    return ", ".join(had)


def _write(name: str, text: str) -> None:
    descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def enter_root(place: Place) -> str:
    """Make a root directory that holds the folder and nothing else: no other file has a name.

    ONNX Runtime asks `/proc/self/fd` where a tensor that it has opened really is, and loads
    none without it. So this much of /proc comes along: the descriptors of this process.
    """
    if not place.own_mounts:
        raise Off("without mounts of its own the folder stays where it is")
    if not place.own_users:  # what an administrator mounts would spread to everybody's mounts
        _mount("none", _MOUNT_POINT, _MS_PRIVATE)
    _mount("none", _MOUNT_POINT, _FLAGS & ~_MS_RDONLY, "tmpfs", "size=64k,nr_inodes=8,mode=755")
    _bind(_DESCRIPTORS, _MOUNT_POINT + _DESCRIPTORS)
    if place.descriptor is not None:
        _bind(".", _MOUNT_POINT + _FOLDER)  # where this process went while it could
    _mount("none", _MOUNT_POINT, _MS_REMOUNT | _FLAGS)
    os.chroot(_MOUNT_POINT)
    os.chdir("/")
    if place.descriptor is None:
        return "an empty folder"
    place.folder = _FOLDER
    return "the folder alone"


def _bind(source: str, target: str) -> None:
    Path(target).mkdir(parents=True)
    _mount(source, target, _MS_BIND)
    _mount("none", target, _MS_REMOUNT | _MS_BIND | _FLAGS)


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    words = (source.encode(), target.encode(), kind.encode())
    call("mount", *words, flags, options.encode())
