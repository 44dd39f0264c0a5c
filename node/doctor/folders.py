# SPDX-License-Identifier: MIT
"""Looks at folders and space: whether they are there, ours, on a real disk, and large enough."""

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from node.api.documents import Finding
from node.doctor.looks import failure, passed, warning
from node.doctor.scene import Scene
from node.errors import ConfigError
from node.executor.machine import disk_space, look
from node.models.incoming import UNFINISHED
from node.paths import Paths, usable_socket
from node.store.blobs import Blobs

MIB = 1 << 20

#: SQLite needs locks and shared memory that these do not give, or not safely.
NETWORK_KINDS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "sshfs", "fuse.sshfs", "9p", "afs", "ceph"),
        *("fuse.glusterfs", "glusterfs", "lustre", "beegfs", "gfs2", "fuse.s3fs", "fuse.rclone"),
    }
)

#: With less, a node can not write down what it signs, and does not start.
WRITE_MIB = 16

#: From this share of `governor.disk_mib` on, old models soon go to make room for new ones.
FULL_SHARE = 0.9

MOVE = "Set COMMONS_HOME to a folder on a disk of this machine."


def see_folders(scene: Scene) -> list[Finding]:
    """Look at each folder; one that is missing is made at the first start."""
    found = [finding for name, folder in _folders(scene.paths) for finding in _folder(name, folder)]
    try:
        usable_socket(scene.paths.control_socket)
    except ConfigError as error:
        found.append(failure("folders", str(error), "Set a shorter COMMONS_HOME."))
    there = [name for name, folder in _folders(scene.paths) if folder.is_dir()]
    words = f"{', '.join(there)} are there and this user's alone" if there else "None is there yet"
    rest = "" if len(there) == 4 else "; the first start makes what is missing"
    return found or [passed("folders", f"{words}{rest}.")]


def see_disks(scene: Scene) -> list[Finding]:
    """Notice a database on a disk of the network."""
    kind = kind_of(scene.paths.state, scene.root)
    if kind in NETWORK_KINDS:
        sentence = f"The state folder is on a disk of the network ({kind}), where SQLite can lose"
        return [warning("disk", f"{sentence} what it has written.", MOVE)]
    return [passed("disk", f"The state folder is on a disk of this machine ({kind or 'unknown'}).")]


def see_space(scene: Scene) -> list[Finding]:
    """Hold the free disk against what the governor keeps free, and models against their share."""
    governor = scene.config.governor
    home_mib = disk_space(scene.paths.state)[1] // MIB
    if home_mib < WRITE_MIB:
        sentence = f"{home_mib} MiB are free for {scene.paths.state}: too few to write the books."
        return [failure("space", sentence, "Make room on this disk, or set another COMMONS_HOME.")]
    free_mib = disk_space(scene.paths.models)[1] // MIB
    blobs = scene.paths.models / "blobs"  # where it cannot be, `folders` says so
    taken_mib = Blobs(blobs).total_bytes() // MIB if blobs.is_dir() else 0
    sentence = f"{free_mib:,} MiB are free; models take {taken_mib:,} of {governor.disk_mib:,} MiB."
    if free_mib < governor.disk_free_mib:
        why = f"Less than governor.disk_free_mib ({governor.disk_free_mib}): nothing is fetched."
        return [warning("space", f"{sentence} {why}", "Make room on this disk, or lower the key.")]
    if taken_mib > FULL_SHARE * governor.disk_mib:
        why = "The oldest soon go to make room."
        return [warning("space", f"{sentence} {why}", "Raise governor.disk_mib to keep more.")]
    return [passed("space", sentence)]


def see_memory(scene: Scene) -> list[Finding]:
    """Hold the memory of this machine against what runners may take."""
    machine, config = look(scene.paths.models, scene.root), scene.config
    wants, keeps = config.executor.memory_mib, config.governor.memory_free_mib
    sentence = (
        f"{machine.memory_available_mib:,} of {machine.memory_mib:,} MiB are free; runners may "
        f"take {wants:,}, and {keeps:,} are kept for others."
    )
    if machine.memory_available_mib < keeps:
        step = "End other programs, or lower governor.memory_free_mib."
        return [warning("memory", f"{sentence} So no work is taken now.", step)]
    if wants > machine.memory_mib:
        step = "Lower executor.memory_mib: a runner that takes too much is killed."
        return [warning("memory", f"{sentence} That is more than there is.", step)]
    return [passed("memory", sentence)]


def see_leftovers(scene: Scene) -> list[Finding]:
    """Notice what a killed process has left behind: half of a model is of no use."""
    places = [scene.paths.models / name for name in ("blobs", "folders")]
    left = [each for place in places if place.is_dir() for each in place.glob(f"{UNFINISHED}*")]
    if not left:
        return [passed("leftovers", "No model was left half fetched.")]
    sentence = f"{len(left)} models are half fetched in {places[0].parent}"
    if scene.is_running:
        return [passed("leftovers", f"{sentence}; the running node may be at work on them.")]
    step = f"While no node runs: `rm -rf {places[0].parent}/*/{UNFINISHED}*`."
    return [warning("leftovers", f"{sentence}, and take room for nothing.", step)]


def kind_of(folder: Path, root: Path) -> str:
    """Name the file system that a folder is on, or would be; empty when nobody knows."""
    try:
        text = (root / "proc/self/mounts").read_text("utf-8", "replace")
    except OSError:
        return ""
    best, kind = Path("/"), ""
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1]))
        if (place == folder or place in folder.parents) and len(place.parts) >= len(best.parts):
            best, kind = place, fields[2]
    return kind


def _folders(paths: Paths) -> tuple[tuple[str, Path], ...]:
    names = ("config", "state", "cache", "runtime")
    return tuple((name, getattr(paths, name)) for name in names)


def _folder(name: str, folder: Path) -> Iterator[Finding]:
    try:
        found = folder.stat()
    except FileNotFoundError:
        above = next(each for each in folder.parents if each.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            sentence = f"The {name} folder {folder} is missing, and {above} cannot be written to."
            yield failure("folders", sentence, "Set COMMONS_HOME to a folder of yours.")
        return
    except OSError as error:
        sentence = f"The {name} folder {folder} cannot be seen: {error.strerror or error}."
        yield failure("folders", sentence, "Set COMMONS_HOME to a folder of yours.")
        return
    what, close = f"The {name} folder {folder}", f"`chmod 700 {shlex.quote(str(folder))}`"
    if not stat.S_ISDIR(found.st_mode):
        step = f"`mv {shlex.quote(str(folder))} {shlex.quote(f'{folder}.old')}`"
        yield failure("folders", f"{what} is no folder.", step)
    elif found.st_uid != os.geteuid():
        sentence = f"{what} belongs to user {found.st_uid}, and this is user {os.geteuid()}."
        yield failure("folders", sentence, "Start as its owner, or set COMMONS_HOME.")
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        sentence = f"{what} can be written to by others; the node does not start so."
        yield failure("folders", sentence, f"{close}, after a look at what is in it.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield failure("folders", f"{what} cannot be written to.", close)
    elif found.st_mode & 0o077 and name != "config":
        sentence = f"{what} can be read by others; the next start closes it."
        yield warning("folders", sentence, close)
