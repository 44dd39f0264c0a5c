# SPDX-License-Identifier: MIT
"""What the machine must have for `make setup`: found out in a second, not after a minute.

One dependency of py-libp2p (fastecdsa) ships no binary: it is compiled here, and needs a C
compiler, the headers of this Python, and those of GMP. Run by the Python that will make
`.venv`; standard library only, and no syntax newer than that of Python 3.8, so that an old Python
can still say that it is too old.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

OLDEST = (3, 11)
NEWER_NAMES = ("python3.13", "python3.12", "python3.11")

VENV_PART = "Python's venv module with ensurepip (python3-venv)"
INSTALL = """\
  Debian, Ubuntu:  apt-get install gcc libc6-dev libgmp-dev python3-dev{venv}
  Fedora:          dnf install gcc glibc-devel gmp-devel python3-devel
  Arch:            pacman -S gcc glibc gmp python
  macOS:           xcode-select --install && brew install gmp"""


def compiler() -> str | None:
    """Find the compiler that setuptools would call, or None."""
    wanted = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return next((path for name in (wanted.split()[0], "cc", "gcc") if (path := which(name))), None)


def which(name: str) -> str | None:
    """Find a program on the PATH; a door of its own so that a test can close it."""
    return shutil.which(name)


def has_header(compiler_path: str, header: str) -> bool:
    """Ask the compiler itself, which knows its folders better than any list does."""
    flags = ["-I" + sysconfig.get_path("include"), *os.environ.get("CFLAGS", "").split()]
    done = subprocess.run(
        [compiler_path, "-E", *flags, "-x", "c", "-"],
        input=f"#include <{header}>\n",
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def has_venv() -> bool:
    """Debian ships Python without what makes a whole .venv, in a package of its own."""
    return find_spec("venv") is not None and find_spec("ensurepip") is not None


def too_old(version: tuple[int, ...] = sys.version_info[:3]) -> str | None:
    """Say that this Python is too old, and name a newer one if the machine has it."""
    if version >= OLDEST:
        return None
    wanted = ".".join(map(str, OLDEST))
    found = ".".join(map(str, version))
    newer = next((name for name in NEWER_NAMES if which(name)), None)
    way_out = f"make setup PYTHON={newer}" if newer else f"install Python {wanted} or newer"
    return f"Python {wanted} or newer is needed, and this is {found}. Try: {way_out}"


def missing_parts() -> list[str]:
    """Name what is missing, in the words of the person who has to install it."""
    missing = [] if has_venv() else [VENV_PART]
    cc = compiler()
    if cc is None:
        missing.append("a C compiler (gcc)")
    else:
        if not has_header(cc, "stdlib.h"):
            missing.append("the C library's headers (stdlib.h)")
        elif not has_header(cc, "Python.h"):
            missing.append(f"the headers of this Python (Python.h), {sys.executable}")
        if not has_header(cc, "gmp.h"):
            missing.append("the headers of GMP (gmp.h)")
    return missing


def main() -> int:
    """Print nothing and return 0 when all is there; else say what is missing and how to get it."""
    if complaint := too_old():
        print(complaint, file=sys.stderr)
        return 1
    missing = missing_parts()
    if not missing:
        return 0
    venv = " python3-venv" if VENV_PART in missing else ""
    print("make setup needs, and this machine lacks:", file=sys.stderr)
    for part in missing:
        print(f"  - {part}", file=sys.stderr)
    print("Install them as root, then run make again:", file=sys.stderr)
    print(INSTALL.format(venv=venv), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
