# SPDX-License-Identifier: MIT
"""Who stands for an advert that several hold keeps to its own share of the directory."""

from protocol.directory import GONE, Directory
from protocol.keys import Keypair
from protocol.known import Known, known_from
from protocol.limits import RANGELESS_ADVERTS_MAX
from tests.protocol.mesh import EPOCH_S, an_advert

HEIR, LEFT = b"heir", b"left"


def of_a_house(name: str) -> Known:
    """An advert with an address that is in no public range."""
    key = Keypair(name.encode().ljust(32, b".")).public
    advert = an_advert(key, addresses=("/ip4/10.0.0.1/tcp/1",))
    return known_from(name.encode(), advert)


def test_who_takes_over_from_one_that_left_has_no_more_without_a_range_than_it_may() -> None:
    """It had 25 of 24 in a mesh of 30 nodes of which a third died."""
    directory = Directory(bytes(32), bytes(range(32)))
    for number in range(RANGELESS_ADVERTS_MAX):
        assert directory.admit(of_a_house(f"own {number}"), HEIR, EPOCH_S) is None
    last = of_a_house("one more")
    assert directory.admit(last, LEFT, EPOCH_S) is None
    directory.leave(LEFT)
    entry = directory.entries[last.node]
    directory.adopt(entry, HEIR, vouched=True)
    assert entry.source == GONE
    assert directory.held_of(HEIR) == RANGELESS_ADVERTS_MAX
