# SPDX-License-Identifier: MIT
"""What the owner of a made node can put aside of its machine, and put back: databases and files.

It is the state folder, as node/identity.py advises, and the config; models are fetched again.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.identity import identity_file
from node.paths import Paths, make_private
from node.private_file import MODE


@dataclass(frozen=True, slots=True)
class Backup:
    """What was on a machine at one moment."""

    databases: Mapping[str, bytes]
    files: Mapping[str, bytes]
    """By their paths below the folder of the node."""


def read_files(folder: Path, paths: Paths) -> dict[str, bytes]:
    """Give the plain files of a node."""
    found = [each for kept in (paths.config, paths.state) for each in kept.rglob("*")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(found)
        if path.is_file()
    }


def put_files(folder: Path, paths: Paths, files: Mapping[str, bytes]) -> None:
    """Put these in the place of all plain files; nobody else can read them."""
    for kept in (paths.config, paths.state):
        shutil.rmtree(kept, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        make_private(path.parent)
        path.write_bytes(data)
        path.chmod(MODE)


def read_key(paths: Paths) -> bytes:
    """Give the file of the key; nothing where there is none yet."""
    path = identity_file(paths)
    return path.read_bytes() if path.is_file() else b""


def empty(folder: Path, paths: Paths, key: bytes) -> None:
    """Have nothing on the disk but, if there is one, the file of the key."""
    shutil.rmtree(folder, ignore_errors=True)
    if key:
        put_files(folder, paths, {identity_file(paths).relative_to(folder).as_posix(): key})
