# SPDX-License-Identifier: MIT
"""Looks at what must not be lost: the identity, the networks, the databases, the clock's memory."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from node.api.documents import Finding
from node.clock import SystemClock
from node.doctor.looks import failure, passed, warning, words_of
from node.doctor.scene import Scene
from node.errors import ConfigError
from node.identity import identity_file, load
from node.store.connection import Connection
from node.store.settings import WALL_S, Setting
from protocol.keys import peer_id

ValueT = TypeVar("ValueT", int, float, str)

#: This program was not there before: 1 January 2026.
RELEASED_S = 1_767_225_600

#: A clock that is corrected by less is in order.
BACK_S = 60.0

#: What systemd's keeper of the time touches when it has heard a server.
SYNCHRONISED = "run/systemd/timesync/synchronized"

BACKUP = "Put back a copy of the state folder, or move the file away and begin anew without it."


def see_identity(scene: Scene) -> list[Finding]:
    """Read the key of this node. Whether it is used elsewhere, only a running node can see."""
    path = identity_file(scene.paths)
    try:
        identity = load(scene.paths)
    except ConfigError as error:
        step = f"`chmod 600 {path}` if it is open; else put back a copy of it."
        return [failure("identity", f"{str(error).rstrip('.')}.", step)]
    if identity is None:
        return [
            passed("identity", "There is none yet; `commons run` makes one at its first start.")
        ]
    return [passed("identity", f"{peer_id(identity.me)}, and only this user can read its key.")]


def see_networks(scene: Scene) -> list[Finding]:
    """Read every network, and say which one is used."""
    try:
        active, every = scene.networks().active(), scene.networks().all()
    except ConfigError as error:
        step = "Join again with an invite; `commons network` lists what is known."
        return [failure("networks", f"{str(error).rstrip('.')}.", step)]
    kind = "open"
    if active.is_private:
        kind = f"private, secret versions {', '.join(str(each) for each in sorted(active.secrets))}"
    sentence = f"`{active.name}` is used ({kind}), of {len(every)} that are known."
    return [passed("networks", sentence)]


def see_clock(scene: Scene) -> list[Finding]:
    """Judge this machine's clock by itself; a running node compares it with those of others."""
    now = scene.clock.now()
    found = []
    source = SystemClock().source
    if source != "CLOCK_BOOTTIME" and os.uname().sysname == "Linux":
        sentence = f"Time that passes is counted by {source}, which stands still in suspend."
        found.append(warning("clock", sentence, "Use a kernel with CLOCK_BOOTTIME."))
    step = "Set the clock, and let it be kept: `timedatectl set-ntp true` where systemd runs."
    seen_s = remembered(scene, WALL_S)
    if now.wall_s < RELEASED_S:
        sentence = (
            "The clock says a time before this program was made: others refuse what it signs."
        )
        found.append(failure("clock", sentence, step))
    elif seen_s is not None and now.wall_s < seen_s - BACK_S:
        sentence = f"The clock is {seen_s - now.wall_s:.0f} s behind a time that was seen already."
        found.append(failure("clock", sentence, step))
    if found:
        return found
    if (scene.root / SYNCHRONISED).exists():
        return [passed("clock", "The system keeps it in step with a time server.")]
    return [passed("clock", "Its time is plausible; who keeps it in step is not known here.")]


def see_databases(scene: Scene) -> list[Finding]:
    """Have SQLite check each database, while no node runs.

    Nothing is changed, but SQLite moves in what a crash has left beside a database, as it would
    at the next start.
    """
    if scene.is_running:  # it has looked when it opened them, and tells what it sees itself
        return []
    files = sorted(scene.paths.state.glob("*.db")) if scene.paths.state.is_dir() else []
    found = [finding for path in files for finding in _database(path)]
    words = "There is none yet" if not files else f"{len(files)} are there and whole"
    return found or [passed("databases", f"{words}.")]


def remembered(scene: Scene, setting: Setting[ValueT]) -> ValueT | None:
    """Give what the node remembers of itself; None too where its database cannot be read."""
    path = scene.paths.state / "node.db"
    if not _is_ours(path):
        return None
    try:
        with closing(Connection(path, reads_only=True)) as connection:
            sql = "SELECT value FROM settings WHERE name = ?"
            return setting.read(str(connection.rows(sql, (setting.name,))[0][0]))
    except (ConfigError, OSError, ValueError, IndexError):  # a damaged one has a look of its own
        return None


def _database(path: Path) -> Iterator[Finding]:
    if not _is_ours(path):
        sentence = f"{path} is no file of this user; the node cannot use it."
        yield failure("databases", sentence, BACKUP)
        return
    if _is_held(path.with_suffix(".lock")):
        sentence = (
            f"A process has {path} open, and no node answers at this user's control socket: it "
            f"hangs, or was started with another XDG_RUNTIME_DIR or COMMONS_HOME."
        )
        step = f"`fuser {path}` says which process it is."
        yield failure("databases", sentence, step)
        return
    try:
        with closing(Connection(path, reads_only=True)) as connection:
            said = str(connection.rows("PRAGMA quick_check(1)")[0][0])
    except (ConfigError, OSError, ValueError) as error:
        yield failure("databases", f"{words_of(error)}.", BACKUP)
        return
    if said != "ok":
        said = " ".join(said.split())
        yield failure("databases", f"{path} is damaged: {said}.", BACKUP)


def _is_ours(path: Path) -> bool:
    """Whether SQLite may open it here: as another user it would leave files that are not ours."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _is_held(lock: Path) -> bool:
    """Whether a process holds this lock; ours is shared, and gone at once."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
