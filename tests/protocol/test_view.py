# SPDX-License-Identifier: MIT

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.actions import Dial, Drop, Send
from protocol.directory import GONE
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.hello import Hello
from protocol.limits import (
    ADVERTS_PER_EXCHANGE_MAX,
    GUESTS_MAX,
    INBOUND_NEIGHBOURS_MAX,
    SUMMARY_ROWS_MAX,
)
from protocol.query import Answer
from protocol.reasons import Reason
from protocol.view import View
from tests.protocol.desk import ME, OTHER, PEER, Desk, a_desk, misbehaved, summary
from tests.protocol.mesh import EPOCH_S, Registry, an_advert, key_of


def test_a_node_describes_nobody_but_itself() -> None:
    desk = a_desk()
    with pytest.raises(LocalProtocolError):
        desk.view.describe(desk.known("somebody").wire, 0.0)


def test_a_hello_with_a_forged_or_foreign_advert_is_answered_with_the_door() -> None:
    desk = a_desk()
    forged = desk.view.on_connected(OTHER, 0.0, EPOCH_S, inbound=True, advert=b"forged")
    assert misbehaved(forged) == [Reason.BAD_SIGNATURE]
    third = key_of("third")
    wire = desk.known("somebody").wire
    foreign = desk.view.on_connected(third, 0.0, EPOCH_S, inbound=True, advert=wire)
    assert misbehaved(foreign) == [Reason.WRONG_PARTY]
    assert list(desk.view.neighbours.linked) == [PEER]
    back = desk.view.on_connected(third, 1.0, EPOCH_S, inbound=True)
    assert back == [Drop(third, Reason.BANNED)]


def test_a_node_without_an_advert_listens_and_tells_what_it_heard() -> None:
    view = View(ME, bytes(32), Registry().verify)
    view.on_connected(PEER, 0.0, EPOCH_S, inbound=False)
    assert view.tick(0.0, EPOCH_S) == []
    assert view.next_tick_at(0.0) == 2.0


def test_a_second_connection_of_a_neighbour_changes_nothing() -> None:
    desk = a_desk()
    talk = desk.view.exchange.talks[PEER]
    assert desk.view.on_connected(PEER, 1.0, EPOCH_S, inbound=True) == []
    assert desk.view.exchange.talks[PEER] is talk


def test_a_guest_is_told_and_not_listened_to() -> None:
    desk = a_desk()
    for number in range(7):
        desk.view.on_connected(key_of(f"in {number}"), 0.0, EPOCH_S, inbound=True)
    guest = key_of("in 6")
    assert guest in desk.view.neighbours.guests
    told = desk.view.tick(0.0, EPOCH_S)
    assert [a for a in told if isinstance(a, Send) and a.key == guest]
    known = desk.known("hostile")
    assert desk.hear(summary(known), 0.0, guest) == []
    assert desk.view.on_advert(guest, known.wire, 0.0, EPOCH_S) == []
    assert len(desk.hear(Wanted((ME,)), 0.0, guest)) == 1


def a_crowd_at_the_door(desk: Desk, count: int) -> list[bytes]:
    """So many strangers call at once; give their keys."""
    keys = []
    for number in range(count):
        known = desk.known(f"in {number}")
        desk.view.on_connected(known.node, 0.0, EPOCH_S, inbound=True, advert=known.wire)
        keys.append(known.node)
    return keys


def test_who_waits_at_the_door_is_known_to_others_and_told_nothing() -> None:
    desk = a_desk()
    last = a_crowd_at_the_door(desk, INBOUND_NEIGHBOURS_MAX + GUESTS_MAX + 1)[-1]
    assert last in desk.view.neighbours.waiting
    assert desk.view.directory.entries[last].source == GONE
    told = desk.view.tick(0.0, EPOCH_S)
    assert not [action for action in told if isinstance(action, Send) and action.key == last]
    assert desk.hear(summary(desk.known("hostile")), 0.0, last) == []


def test_a_guest_goes_when_it_was_told_and_the_next_one_is_told_at_once() -> None:
    desk = a_desk()
    keys = a_crowd_at_the_door(desk, INBOUND_NEIGHBOURS_MAX + GUESTS_MAX + 1)
    guest, last = keys[INBOUND_NEIGHBOURS_MAX], keys[-1]
    desk.view.tick(0.0, EPOCH_S)
    answer = desk.hear(Wanted((ME,)), 0.1, guest)
    assert [type(action) for action in answer] == [Send, Drop]
    assert guest not in desk.view.exchange.talks
    told = desk.view.tick(0.1, EPOCH_S)
    assert [action for action in told if isinstance(action, Send) and action.key == last]


def test_what_a_neighbour_told_outlives_the_connection() -> None:
    desk = a_desk()
    known = desk.known("news")
    desk.hear(summary(known))
    desk.get(known)
    assert desk.view.directory.held_of(PEER) == 2
    desk.view.on_disconnected(PEER, 1.0)
    assert desk.view.directory.held_of(PEER) == 0
    assert desk.view.directory.held_of(GONE) == 2


def test_messages_that_crossed_a_goodbye_are_nobodys_fault() -> None:
    desk = a_desk()
    desk.view.on_disconnected(PEER, 1.0)
    known = desk.known("late")
    assert desk.hear(summary(known), 1.0) == []
    assert desk.hear(Wanted((ME,)), 1.0) == []
    assert desk.get(known, 1.0) == []


def test_a_message_that_is_none_of_the_view_is_our_own_mistake() -> None:
    desk = a_desk()
    hello = Hello.__new__(Hello)
    with pytest.raises(LocalProtocolError):
        desk.view.on_message(PEER, hello, 0.0, EPOCH_S)


def test_a_failed_dial_and_a_caught_cheat_are_heard_from_the_driver() -> None:
    desk = a_desk()
    desk.view.on_round_trip(PEER, 0.02)
    assert desk.view.directory.entries[PEER].near
    for number in range(3):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, PEER, EPOCH_S)
    dial = next(a for a in desk.view.tick(0.0, EPOCH_S) if isinstance(a, Dial))
    desk.view.on_dial_failed(dial.key, 1.0)
    assert dial.key not in desk.view.neighbours.dialling
    assert desk.view.shun(PEER, 1.0) == [Drop(PEER, Reason.BANNED)]
    assert PEER not in desk.view.exchange.talks


def test_a_restarted_node_finds_its_way_with_what_it_had_kept() -> None:
    desk = a_desk()
    for number in range(60):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, known.node, EPOCH_S)
    desk.view.directory.mark_met(key_of("7"))
    met, others = desk.view.snapshot(EPOCH_S)
    assert (len(met), len(others)) == (1, 60)
    again = View(ME, bytes(31) + b"\1", desk.registry.verify)
    again.restore(met, [*others, b"broken"], EPOCH_S)
    assert len(again.adverts(EPOCH_S)) == 61
    dials = [action for action in again.tick(0.0, EPOCH_S) if isinstance(action, Dial)]
    assert len(dials) == 5
    assert dials[0].key == key_of("7")
    late = View(ME, bytes(32), desk.registry.verify)
    late.restore(met, others, EPOCH_S + 12 * 3600)
    assert late.adverts(EPOCH_S) == []


KEYS = [key_of(f"{number}") for number in range(24)]
INPUT = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "gone", "summary", "wanted", "advert", "answer", "tick"]),
        st.integers(0, 23),
        st.integers(0, 23),
        st.floats(0, 90),
    ),
    max_size=80,
)


@given(steps=INPUT)
def test_no_input_takes_a_view_beyond_any_of_its_bounds(
    steps: list[tuple[str, int, int, float]],
) -> None:
    registry = Registry()
    adverts = [registry.add(an_advert(key, ttl_s=3000)) for key in KEYS]
    view = View(KEYS[0], bytes(32), registry.verify, room=16)
    view.describe(adverts[0].wire, 0.0)
    now = 0.0
    for verb, one, two, passed_s in steps:
        now += passed_s
        now_s = EPOCH_S + now
        key = KEYS[one]
        rows = tuple(known.digests[two % 2] for known in adverts[two : two + 8])
        if verb in {"in", "out"}:
            wire = adverts[one].wire if two % 3 else b""
            view.on_connected(key, now, now_s, inbound=verb == "in", advert=wire)
        elif verb == "gone":
            view.on_disconnected(key, now)
        elif verb == "summary":
            view.on_message(key, Summary(rows), now, now_s)
        elif verb == "wanted":
            wanted = Wanted(tuple(sorted(row.node for row in rows)))
            view.on_message(key, wanted, now, now_s)
        elif verb == "advert":
            view.on_advert(key, adverts[two].wire if two else b"forged", now, now_s)
        elif verb == "answer":
            view.on_message(key, Answer(bytes(16), (adverts[two].wire,), ()), now, now_s)
        view.tick(now, now_s)
        assert len(view.directory) <= 16
        assert set(view.exchange.talks) == {*view.neighbours.linked, *view.neighbours.guests}
        for talk in view.exchange.talks.values():
            assert len(talk.wanted) <= ADVERTS_PER_EXCHANGE_MAX
            assert len(talk.offered) <= 2 * SUMMARY_ROWS_MAX
        assert KEYS[0] not in view.directory
        assert all(entry.known.advert.expires_at_s() > now_s for entry in view.directory)
        assert len(view.exchange._refused) <= 256
        assert view.next_tick_at(now) > now


def test_a_registry_refuses_what_nobody_signed() -> None:
    with pytest.raises(RemoteProtocolError):
        Registry().verify(b"forged")
