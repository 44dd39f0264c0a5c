# SPDX-License-Identifier: MIT
"""Tests of `node.work.left_open`: in which order it goes on, which no hash may decide."""

from random import Random
from types import SimpleNamespace
from typing import Any

import trio

from node.work.left_open import LATER_S, LeftOpen
from tests.node.executor.virtual_time import in_virtual_time


class _Nobody:
    """Stands for all that an order needs: nothing is open, and everybody is met."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.stopped = False

    def __getattr__(self, _name: str) -> Any:
        return None

    def is_met(self, _peer: bytes) -> bool:
        return True

    def unacked(self, _peer: bytes) -> tuple[()]:
        return ()

    def open_with(self, peer: bytes, _role: object) -> tuple[()]:
        self.asked.append(peer)
        return ()


@in_virtual_time
async def test_who_waits_is_gone_on_with_in_the_order_of_the_keys() -> None:
    """It was that of a set of bytes, which is another one in each process."""
    nobody = _Nobody()
    some: Any = nobody
    pursuing: Any = SimpleNamespace(close_acked=None, handled=set())
    left_open = LeftOpen(pursuing, *[some] * 7)
    keys = [bytes([number]) * 32 for number in range(40)]
    Random(1).shuffle(keys)
    async with left_open.open():
        for each in keys:
            left_open.later(each)
        await trio.sleep(LATER_S + 1)
    assert nobody.asked == sorted(keys)
