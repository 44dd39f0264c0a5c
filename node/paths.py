# SPDX-License-Identifier: MIT
"""Where this node keeps its files, and folders that nobody else can look into.

Nothing is made by asking for a path. Whoever is about to write calls :func:`make_private`.
"""

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigError

APP = "commons"
HOME_VARIABLE = "COMMONS_HOME"
PRIVATE = 0o700

_HOMELESS = f"this user has no home folder: set HOME, or {HOME_VARIABLE}, to a whole path."

# `sun_path` is 108 bytes on Linux and 104 on the BSDs and macOS, and ends with a zero byte.
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103


@dataclass(frozen=True, slots=True)
class Paths:
    """The four folders of a node.

    What the owner writes is in `config`; what must not be lost is in `state`; what can be
    fetched or measured again is in `cache`; what ends with the process is in `runtime`.
    """

    config: Path
    state: Path
    cache: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """The owner's choices, which the node reads and never writes."""
        return self.config / "config.toml"

    @property
    def models(self) -> Path:
        """Models and their blobs."""
        return self.cache / "models"

    @property
    def control_socket(self) -> Path:
        """Where the running node listens for its owner's commands."""
        return self.runtime / "control.sock"


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Find the folders of this user; `COMMONS_HOME` puts all of them below one folder."""
    home = environ.get(HOME_VARIABLE, "")
    if home:
        below = _whole(home, HOME_VARIABLE)
        return Paths(*(below / name for name in ("config", "state", "cache", "runtime")))

    from platformdirs import PlatformDirs  # noqa: PLC0415 - 20 ms that COMMONS_HOME saves

    dirs = PlatformDirs(APP, appauthor=False)
    try:
        config, state, cache = dirs.user_config_dir, dirs.user_state_dir, dirs.user_cache_dir
    except RuntimeError as error:  # older ones give a path with `~`, which `_whole` refuses
        raise ConfigError(_HOMELESS) from error
    below = _whole(state, "XDG_STATE_HOME")
    return Paths(
        config=_whole(config, "XDG_CONFIG_HOME"),
        state=below,
        cache=_whole(cache, "XDG_CACHE_HOME"),
        runtime=_session_folder(environ) or below / "run",
    )


def make_private(folder: Path) -> Path:
    """Make a folder, with all above it, that only this user can enter; give it back.

    One that is there already is closed to the eyes of others. One that others own or may write
    to is refused: what lies in it may be theirs.
    """
    for above in reversed((folder, *folder.parents)):
        try:
            above.mkdir(mode=PRIVATE)
        except FileExistsError:
            continue
        except OSError as error:
            # On a disk for reading even what is there cannot be "made".
            if os.path.isdir(above):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
                continue
            raise ConfigError(f"the folder {above} cannot be made: {_says(error)}.") from error
    try:
        _close(folder)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be used: {_says(error)}.") from error
    return folder


def usable_socket(path: Path) -> Path:
    """Give back the path of a Unix socket, if the system can take one so long."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            f"the path of the socket {path} has {length} bytes, and the system takes at most "
            f"{SOCKET_PATH_BYTES_MAX}: choose a shorter {HOME_VARIABLE} or XDG_RUNTIME_DIR."
        )
    return path


def _session_folder(environ: Mapping[str, str]) -> Path | None:
    """Find the folder that the login session made for us, which goes when the session ends.

    After `su` or `sudo` the variable still names the folder of somebody else.
    """
    text = environ.get("XDG_RUNTIME_DIR", "")
    try:
        ours = os.path.isabs(text) and os.stat(text).st_uid == os.geteuid()  # noqa: PTH116, PTH117 - it may be no path at all
    except (OSError, ValueError):
        ours = False
    return Path(text) / APP if ours else None


def _whole(text: str, variable: str) -> Path:
    """Read a path that means the same wherever the program is started."""
    # neither systemd nor a container file knows `~`, so that it may well arrive here
    path = os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises where nobody has a home
    if path.startswith("~"):
        raise ConfigError(_HOMELESS)
    if "\0" in path:
        raise ConfigError(f"{variable} has a zero byte in it: {text!r}.")
    if not os.path.isabs(path):  # noqa: PTH117 - still a string, as the checks above
        raise ConfigError(
            f"{variable} is {text}, which depends on where the program is started: "
            f"give the whole path, such as {Path.cwd() / path}."
        )
    return Path(path)


def _close(folder: Path) -> None:
    """Make sure that a folder is ours alone."""
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{folder} is in the place of a folder and is none: move it away.")
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"the folder {folder} belongs to user {found.st_uid}, and this is user "
            f"{os.geteuid()}: start as its owner, or set {HOME_VARIABLE} to another folder."
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"others may write to the folder {folder}: look at what is in it, then close it "
            f"with `chmod 700 {folder}`."
        )
    above = folder.parent.stat()
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"anybody can put another folder in the place of {folder}: "
            f"close the one above it with `chmod o-w {folder.parent}`."
        )
    if found.st_mode & 0o077:
        folder.chmod(PRIVATE)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"the folder {folder} cannot be written to: see its permissions.")


def _says(error: OSError) -> str:
    return error.strerror or str(error)
