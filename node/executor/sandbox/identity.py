# SPDX-License-Identifier: MIT
"""Who the process is to the kernel: its user, what it may do as such, and whose child it is.

The order matters. Capabilities are needed once more after the user has changed (for namespaces
and for the root directory), so they are dropped in a step of their own. With them the kernel
forgets whom the process dies with and whether others may look into it, so these come last.
"""

import ctypes
import os
import signal
import struct
from errno import EINVAL, EPERM

from node.executor.sandbox.kernel import Off, call, prctl

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

# NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, all locked, and KEEP_CAPS locked when off:
# no user id, not even 0, brings a capability back.
_SECUREBITS = 0b1110_1111

# There are 41 capabilities, and their sets have room for as many as this.
_CAPABILITIES_MAX = 64
_CAPABILITY_VERSION = 0x2008_0522


def drop_uid(uid: int) -> str:
    """Stop being the administrator, and leave all groups. Capabilities stay for now."""
    if 0 not in os.getresuid():
        return f"uid {os.getuid()}, the node's own"
    prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    permitted = _capabilities()[1]
    _set_capabilities(effective=permitted, permitted=permitted)
    return f"uid {uid}, no groups"


def drop_capabilities() -> str:
    """Give up all capabilities, and the ways to get them back."""
    bounded = _drop_the_bounding_set()
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    try:
        prctl(_PR_SET_SECUREBITS, _SECUREBITS)
    except PermissionError:
        bounded = False
    _set_capabilities(effective=0, permitted=0)
    if any(_capabilities()):
        raise Off("the kernel left some")
    return "none left" if bounded else "none left; a program that is executed could bring some"


def _drop_the_bounding_set() -> bool:
    for capability in range(_CAPABILITIES_MAX):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == EPERM:
                return False  # it takes a capability; without any, no_new_privileges does it
            if error.errno != EINVAL:
                raise
            break  # there are no more
    return True


def _capabilities() -> tuple[int, int, int]:
    """Read the sets: effective, permitted, inheritable."""
    sets = ctypes.create_string_buffer(24)
    call("capget", struct.pack("<II", _CAPABILITY_VERSION, 0), sets)
    low = struct.unpack("<6I", sets.raw)
    effective, permitted, inheritable = (low[at] | low[at + 3] << 32 for at in range(3))
    return effective, permitted, inheritable


def _set_capabilities(*, effective: int, permitted: int) -> None:
    word = 0xFFFF_FFFF
    low = struct.pack("<III", effective & word, permitted & word, 0)
    high = struct.pack("<III", effective >> 32, permitted >> 32, 0)
    call("capset", struct.pack("<II", _CAPABILITY_VERSION, 0), low + high)


def die_with(parent_pid: int) -> str:
    """Have the kernel kill this process when its parent ends; an orphan ends here.

    To the kernel the parent is the thread that started this process, not all of its threads.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
    said = ctypes.create_string_buffer(4)
    call("prctl", _PR_GET_PDEATHSIG, said)
    if struct.unpack("<i", said.raw)[0] != signal.SIGKILL:
        raise Off("the kernel does not keep it")
    return "killed when its parent ends"


def hide_memory() -> str:
    """Let no other process of this user read this one's memory, or stop and steer it."""
    prctl(_PR_SET_DUMPABLE, 0)
    if prctl(_PR_GET_DUMPABLE) != 0:
        raise Off("the kernel does not keep it")
    return "no process of this user can look into it"


def no_new_privileges() -> str:
    """Refuse what a program on disk could bring along; the next layers need it."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise Off("the kernel does not keep it")
    return "no program can bring any"
