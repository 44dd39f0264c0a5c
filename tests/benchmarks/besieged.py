# SPDX-License-Identifier: MIT
"""What an attack costs those who have done nothing: the round trips of an honest client.

The reference is a node of the same machine that is not attacked, pinged by the same client at the
same time: whatever else keeps the machine busy slows both. The attackers take processor time of
their own, so the figure says how a machine with few cores fares.
"""

import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import trio

from tests.benchmarks.figures import Figure
from tests.e2e.adversaries import test_members, test_strangers
from tests.e2e.adversaries.victim import Victim, victim
from tests.e2e.forked import Spawner

ATTACK_S = 5.0


def run() -> Iterator[Figure]:
    """Attack one node in several ways, one after another."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Spawner()) as spawner,
        victim(Path(folder), spawner) as besieged,
    ):
        for name, attack in _attacks(besieged):
            with besieged.attacked(name):
                trio.run(attack)
            service = besieged.services[-1]
            times = f"p50 {service.p50_ms:.1f} ms / not attacked, {service.control_ms:.1f} ms"
            yield Figure(name, service.slower, f"{times}; the aim is 2")


def _attacks(besieged: Victim) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    """Name what members do, who are let in, and what strangers do."""
    target, network = besieged.target, besieged.network
    members: dict[str, Callable[..., Awaitable[Any]]] = {
        "members flood the view": test_members.exchange_flood,
        "members flood streams": test_members.stream_flood,
        "members do not listen": test_members.deaf_flood,
    }
    strangers: dict[str, Callable[..., Awaitable[Any]]] = {
        "strangers with new keys": test_strangers.key_flood,
        "strangers connect": test_strangers.connection_flood,
        "strangers flood streams": test_strangers.stream_flood,
    }
    for name, attack in members.items():
        yield name, partial(attack, target, network, ATTACK_S)
    for name, attack in strangers.items():
        yield name, partial(attack, target, ATTACK_S)


if __name__ == "__main__":
    for name, ratio, meaning in run():
        print(f"{ratio:7.2f} x  {name:28} {meaning}")
