# SPDX-License-Identifier: MIT
"""Confines this process before it touches a stranger's model. What each layer does is next door.

The order of the steps is their meaning: what needs a power comes before the step that drops it,
and what the kernel forgets when the user changes comes after. `confine` goes as far as a model
may be loaded; `close_files` comes after the load, before the first input.
"""

import os
import platform
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from node.executor.executor import Layer
from node.executor.sandbox import filters, identity, landlock, limits, places
from node.executor.sandbox.kernel import Off
from node.executor.sandbox.places import Place
from node.executor.sandbox.syscalls import this_machine

#: Without one of these a stranger's work is refused. Each alone stands between native code that
#: was taken over and some part of the machine: its files, its network, its memory, its users.
STRANGERS_NEED = frozenset(
    {
        *("one_thread", "limits", "uid", "capabilities"),
        *("no_new_privileges", "landlock", "seccomp_load"),
    }
)

#: Every layer, in the order in which they are put on.
LAYERS = (
    *("one_thread", "descriptors", "limits", "uid", "namespaces", "threads", "root"),
    *("capabilities", "parent_death", "not_dumpable", "no_new_privileges", "landlock"),
    "seccomp_load",
)
RUN = "seccomp_run"

Step = Callable[[], str]
"""Puts on one layer and says what it does; OSError, ValueError or Off where it cannot."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a process may still have.

    `folder` is the only one that it may read; with None it cannot open any file. Memory and
    processor time come on top of what it has used already. It dies with `parent_pid`, which is
    whoever is its parent now unless somebody knows better: one who forks knows it before.
    An administrator becomes `uid`, and this user must be able to read the folder. Descriptors
    that are not in `keep_open` are closed, if it is given.
    """

    folder: str | None
    memory_bytes: int
    cpu_s: int | None = None
    open_files: int = 64
    threads: bool = True
    uid: int = 65534
    parent_pid: int | None = None
    keep_open: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Confined:
    """What holds now, and where the folder is now: elsewhere if the root directory is new."""

    layers: tuple[Layer, ...]
    folder: str


def confine(wanted: Confinement, *, only: Collection[str] | None = None) -> Confined:
    """Put on every layer up to the filter for the load, in a process that has one thread.

    All imports come before. A layer that this system refuses is reported as off, and the others
    are put on: whoever called decides with :func:`holds_strangers`. `only` leaves out the
    layers that it does not name, so that each can be tried alone.
    """
    if this_machine() is None:
        return Confined(tuple(_not_here(name) for name in LAYERS), wanted.folder or "")
    parent_pid = os.getppid() if wanted.parent_pid is None else wanted.parent_pid
    place = places.open_place(wanted.folder)
    layers = tuple(
        _put_on(name, step)
        for name, step in _steps(wanted, place, parent_pid)
        if only is None or name in only
    )
    place.close()
    return Confined(layers, place.folder)


def close_files() -> Layer:
    """Put on the filter for the time after the load: nothing is opened or started any more."""
    if this_machine() is None:
        return _not_here(RUN)
    return _put_on(RUN, filters.install_run)


def holds_strangers(layers: Iterable[Layer]) -> bool:
    """Whether a stranger's model may be touched behind these layers.

    The filter of :func:`close_files` may be missing: it comes after the load. It may not be off.
    """
    is_on = {layer.name: layer.on for layer in layers}
    return all(is_on.get(name, False) for name in STRANGERS_NEED) and is_on.get(RUN, True)


def _steps(wanted: Confinement, place: Place, parent_pid: int) -> tuple[tuple[str, Step], ...]:
    """Give every layer in order. Nothing is done before a step is called."""
    files, threads = wanted.folder is not None, wanted.threads
    return (
        ("one_thread", limits.one_thread),
        ("descriptors", lambda: limits.keep_open(wanted.keep_open, place.descriptor)),
        ("limits", lambda: limits.limit(wanted.memory_bytes, wanted.cpu_s, wanted.open_files)),
        ("uid", lambda: identity.drop_uid(wanted.uid)),
        ("namespaces", lambda: places.enter_namespaces(place)),
        ("threads", lambda: limits.limit_threads(own_users=place.own_users)),
        ("root", lambda: places.enter_root(place)),
        ("capabilities", identity.drop_capabilities),
        ("parent_death", lambda: identity.die_with(parent_pid)),
        ("not_dumpable", identity.hide_memory),
        ("no_new_privileges", identity.no_new_privileges),
        ("landlock", lambda: landlock.restrict(place.descriptor)),
        ("seccomp_load", lambda: filters.install_load(files=files, threads=threads)),
    )


def _not_here(name: str) -> Layer:
    return Layer(name, False, f"there is none for {platform.system()} on {platform.machine()}")


def _put_on(name: str, step: Step) -> Layer:
    """Take a step. What the kernel refuses is a layer that is off; a mistake of ours is raised."""
    try:
        return Layer(name, True, step())
    except OSError as error:
        return Layer(name, False, error.strerror or str(error))
    except (ValueError, Off) as error:  # ValueError: how Python says that a limit may not rise
        return Layer(name, False, str(error))
