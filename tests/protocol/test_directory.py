# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.directory import GONE, MET, Directory
from protocol.draw import draw
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import Keypair
from protocol.known import Known, known_from, range_of, verifier
from protocol.limits import (
    ADVERT_INTERVAL_S_MIN,
    CLOCK_SKEW_S_MAX,
    RANGE_ADVERTS_MAX,
    RANGELESS_ADVERTS_MAX,
)
from protocol.reasons import Reason
from protocol.sealed import seal
from tests.protocol.mesh import EPOCH_S, an_advert, key_of, models

ME = key_of("me")
SALT = bytes(range(32))


def a_directory(room: int = 384, wants: frozenset[bytes] = frozenset()) -> Directory:
    return Directory(ME, SALT, room=room, models=wants)


def known(name: str, **changes: object) -> Known:
    public = (
        f"/ip4/{40 + draw(SALT, b'a', name.encode()) % 150}.{draw(SALT, b'b', name.encode()) % 250}"
        f".{draw(SALT, b'c', name.encode()) % 250}.1/tcp/1"
    )
    changes.setdefault("addresses", (public,))
    return known_from(name.encode(), an_advert(key_of(name), **changes))


def test_an_advert_is_read_only_with_the_signature_of_its_node_and_network() -> None:
    pair, network = Keypair(bytes(32)), bytes(16)
    wire = seal(pair, network, an_advert(pair.public, models=models(key_of("m")))).wire
    verify = verifier(network)
    assert verify(wire).node == pair.public
    assert verify(wire).models == {key_of("m")}
    assert verify(wire).wire == wire
    for forged in (wire[:-1] + b"\1", bytes(64) + wire[64:]):
        with pytest.raises(RemoteProtocolError):
            verify(forged)
    with pytest.raises(RemoteProtocolError, match="bad_signature"):
        verifier(bytes(15) + b"\1")(wire)


def test_a_salt_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        Directory(ME, b"short")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/ip4/8.8.4.4/tcp/1", "8.8.4"),
        ("/ip4/10.1.2.3/tcp/1", ""),
        ("/ip4/172.20.2.3/tcp/1", ""),
        ("/ip4/172.32.2.3/tcp/1", "172.32.2"),
        ("/ip4/192.168.2.3/tcp/1", ""),
        ("/ip4/169.254.2.3/tcp/1", ""),
        ("/ip4/100.100.2.3/tcp/1", ""),
        ("/ip4/100.128.2.3/tcp/1", "100.128.2"),
        ("/ip4/127.0.0.1/tcp/1", ""),
        ("/ip4/224.0.0.1/tcp/1", ""),
        ("/ip4/8.8.4/tcp/1", ""),
        ("/ip4/8.8.4.999/tcp/1", ""),
        ("/ip6/2a00:1450:4001:81b::200e/tcp/1", "2a00:1450:4001"),
        ("/ip6/2a00::1/tcp/1", "2a00:0:0"),
        ("/ip6/fe80::1/tcp/1", ""),
        ("/ip6/::1/tcp/1", ""),
        ("/ip6/2a00::/tcp/1", "2a00:0:0"),
        ("/ip6/nonsense/tcp/1", ""),
        ("/dns4/example.net/tcp/1", ""),
        ("nonsense", ""),
        ("/ip4/8.8.4.4/tcp/1/p2p/X/p2p-circuit", ""),
    ],
)
def test_a_range_is_that_of_the_first_public_direct_address(address: str, name: str) -> None:
    assert range_of((address,)) == name
    assert range_of((address, "/ip4/9.9.9.9/tcp/1")) == (name or "9.9.9")


def test_the_newest_advert_of_a_node_wins_and_time_of_issue_counts_first() -> None:
    directory = a_directory()
    later = EPOCH_S + ADVERT_INTERVAL_S_MIN
    assert directory.admit(known("a", sequence=9), b"s", later) is None
    assert directory.admit(known("a", sequence=9), b"s", later) is Reason.STALE
    assert directory.admit(known("a", sequence=8), b"s", later) is Reason.STALE
    restarted = known("a", sequence=1, issued_at_s=later)
    assert directory.admit(restarted, b"s", later) is None
    assert [entry.known for entry in directory] == [restarted]
    assert directory.admit(known("a", sequence=10), b"s", later) is Reason.STALE


def test_an_advert_that_changes_too_fast_is_not_taken_and_so_not_forwarded() -> None:
    directory = a_directory()
    directory.admit(known("a"), b"s", EPOCH_S)
    soon = known("a", sequence=2, issued_at_s=EPOCH_S + ADVERT_INTERVAL_S_MIN - 1)
    assert not directory.wants(soon.node, soon.version, b"s", vouched=False)
    assert directory.admit(soon, b"s", EPOCH_S + 299) is Reason.STALE


def test_expired_and_future_adverts_are_never_in_the_directory() -> None:
    directory = a_directory()
    short = known("a", ttl_s=100)
    assert directory.admit(short, b"s", EPOCH_S) is None
    assert directory.admit(known("b"), b"s", EPOCH_S) is None
    directory.expire(EPOCH_S + 99)
    assert len(directory) == 2
    directory.expire(EPOCH_S + 100)
    assert [entry.known.node for entry in directory] == [key_of("b")]
    assert directory.admit(short, b"s", EPOCH_S + 100) is Reason.EXPIRED
    ahead = known("c", issued_at_s=EPOCH_S + CLOCK_SKEW_S_MAX + 1)
    assert directory.admit(ahead, b"s", EPOCH_S) is Reason.CLOCK_SKEW
    assert directory.admit(ahead, b"s", EPOCH_S + 1) is None


def test_own_advert_is_never_stored() -> None:
    directory = a_directory()
    assert directory.admit(known_from(b"", an_advert(ME)), b"s", EPOCH_S) is Reason.STALE
    assert not directory.wants(ME, (EPOCH_S, 1), b"s", vouched=True)


def test_one_source_fills_its_share_and_no_more_however_many_keys_it_shows() -> None:
    directory = a_directory()
    for number in range(500):
        directory.admit(known(f"{number}"), b"flood", EPOCH_S)
    assert directory.held_of(b"flood") == len(directory) == directory.share == 48


def test_within_a_source_neither_order_nor_repetition_raises_the_chance() -> None:
    one, two = a_directory(64), a_directory(64)
    adverts = [known(f"{number}") for number in range(100)]
    for advert in adverts:
        one.admit(advert, b"s", EPOCH_S)
    for advert in adverts[::-1] + adverts[:50] * 3:
        two.admit(advert, b"s", EPOCH_S)
    assert sorted(entry.known.node for entry in one) == sorted(entry.known.node for entry in two)


def test_a_full_directory_takes_from_the_source_that_holds_most() -> None:
    directory = a_directory(64)
    for source in range(8):
        for number in range(8):
            directory.admit(known(f"{source}/{number}"), bytes([source]), EPOCH_S)
    assert len(directory) == 64
    for number in range(20):
        directory.admit(known(f"new {number}"), b"new", EPOCH_S)
    assert len(directory) == 64
    assert directory.held_of(b"new") == 7
    assert all(directory.held_of(bytes([source])) >= 7 for source in range(8))


def test_a_tiny_directory_still_turns_over() -> None:
    directory = a_directory(2)
    for name in ("a", "b"):
        directory.admit(known(name), name.encode(), EPOCH_S)
    assert directory.admit(known("c"), b"c", EPOCH_S) is None
    assert len(directory) == 2


def test_the_own_adverts_of_neighbours_do_not_give_way_to_each_other() -> None:
    directory = a_directory(2)
    for name in ("a", "b"):
        directory.admit(known(name), key_of(name), EPOCH_S)
    assert directory.admit(known("c"), key_of("c"), EPOCH_S) is Reason.VIEW_FULL
    assert directory.admit(known("c"), b"s", EPOCH_S) is Reason.VIEW_FULL


def test_a_neighbours_own_advert_does_not_give_way_to_what_it_tells() -> None:
    directory = a_directory(8)
    source = key_of("neighbour")
    directory.admit(known("neighbour"), source, EPOCH_S)
    assert directory.admit(known("other"), source, EPOCH_S, vouched=True) is Reason.VIEW_FULL
    assert not directory.wants(key_of("other"), (EPOCH_S, 1), source, vouched=True)


def test_what_a_departed_neighbour_told_stays_and_gives_way_first() -> None:
    directory = a_directory(64)
    for number in range(8):
        directory.admit(known(f"old {number}"), b"old", EPOCH_S)
        directory.admit(known(f"old2 {number}"), b"old2", EPOCH_S)
    directory.leave(b"old")
    directory.leave(b"old2")
    directory.leave(b"nobody")
    assert directory.held_of(GONE) == 16
    for source in range(7):
        for number in range(8):
            directory.admit(known(f"{source}/{number}"), bytes([source]), EPOCH_S)
    assert len(directory) == 64
    assert directory.held_of(GONE) == 8
    assert all(directory.held_of(bytes([source])) == 8 for source in range(7))


def test_a_live_neighbour_stands_for_what_a_departed_one_or_a_stranger_told() -> None:
    directory = a_directory()
    directory.tellers.add(b"chosen")
    directory.admit(known("a"), b"old", EPOCH_S)
    entry = directory.entries[key_of("a")]
    directory.adopt(entry, b"stranger", vouched=True)
    assert entry.source == b"old"
    directory.leave(b"old")
    directory.adopt(entry, b"stranger", vouched=False)
    assert (entry.source, entry.vouched) == (b"stranger", False)
    directory.adopt(entry, b"stranger", vouched=True)
    assert entry.vouched
    directory.adopt(entry, b"chosen", vouched=True)
    assert entry.source == b"chosen"
    directory.adopt(entry, b"stranger", vouched=False)
    assert (entry.source, entry.vouched) == (b"chosen", True)


def test_a_teller_that_holds_as_much_already_takes_nothing_from_others() -> None:
    """The others would fill up again, from the fullest one, and so on without end."""
    directory = a_directory()
    directory.tellers.add(b"chosen")
    for number in range(4):
        directory.admit(known(f"{number}"), b"stranger", EPOCH_S)
    for entry in list(directory):
        directory.adopt(entry, b"chosen", vouched=False)
    assert directory.held_of(b"chosen") == directory.held_of(b"stranger") == 2


def test_who_gives_way_is_known_anew_when_its_source_has_met_it_by_now() -> None:
    """What was found to give way first was remembered, when its source vouched for it later."""
    directory = a_directory(64)
    for number in range(8):
        directory.admit(known(f"{number}"), b"s", EPOCH_S)
    last = max(directory, key=lambda entry: entry.draw)
    lowest = min(
        (known(f"new {number}") for number in range(100)),
        key=lambda advert: draw(SALT, b"keep", advert.node),
    )
    assert directory.wants(lowest.node, lowest.version, b"s", vouched=False)
    directory.adopt(last, b"s", vouched=True)
    directory.admit(lowest, b"s", EPOCH_S)
    assert last.known.node in directory


def test_nodes_of_one_address_range_take_a_few_places() -> None:
    directory = a_directory()
    address = ("/ip4/9.9.9.9/tcp/1",)
    for number in range(20):
        directory.admit(known(f"{number}", addresses=address), bytes([number]), EPOCH_S)
    assert len(directory) == RANGE_ADVERTS_MAX
    later = EPOCH_S + 300
    directory.admit(known("mover"), b"s", EPOCH_S)
    moved = known("mover", addresses=address, sequence=2, issued_at_s=later)
    assert directory.admit(moved, b"s", later) is Reason.VIEW_FULL
    home = known("0", sequence=2, issued_at_s=later)
    assert directory.admit(home, b"s", later) is None
    assert directory.admit(moved, b"s", later) is None


def test_nodes_without_a_public_address_share_a_few_places_per_source() -> None:
    directory = a_directory()
    for number in range(100):
        directory.admit(known(f"{number}", addresses=()), bytes([number % 2]), EPOCH_S)
    assert len(directory) == 2 * RANGELESS_ADVERTS_MAX


def test_a_better_teller_gets_no_more_nodes_without_an_address_than_any_source_may_have() -> None:
    """What others have told is moved to it one by one; the cap by source holds for that too."""
    directory = a_directory()
    directory.tellers.add(b"chosen")
    for source in (b"one", b"other"):
        for number in range(RANGELESS_ADVERTS_MAX):
            directory.admit(known(f"{source!r} {number}", addresses=()), source, EPOCH_S)
        directory.leave(source)
    for entry in list(directory):
        directory.adopt(entry, b"chosen", vouched=True)
    assert directory.held_of(b"chosen") == RANGELESS_ADVERTS_MAX
    assert len(directory) == 2 * RANGELESS_ADVERTS_MAX


def test_nodes_that_we_met_first_keep_their_places_against_everything() -> None:
    directory = a_directory(64)
    for number in range(20):
        directory.admit(known(f"met {number}"), bytes([number]), EPOCH_S)
        directory.mark_met(key_of(f"met {number}"))
        directory.mark_met(key_of(f"met {number}"))
    directory.mark_met(key_of("never heard of"))
    assert directory.held_of(MET) == 16
    for number in range(2000):
        directory.admit(known(f"{number}"), bytes([number % 100]), EPOCH_S, vouched=True)
    assert len(directory) == 64
    assert all(key_of(f"met {number}") in directory for number in range(16))
    met, others = directory.snapshot()
    assert met == [f"met {number}".encode() for number in range(16)]
    assert len(others) == 48


def test_near_nodes_and_nodes_with_my_models_keep_their_places_within_quotas() -> None:
    mine = key_of("my model")
    directory = a_directory(64, frozenset({mine}))
    for number in range(8):
        directory.admit(known(f"{number}", models=models(mine)), b"s", EPOCH_S)
        directory.on_round_trip(key_of(f"{number}"), 0.1)
    directory.on_round_trip(key_of("unknown"), 0.1)
    fitting = [entry.known.node for entry in directory if entry.fits]
    assert fitting == [key_of("0"), key_of("1")]
    directory.admit(known("far"), b"t", EPOCH_S)
    directory.on_round_trip(key_of("far"), 9.0)
    assert sum(entry.near for entry in directory) == 8
    assert not directory.entries[key_of("far")].near
    for number in range(100, 400):
        directory.admit(known(f"{number}"), b"s", EPOCH_S, vouched=True)
    assert all(key_of(f"{number}") in directory for number in range(8))
    later = EPOCH_S + 300
    renewed = known("0", sequence=2, issued_at_s=later)
    directory.admit(renewed, b"s", later)
    assert not directory.entries[key_of("0")].fits
    directory.expire(EPOCH_S + 12 * 3600)
    assert len(directory) == 1


def test_news_comes_in_the_order_in_which_it_came() -> None:
    directory = a_directory()
    for name in "abc":
        directory.admit(known(name), b"s", EPOCH_S)
    mark = directory.revision
    later = EPOCH_S + 300
    directory.admit(known("a", sequence=2, issued_at_s=later), b"s", later)
    directory.admit(known("d"), b"s", later)
    assert [e.known.node for e in directory.news_since(mark)] == [key_of("a"), key_of("d")]
    assert len(directory.news_since(0)) == 4
    assert [entry.draw for entry in directory.in_turn()] == sorted(e.draw for e in directory)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "leave", "met", "near", "expire", "adopt"]),
        st.integers(0, 40),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=120,
)


@given(steps=STEPS, room=st.integers(1, 24))
def test_no_input_takes_a_directory_beyond_any_of_its_bounds(
    steps: list[tuple[str, int, int, int]], room: int
) -> None:
    directory = a_directory(room, frozenset({key_of("m")}))
    now_s = EPOCH_S
    for verb, number, source, kind in steps:
        node = key_of(f"{number}")
        teller = [node, GONE, b"a", b"b", b"c", b"d"][source]
        if verb == "admit":
            ranges = [(), ("/ip4/9.9.9.9/tcp/1",), ("/ip4/9.9.8.9/tcp/1",)]
            advert = known(
                f"{number}",
                issued_at_s=now_s - kind * 200,
                ttl_s=600,
                addresses=ranges[number % 3],
                models=models(key_of("m")) if number % 2 else (),
            )
            directory.admit(advert, teller, now_s, vouched=kind > 1)
        elif verb == "leave":
            directory.leave(teller)
        elif verb == "met":
            directory.mark_met(node)
        elif verb == "near":
            directory.on_round_trip(node, kind)
        elif verb == "adopt" and node in directory:
            directory.adopt(directory.entries[node], teller, vouched=True)
        elif verb == "expire":
            now_s += kind * 150
            directory.expire(now_s)
        entries = list(directory)
        assert len(entries) <= room
        for name in {entry.source for entry in entries}:
            of_source = [entry for entry in entries if entry.source == name]
            assert directory.held_of(name) == len(of_source)
            assert len(of_source) <= directory.share or name in {GONE, MET}
        for place in ("9.9.9", "9.9.8"):
            assert sum(e.known.range == place for e in entries) <= RANGE_ADVERTS_MAX
        assert directory.held_of(MET) <= room // 4
        assert all(entry.known.advert.expires_at_s() > now_s for entry in entries)
        assert sum(entry.near for entry in entries) <= max(1, room // 8)
