# SPDX-License-Identifier: MIT
"""Two traders that have met, for every story about the books."""

import pytest

from tests.protocol.trade import Trader


@pytest.fixture
def ann() -> Trader:
    """A requester, most of the time."""
    return Trader(1)


@pytest.fixture
def bob(ann: Trader) -> Trader:
    """A worker, most of the time; the two have said hello."""
    bob = Trader(2)
    ann.meets(bob)
    return bob
