# SPDX-License-Identifier: MIT
"""How often Python looks for garbage that refers to itself, while a large world runs.

By its own choice it looks so often that a third of a run of a hundred nodes was spent on it: what
lives in a world lives long. Seldom costs no memory that one could measure.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects before it looks at them, and how often it does until it looks at older ones, too.
SELDOM = (100_000, 20, 20)


@contextmanager
def tidied_seldom() -> Iterator[None]:
    """Look seldom inside the block; whoever looks even less often has his way."""
    was = gc.get_threshold()
    if 0 < was[0] < SELDOM[0]:
        gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*was)
