# SPDX-License-Identifier: MIT
"""Runs a test in virtual time: whoever sleeps has slept as soon as nobody else has work to do."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec

import trio
from trio.testing import MockClock

Given = ParamSpec("Given")


def in_virtual_time(test: Callable[Given, Awaitable[None]]) -> Callable[Given, None]:
    """Make a plain function of an async one. pytest-trio would need an argument for the clock."""

    @wraps(test)
    def run(*args: Given.args, **more: Given.kwargs) -> None:
        trio.run(partial(test, *args, **more), clock=MockClock(autojump_threshold=0))

    return run
