# SPDX-License-Identifier: MIT
"""Found in the house: what is told, what is believed, and what happens without mDNS."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceInfo

from node.host import mdns
from node.host.host import Seen
from node.host.mdns import (
    ADDRESSES_MAX,
    HEARD_S,
    KIND,
    KNOWN_MAX,
    announcement,
    house,
    read_entry,
    real_addresses,
)

ME, OTHER = bytes([1]) * 32, bytes([2]) * 32
NETWORK = bytes(8)
ADDRESS = "/ip4/192.168.1.7/tcp/4001"


def entry(**texts: Any) -> ServiceInfo:
    told = {"v": "1", "n": NETWORK.hex(), "p": OTHER.hex(), "a0": ADDRESS, **texts}
    return ServiceInfo(
        KIND, f"x.{KIND}", properties={k: v for k, v in told.items() if v is not None}
    )


def known(into: Any, now_s: Callable[[], float] = lambda: 0.0) -> Any:
    return mdns._Known(NETWORK, ME, into, now_s)


def test_what_is_told_is_read_back() -> None:
    addresses = (ADDRESS, "/ip6/2001:db8::1/tcp/4002")
    told = announcement(NETWORK, OTHER, addresses)
    assert read_entry(told, NETWORK) == Seen(OTHER, addresses)
    assert told.port == 4001


def test_the_name_of_the_network_is_not_told() -> None:
    told = announcement(mdns._network("the-clinic"), OTHER, (ADDRESS,))
    assert b"clinic" not in told.text
    assert mdns._network("the-clinic") != mdns._network("the-school")
    assert len(mdns._network("the-clinic")) == 8


@pytest.mark.parametrize(
    "texts",
    [
        {"v": "2"},
        {"v": None},
        {"n": "ff" * 8},
        {"n": None},
        {"p": None},
        {"p": "zz" * 32},
        {"p": "02" * 31},
        {"p": "02" * 33},
        {"p": OTHER.hex().upper().replace("02", "0A")},
        {"a0": None},
        {"a0": "/ip4/0.0.0.0/tcp/4001"},
        {"a0": b"\xff\xfe"},
    ],
)
def test_an_entry_of_another_form_or_network_is_nobody(texts: dict[str, Any]) -> None:
    assert read_entry(entry(**texts), NETWORK) is None


@given(st.dictionaries(st.binary(max_size=3), st.none() | st.binary(max_size=80), max_size=8))
def test_no_entry_makes_trouble(texts: dict[bytes, bytes | None]) -> None:
    given_texts = {b"v": b"1", b"n": NETWORK.hex().encode(), **texts}
    info = ServiceInfo(KIND, f"x.{KIND}", properties=given_texts)
    seen = read_entry(info, NETWORK)
    assert seen is None or len(seen.addresses) <= ADDRESSES_MAX


@pytest.mark.parametrize(
    "address",
    [
        "/ip4/0.0.0.0/tcp/4001",
        "/ip6/::/tcp/4001",
        "/ip4/224.0.0.1/tcp/4001",
        "/ip6/fe80::1/tcp/4001",
        "/ip4/192.168.1.7/tcp/0",
        "/ip4/192.168.1.7/tcp/65536",
        "/ip4/999.1.1.1/tcp/1",
        "/ip4/::1/tcp/1",
        "/ip6/10.0.0.1/tcp/1",
        "/dns4/example.org/tcp/1",
        "/ip4/192.168.1.7/udp/1",
        "/ip4/192.168.1.7/tcp/1/p2p/short",
        "/ip4/192.168.1.7/tcp/1\n",
        "",
    ],
)
def test_what_nobody_can_dial_is_no_address(address: str) -> None:
    assert real_addresses([address]) == ()


def test_addresses_are_bounded_and_said_once_in_one_spelling() -> None:
    many = [f"/ip4/10.0.0.{number}/tcp/1" for number in range(1, 99)]
    assert len(real_addresses(many)) == ADDRESSES_MAX
    peer = f"/p2p/12D3KooW{'a' * 44}"
    assert real_addresses([ADDRESS, ADDRESS + peer]) == (ADDRESS,)
    assert real_addresses(["/ip6/2001:DB8:0::1/tcp/01"]) == ("/ip6/2001:db8::1/tcp/1",)


def test_loopback_is_told_only_when_there_is_nothing_else() -> None:
    loopback = "/ip4/127.0.0.1/tcp/4001"
    assert real_addresses([loopback, ADDRESS]) == (ADDRESS,)
    assert real_addresses([loopback]) == (loopback,)


def test_the_own_entry_is_nobody_and_the_same_one_is_told_once() -> None:
    into, found = trio.open_memory_channel[Seen](10)
    table = known(into)
    table.add("mine", entry(p=ME.hex()))
    table.add("x", entry())
    table.add("x", entry())
    assert found.receive_nowait() == Seen(OTHER, (ADDRESS,))
    with pytest.raises(trio.WouldBlock):
        found.receive_nowait()


def test_one_that_moved_or_came_back_is_told_again() -> None:
    into, found = trio.open_memory_channel[Seen](10)
    table = known(into)
    table.add("x", entry())
    table.add("x", entry(a0="/ip4/192.168.1.8/tcp/1"))
    table.add("x", ServiceInfo(KIND, f"x.{KIND}"))
    table.add("x", entry())
    told = [found.receive_nowait().addresses for _ in range(3)]
    assert told == [(ADDRESS,), ("/ip4/192.168.1.8/tcp/1",), (ADDRESS,)]


def test_a_house_full_of_names_is_bounded() -> None:
    into, found = trio.open_memory_channel[Seen](1000)
    table = known(into)
    for number in range(1000):
        table.add(f"name {number}", entry(p=(number + 1000).to_bytes(32, "big").hex()))
    assert found.statistics().current_buffer_used == KNOWN_MAX


def test_names_that_are_not_heard_any_more_make_room_for_who_comes() -> None:
    into, found = trio.open_memory_channel[Seen](1000)
    time_s = [0.0]
    table = known(into, lambda: time_s[0])

    def made_up(number: int) -> ServiceInfo:
        return entry(p=(number + 1000).to_bytes(32, "big").hex())

    for number in range(KNOWN_MAX):
        table.add(f"name {number}", made_up(number))
    table.add("x", entry())
    assert found.statistics().current_buffer_used == KNOWN_MAX, "they were heard just now"
    time_s[0] = HEARD_S
    table.add("name 0", made_up(0))  # it is heard again
    table.add("x", entry())
    assert found.statistics().current_buffer_used == KNOWN_MAX + 1
    assert {"x", "name 0"} < set(table._entries)
    assert len(table._entries) == len(table._heard_s) == KNOWN_MAX


async def test_whatever_an_entry_does_the_loop_goes_on() -> None:
    """What a callback raises that comes through trio's token would end the whole node."""
    into, _ = trio.open_memory_channel[Seen](10)
    table = known(into)
    table.add = lambda *_: 1 // 0
    trio.lowlevel.current_trio_token().run_sync_soon(table.hear, "x", entry())
    for _ in range(3):
        await trio.lowlevel.checkpoint()


def test_a_reader_that_is_gone_or_slow_loses_news_and_nothing_breaks() -> None:
    into, found = trio.open_memory_channel[Seen](0)
    known(into).add("x", entry())
    found.close()
    known(into).add("x", entry())
    into.close()
    known(into).add("x", entry())


async def test_without_mdns_nobody_is_found_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_interfaces: tuple[str, ...]) -> None:
        raise OSError("no multicast here")

    monkeypatch.setattr(mdns, "_open", refused)
    async with house("ours", ME, lambda: (ADDRESS,)) as seen:
        with trio.move_on_after(0.05) as scope:
            await anext(seen)
        assert scope.cancelled_caught


@pytest.mark.slow
async def test_nothing_of_zeroconf_lives_longer_than_the_block() -> None:
    def threads() -> set[str]:
        names = {each.name for each in threading.enumerate()}
        return {name for name in names if not name.startswith("Trio")}

    before = threads()
    async with house("ours", ME, lambda: (ADDRESS,), interfaces=["127.0.0.1"]):
        with trio.fail_after(5):
            while threads() == before:  # noqa: ASYNC110 - a thread of a library sets no event of ours
                await trio.sleep(0.01)
    assert threads() == before


@pytest.mark.slow
async def test_a_node_that_moved_is_found_at_its_new_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mdns, "RENEW_S", 0.05)
    here = [ADDRESS]
    loopback = ["127.0.0.1"]
    async with (
        house("ours", ME, lambda: (), interfaces=loopback) as seen,
        house("ours", OTHER, lambda: tuple(here), interfaces=loopback),
    ):
        with trio.fail_after(10):
            assert await anext(seen) == Seen(OTHER, (ADDRESS,))
            here[:] = ["/ip4/192.168.1.8/tcp/4009"]
            assert await anext(seen) == Seen(OTHER, ("/ip4/192.168.1.8/tcp/4009",))
