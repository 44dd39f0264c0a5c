# SPDX-License-Identifier: MIT
"""Which code may know which: arrows go one way, and `protocol/` is pure."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tree import PACKAGES, ROOT, name_of, python_files

MAY_IMPORT = {"protocol": set[str](), "node": {"protocol"}, "simulations": {"protocol", "node"}}

# The standard library's pure part. What is missing here is missing on purpose: time, datetime,
# random, secrets, uuid, os, sys, io, pathlib, tempfile, socket, select, ssl, subprocess, threading,
# multiprocessing, concurrent, asyncio, queue, logging, sqlite3, ctypes, importlib and their kin.
PURE = {
    *("__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy"),
    *("dataclasses", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "hmac"),
    *("itertools", "json", "keyword", "math", "numbers", "operator", "re", "statistics", "string"),
    *("struct", "textwrap", "types", "typing", "unicodedata", "weakref", "zlib"),
}
PURE_GUESTS = {"msgpack", "cryptography"}
DOORS = {*("open", "input", "print", "breakpoint"), *("exec", "eval", "compile", "__import__")}

# Inside node, from the doors inwards. Files that are in no room (main.py, config.py) may know all.
DEPTH = {
    "cli": 0,
    "api": 0,
    "work": 1,
    "mesh": 2,
    "models": 2,
    "executor": 3,
    "store": 3,
    "host": 3,
}
DEEPEST = max(DEPTH.values())

# What only one place may touch, as prefixes of the path; nobody else in the three packages.
ONLY_IN = {
    "libp2p": ("node/mesh/libp2p/",),
    "multiaddr": ("node/mesh/libp2p/",),
    "sqlite3": ("node/store/", "simulations/"),
    "hypercorn": ("node/host/",),
    "starlette": ("node/api/",),
    "zeroconf": ("node/host/",),
    "onnxruntime": ("node/executor/child/",),
    "numpy": ("node/executor/child/",),
    "onnx": ("node/models/", "node/executor/child/"),
    "subprocess": ("node/executor/", "simulations/again.py"),
    "multiprocessing": ("node/executor/",),
}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every absolute import in a file: its line, and the full name it asks for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            elif node.level > 1:
                yield node.lineno, "." * node.level


def violations(root: Path, paths: list[Path]) -> list[str]:
    """Every arrow that points the wrong way, as `file:line: what is wrong`."""
    found = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"), name)
        complaints = [
            (line, complaint)
            for line, module in imported(tree)
            for complaint in _complaints(name, module)
        ]
        if name.startswith("protocol/"):
            complaints += _open_doors(tree)
        found += [f"{name}:{line}: {complaint}" for line, complaint in complaints]
    return found


def _complaints(name: str, module: str) -> Iterator[str]:
    layer, room = name.split("/")[:2]
    top, *inner = module.split(".")
    if module.startswith("."):
        yield "a relative import that climbs: write the whole name"
        return
    if top in MAY_IMPORT and top != layer and top not in MAY_IMPORT[layer]:
        yield f"{layer} may not know {top}"
    if top in {"tests", "tools"}:
        yield f"{top} is not part of the program"
    if layer == "protocol" and top not in PURE | PURE_GUESTS | set(PACKAGES) | {"tests", "tools"}:
        yield f"protocol is pure and may not know {top}"
    target = inner[0] if top == layer == "node" and inner else ""
    if DEPTH.get(target, DEEPEST) < DEPTH.get(room, 0):
        yield f"node/{room} may not know node/{target}, which is nearer to the door"
    if top in ONLY_IN and layer != "protocol" and not name.startswith(ONLY_IN[top]):
        yield f"{top} belongs to {' '.join(ONLY_IN[top]) or 'no file of the program'}"


def _open_doors(tree: ast.AST) -> list[tuple[int, str]]:
    return [
        (node.lineno, f"protocol is pure and may not call {node.func.id}()")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DOORS
    ]


def test_arrows_go_from_simulations_to_node_to_protocol_and_never_back() -> None:
    assert violations(ROOT, list(python_files(*PACKAGES))) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_layer_is_there_and_was_looked_at(package: str) -> None:
    """A missing folder has no violations: it must not pass for that reason."""
    assert f"{package}/__init__.py" in {name_of(path) for path in python_files(package)}


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("protocol/a.py", "import time", "protocol is pure and may not know time"),
        ("protocol/a.py", "from os import urandom", "protocol is pure and may not know os"),
        ("protocol/a.py", "import numpy", "protocol is pure and may not know numpy"),
        ("protocol/a.py", "from node import exits", "protocol may not know node"),
        ("protocol/a.py", "open('ledger')", "protocol is pure and may not call open()"),
        ("protocol/a/b.py", "from .. import c", "a relative import that climbs"),
        ("node/a.py", "import simulations.world", "node may not know simulations"),
        ("node/a.py", "def f():\n    from tests import tree", "tests is not part of the program"),
        ("node/a.py", "import libp2p.host", "libp2p belongs to node/mesh/libp2p/"),
        ("node/store/a.py", "import subprocess", "subprocess belongs to node/executor/"),
        ("node/executor/a.py", "import numpy", "numpy belongs to node/executor/child/"),
        ("node/work/a.py", "import onnx", "onnx belongs to node/models/"),
        ("node/executor/a.py", "import onnxruntime", "onnxruntime belongs to node/executor/child/"),
        ("node/executor/a.py", "from node import models", "executor may not know node/models"),
        ("node/mesh/a.py", "from node.work import x", "node/mesh may not know node/work"),
        ("node/store/a.py", "from node import api", "node/store may not know node/api"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, line: str, complaint: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(line, encoding="utf-8")
    found = violations(tmp_path, [path])
    assert any(complaint in violation for violation in found), found


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("protocol/a.py", "import struct, msgpack\nfrom cryptography import exceptions"),
        ("protocol/a.py", "from protocol.b import c\nfrom . import d"),
        ("node/mesh/libp2p/a.py", "import libp2p, protocol.keys, time"),
        ("node/cli/a.py", "from node.work import x\nfrom node.store import y"),
        ("node/executor/child/a.py", "import onnxruntime, numpy"),
        ("node/executor/a.py", "import subprocess"),
        ("node/models/a.py", "from node.executor import pool"),
        ("simulations/a.py", "import node.main, protocol.canon"),
    ],
)
def test_an_arrow_that_goes_down_is_fine(tmp_path: Path, name: str, line: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(line, encoding="utf-8")
    assert violations(tmp_path, [path]) == []


def test_importing_all_of_protocol_pulls_in_nothing_heavy() -> None:
    """Whoever checks a transcript offline needs msgpack and cryptography, and no more."""
    modules = [
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in python_files("protocol")
    ]
    heavy = {"trio", "libp2p", "onnx", "onnxruntime", "numpy", "structlog", "google.protobuf"}
    program = f"import sys, {', '.join(modules)}; print(*({heavy!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
