# SPDX-License-Identifier: MIT
"""Orders between real nodes, and what their books say after. How nodes are started: `nodes`."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import onnx

from tests.e2e.nodes import PATIENCE_S, Node, peers_of, until
from tests.models_in_code import mlp
from tests.tree import ROOT

OPEN = ("placed", "accepted", "working", "paused", "delivered", "owing")


def slow_model(folder: Path) -> Path:
    """Write a model that is small and takes some 15 ms for an item, with :data:`SLOW_SIZE`."""
    path = folder / "slow.onnx"
    onnx.save(mlp((8, 1024, 1024, 8)), path)
    return path


SLOW_SIZE = "batch=512"


class Try:
    """`commons try`, typed and not waited for."""

    def __init__(self, at: Node, worker: str, model: Path, items: int, size: str = "") -> None:
        """Type it."""
        dims = ["--dim", size] if size else []
        typed = ["try", worker, str(model), "--items", str(items), *dims, "--json"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "node.cli.main", *typed],
            cwd=ROOT,
            env=at.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until_step(self, step: str) -> None:
        """Read what it says until it comes to a step."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if json.loads(line).get("progress", {}).get("step") == step:
                return
        raise AssertionError(f"it ended before {step}: {self.result()}")

    def result(self, timeout_s: float = PATIENCE_S) -> tuple[int, dict[str, Any], str]:
        """Wait for it; give its exit status, what was tried, and what it complained of."""
        try:
            out, complaint = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end of it within {timeout_s:g} s") from None
        told = [json.loads(line) for line in out.splitlines()]
        tried = [each["tried"] for each in told if "tried" in each]
        return self._process.returncode, tried[0] if tried else {}, complaint

    def kill(self) -> None:
        """Kill the command, as a closed terminal does."""
        self._process.kill()
        self._process.communicate()


def try_once(at: Node, worker: Node, model: Path, items: int = 2, size: str = "") -> dict[str, Any]:
    """Have a model tried, which works."""
    status, tried, complaint = Try(at, worker.peer, model, items, size).result()
    assert status == 0, f"{complaint}{at.tail()}{worker.tail()}"
    return tried


def credit(node: Node) -> tuple[int, int]:
    """Give what a node has earned and spent in all, as its status says."""
    told = node.get("/v1/status")["credit"]
    return int(told["earned_cu"]), int(told["spent_cu"])


def agree(one: Node, other: Node) -> bool:
    """Whether two nodes that know nobody else have the same two integers in their books."""
    return credit(one) == credit(other)[::-1]


def left_open(node: Node) -> list[tuple[str, str]]:
    """Give role and state of the orders that are not over, as the node has them on its disk."""
    (path,) = (node.home / "state").glob("network-*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        rows = database.execute("SELECT role, state FROM orders").fetchall()
    return [(role, state) for role, state in rows if state in OPEN]


def meet(one: Node, other: Node) -> None:
    """Wait until two nodes are connected."""
    until(lambda: other.peer in peers_of(one), f"they meet: {one.tail()}{other.tail()}")
    until(lambda: one.peer in peers_of(other), f"they meet: {one.tail()}{other.tail()}")


def settle(one: Node, other: Node) -> None:
    """Wait until no order between two nodes is open, and both have the same in their books."""
    meet(one, other)

    def is_settled() -> bool:
        return not left_open(one) and not left_open(other) and agree(one, other)

    try:
        until(is_settled, "all orders are over, and the books agree")
    except AssertionError as error:
        found = [(credit(each), left_open(each), each.tail()) for each in (one, other)]
        raise AssertionError(f"{error}: {found}") from None
