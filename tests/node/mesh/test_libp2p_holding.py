# SPDX-License-Identifier: MIT
"""Who is cut off when more has arrived on all connections together than may wait."""

from functools import partial

from node.mesh.libp2p.holding import Holding, Share


def test_many_who_hold_a_little_each_cannot_have_one_cut_off_that_is_read() -> None:
    """Two hundred silent callers fill the room; an honest node sends more than any of them."""
    holding = Holding(10_000)
    cut: list[int] = []
    silent = [Share(holding, partial(cut.append, number)) for number in range(200)]
    honest = Share(holding, partial(cut.append, -1))
    for each in silent:
        each.more(49)
    for _ in range(100):
        honest.more(500)
        honest.more(-500)
    assert -1 not in cut
    assert 0 < len(cut) < len(silent)
    assert holding.bytes <= 10_000


def test_of_two_that_are_not_read_the_larger_one_goes() -> None:
    holding = Holding(100)
    cut: list[str] = []
    small, large = (Share(holding, partial(cut.append, name)) for name in ("small", "large"))
    small.more(10)
    for _ in range(10):
        large.more(10)
    assert cut == ["large"]
    assert holding.bytes == 10


def test_what_has_ended_is_counted_no_more() -> None:
    holding = Holding(100)
    share = Share(holding, lambda: None)
    share.more(60)
    share.end()
    share.more(60)
    assert holding.bytes == 0
