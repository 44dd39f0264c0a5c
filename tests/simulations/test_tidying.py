# SPDX-License-Identifier: MIT
"""A made world looks seldom for garbage, and leaves no trace of that."""

import gc

from simulations.determinism import run_in_virtual_time
from simulations.tidying import SELDOM, tidied_seldom


async def _seen() -> tuple[int, int, int]:
    return gc.get_threshold()


def test_a_world_looks_seldom_and_all_is_as_before_when_it_is_over() -> None:
    before = gc.get_threshold()
    assert run_in_virtual_time("1", _seen) == SELDOM
    assert gc.get_threshold() == before


def test_who_looks_even_less_often_or_never_has_his_way() -> None:
    before = gc.get_threshold()
    try:
        for mine in ((SELDOM[0] * 2, 5, 5), (0, 10, 10)):
            gc.set_threshold(*mine)
            with tidied_seldom():
                assert gc.get_threshold() == mine
    finally:
        gc.set_threshold(*before)
