# SPDX-License-Identifier: MIT
"""Nodes that come and go at random, and what is asked of those that stay. It judges nothing.

The first few nodes are steady: their processes live as long as the churn, so that what they
take can be followed. To the others anything may happen at any time.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.e2e.measuring import Life, ask
from tests.e2e.nodes import Node

#: So many tries are under way at once at most.
TRIES_MAX = 2

#: A node that was stopped stays away, and a frozen one stands still, for up to so long.
AWAY_S_MAX = 20.0


@dataclass
class Churn:
    """What happens, to whom, when. `tick` does what is due."""

    nodes: Sequence[Node]
    steady: int
    model: Path
    dice: random.Random
    every_s: float
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    lives: dict[int, Life] = field(default_factory=dict)
    _back: list[tuple[float, str, Node]] = field(default_factory=list)
    _tries: list[Future[None]] = field(default_factory=list)
    _next_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Let tries wait aside, so that the churn goes on meanwhile."""
        self._aside = ThreadPoolExecutor(TRIES_MAX)

    def tick(self) -> None:
        """Bring back who is due, and do the next thing when it is time."""
        now_s = time.monotonic()
        for each in [each for each in self._back if each[0] <= now_s]:
            self._back.remove(each)
            self._bring_back(each[1], each[2])
        self._tries = [each for each in self._tries if not each.done()]
        if now_s >= self._next_s:
            self._next_s = now_s + self.dice.expovariate(1 / self.every_s)
            getattr(self, f"_{self.dice.choices(*zip(*CHANCES, strict=True))[0]}")()

    def look(self) -> None:
        """Sample every process that is there."""
        away = {node for _, _, node in self._back}
        for number, node in enumerate(self.nodes):
            if node.pid and node not in away:
                name = f"node {number}{', steady' if number < self.steady else ''}"
                self.lives.setdefault(node.pid, Life(name, node.pid)).look(node)

    def end(self) -> None:
        """Bring everybody back, and wait for the tries."""
        for _, what, node in self._back:
            self._bring_back(what, node)
        self._back.clear()
        self._aside.shutdown()

    # --- what may happen ------------------------------------------------------------------------

    def _kill(self) -> None:
        node = self._one()
        if node:
            self.counts["killed"] += 1
            node.kill()
            self._later("start", node)

    def _stop(self) -> None:
        """As `systemctl stop`: its end is not waited for here."""
        node = self._one()
        if node:
            self.counts["stopped"] += 1
            node.signal(signal.SIGTERM)
            self._later("start", node)

    def _freeze(self) -> None:
        node = self._one()
        if node:
            self.counts["frozen"] += 1
            node.signal(signal.SIGSTOP)
            self._later("thaw", node)

    def _pause(self) -> None:
        node = self.dice.choice(self.nodes)
        if self._ask(node, "/v1/pause", {"for_s": self.dice.uniform(5, 30)}):
            self.counts["paused"] += 1

    def _resume(self) -> None:
        for node in self.nodes:
            self._ask(node, "/v1/resume", {})

    def _invite(self) -> None:
        """Join by an invite what one is in already: its secrets and addresses are learned again."""
        told = self._ask(self.dice.choice(self.nodes), "/v1/invite", {})
        if told and self._ask(self.dice.choice(self.nodes), "/v1/join", {"text": told["text"]}):
            self.counts["joined again"] += 1

    def _move(self) -> None:
        """Leave for a network of its own, and come back by the id of the old one."""
        node = self.nodes[self.steady - 1]
        told = self._ask(node, "/v1/found", {"name": "elsewhere", "private": True})
        if told:
            self.counts["moved"] += 1
            self._later("return", node)

    def _peers(self) -> None:
        for node in self.nodes[: self.steady]:
            with suppress(OSError, HTTPException):
                ask(node, "GET", "/v1/peers?all=1")
        self.counts["listed"] += 1

    def _try(self) -> None:
        """An order of a steady node to anybody, who may vanish meanwhile."""
        if len(self._tries) < TRIES_MAX:
            node, worker = self.dice.choice(self.nodes[: self.steady]), self._other()
            self._tries.append(self._aside.submit(self._order, node, worker))

    # --- inside ---------------------------------------------------------------------------------

    def _order(self, node: Node, worker: str) -> None:
        body = {"peer": worker, "model": str(self.model), "items": 2}
        try:
            told = ask(node, "POST", "/v1/try", body, timeout_s=60)[-1]
        except (OSError, HTTPException, ValueError) as error:
            self.refusals[type(error).__name__] += 1
            return
        if "tried" in told:
            self.counts["settled" if told["tried"]["acked"] else "owed"] += 1
        else:
            self.refusals[str(told.get("error", {}).get("reason"))] += 1

    def _ask(self, node: Node, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if any(each is node for _, _, each in self._back) or not node.pid:
            return None
        with suppress(OSError, HTTPException, ValueError):
            told = ask(node, "POST", path, body)[-1]
            return None if "error" in told else told
        return None

    def _one(self) -> Node | None:
        """Choose somebody who is there and not steady."""
        away = [node for _, _, node in self._back]
        here = [each for each in self.nodes[self.steady :] if each not in away]
        return self.dice.choice(here) if here else None

    def _other(self) -> str:
        return self.dice.choice(self.nodes).peer

    def _later(self, what: str, node: Node) -> None:
        self._back.append((time.monotonic() + self.dice.uniform(0, AWAY_S_MAX), what, node))

    def _bring_back(self, what: str, node: Node) -> None:
        if what == "thaw":
            node.signal(signal.SIGCONT)
        elif what == "return":
            ask(node, "POST", "/v1/leave", {"network": "elsewhere"})
        else:
            if node.pid:
                self.counts[f"ended with {node.wait()}"] += 1
            node.fork().wait_ready()


CHANCES = (
    ("kill", 3),
    ("stop", 2),
    ("freeze", 1),
    ("pause", 1),
    ("resume", 1),
    ("invite", 1),
    ("move", 1),
    ("peers", 1),
    ("try", 4),
)
"""What happens, and how often compared with the rest."""
