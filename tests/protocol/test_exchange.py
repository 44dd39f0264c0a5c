# SPDX-License-Identifier: MIT
from itertools import pairwise

import pytest

from protocol.actions import Dial, Drop, Misbehaved, Send
from protocol.canon import decode, encode
from protocol.errors import LocalProtocolError
from protocol.exchange import Summary, Wanted
from protocol.keys import Keypair, peer_id
from protocol.known import Held, verifier
from protocol.limits import (
    ADVERTS_PER_EXCHANGE_MAX,
    EXCHANGE_INTERVAL_S_MAX,
    REPLACED_PER_EXCHANGE_MAX,
    SUMMARIES_BURST,
    SUMMARY_ROWS_MAX,
    UNASKED_BURST,
)
from protocol.reasons import Reason
from protocol.sealed import seal
from protocol.view import View
from tests.protocol.desk import ME, OTHER, PEER, a_desk, misbehaved, summary
from tests.protocol.mesh import EPOCH_S, an_advert, key_of


def test_an_advert_travels_by_summary_wish_and_seal() -> None:
    desk = a_desk()
    known = desk.known("news")
    actions = desk.hear(summary(known))
    assert actions == [Send(PEER, Wanted((known.node,)))]
    assert desk.get(known) == [Dial(known.node, known.advert.addresses)]
    assert known.node in desk.view.directory
    assert desk.hear(summary(known), 1.0) == []
    other = a_desk()
    other.view.on_connected(OTHER, 0.0, EPOCH_S, inbound=True, advert=other.known("other").wire)
    told = [row.node for one in other.said(1.0) for row in one.held]
    assert set(told) == {ME, PEER, OTHER}
    news = other.view.on_message(PEER, Wanted(tuple(sorted((ME, OTHER)))), 1.0, EPOCH_S + 1)
    assert {action.what for action in news if isinstance(action, Send)} == {
        other.view.exchange.own.wire if other.view.exchange.own else b"",
        other.view.directory.entries[OTHER].known.wire,
    }


def test_an_advert_is_sent_once_for_each_time_it_was_offered() -> None:
    desk = a_desk()
    desk.said(0.0)
    assert len(desk.hear(Wanted((ME,)))) == 1
    assert desk.hear(Wanted((ME,))) == []


def test_what_ended_between_offer_and_wish_is_not_sent() -> None:
    desk = a_desk()
    brief = desk.known("brief", ttl_s=5)
    desk.hear(summary(brief))
    desk.get(brief)
    desk.view.on_connected(OTHER, 0.0, EPOCH_S, inbound=True)
    assert any(row.node == brief.node for one in desk.said(1.0) for row in one.held)
    assert desk.hear(Wanted((brief.node,)), 6.0, OTHER) == []


def test_nobody_is_told_about_itself_and_everybody_about_me() -> None:
    desk = a_desk()
    for number in range(100):
        for one in desk.said(float(number)):
            nodes = [row.node for row in one.held]
            assert PEER not in nodes
            assert nodes[0] == ME


def test_the_interval_doubles_while_nothing_is_new_and_falls_back_on_news() -> None:
    desk = a_desk()
    times = [now for now in range(300) if desk.said(float(now))]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps == [2, 4, 8, 16, 32, 60, 60, 60]
    known = desk.known("news", issued_at_s=EPOCH_S + 300)
    desk.hear(summary(known), 300.0)
    desk.get(known, 300.0)
    assert desk.view.exchange.next_tick_at() == 301.0


def test_a_newcomer_is_told_everything_firmest_first_within_the_cap_of_each_summary() -> None:
    desk = a_desk()
    for number in range(200):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, known.node, EPOCH_S)
        if number in {150, 151}:
            desk.view.directory.mark_met(known.node)
    desk.view.on_connected(OTHER, 0.0, EPOCH_S, inbound=True)
    told: list[bytes] = []
    for now in range(8):
        for action in desk.view.tick(float(now), EPOCH_S + now):
            if isinstance(action, Send) and action.key == OTHER:
                assert isinstance(action.what, Summary)
                assert len(action.what.held) <= SUMMARY_ROWS_MAX
                told += [row.node for row in action.what.held]
                assert decode(encode(action.what), Summary) == action.what
    assert {key_of(f"{number}") for number in range(200)} <= set(told)
    assert set(told[1:3]) == {key_of("150"), key_of("151")}


def test_in_time_the_sample_tells_everything_again() -> None:
    desk = a_desk()
    for number in range(100):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, known.node, EPOCH_S)
    desk.view.exchange.talks[PEER].told = desk.view.directory.revision
    told = {row.node for now in range(0, 1200, 5) for s in desk.said(now) for row in s.held}
    assert {key_of(f"{number}") for number in range(100)} <= told


def test_no_more_adverts_are_wished_for_than_one_exchange_moves() -> None:
    desk = a_desk()
    many = [desk.known(f"{number}") for number in range(SUMMARY_ROWS_MAX)]
    (first,) = desk.hear(summary(*many))
    assert isinstance(first, Send)
    assert isinstance(first.what, Wanted)
    assert len(first.what.nodes) == ADVERTS_PER_EXCHANGE_MAX
    assert desk.hear(summary(*many), 1.0) == []
    again = desk.hear(summary(*many), float(EXCHANGE_INTERVAL_S_MAX))
    assert len(again) == 1


def test_a_full_directory_listens_to_proven_neighbours_only_and_takes_a_few_at_a_time() -> None:
    desk = a_desk()
    view = View(ME, bytes(32), desk.registry.verify, room=2)
    view.on_connected(PEER, 0.0, EPOCH_S, inbound=False)
    for number in range(2):
        known = desk.known(f"held {number}")
        view.directory.admit(known, known.node, EPOCH_S)
    view.directory.leave(key_of("held 0"))
    view.directory.leave(key_of("held 1"))
    many = summary(*[desk.known(f"{number}") for number in range(20)])
    assert view.on_message(PEER, many, 1.0, EPOCH_S + 1) == []
    view.tick(60.0, EPOCH_S + 60)
    (wish,) = view.on_message(PEER, many, 61.0, EPOCH_S + 61)
    assert isinstance(wish, Send)
    assert isinstance(wish.what, Wanted)
    assert len(wish.what.nodes) == REPLACED_PER_EXCHANGE_MAX
    guest = [key_of(f"in {number}") for number in range(7)][-1]
    for number in range(7):
        key = key_of(f"in {number}")
        advert = desk.known(f"in {number}").wire if key == guest else b""
        view.on_connected(key, 62.0, EPOCH_S + 62, inbound=True, advert=advert)
    assert guest in view.neighbours.guests
    assert guest not in view.directory


def test_renewed_adverts_are_wished_for_within_the_cap_of_an_exchange_too() -> None:
    desk = a_desk()
    for number in range(SUMMARY_ROWS_MAX):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, known.node, EPOCH_S)
    later = EPOCH_S + 300
    renewed = [
        desk.known(f"{number}", sequence=2, issued_at_s=later) for number in range(SUMMARY_ROWS_MAX)
    ]
    (wish,) = desk.hear(summary(*renewed), 300.0)
    assert isinstance(wish, Send)
    assert isinstance(wish.what, Wanted)
    assert len(wish.what.nodes) == ADVERTS_PER_EXCHANGE_MAX


def test_a_refused_advert_is_not_fetched_again_from_the_same_neighbour() -> None:
    desk = a_desk()
    address = ("/ip4/9.9.9.9/tcp/1",)
    crowd = [desk.known(f"{number}", addresses=address) for number in range(5)]
    desk.hear(summary(*crowd))
    for known in crowd:
        desk.get(known)
    assert len(desk.view.adverts(EPOCH_S)) == 1 + 4
    assert desk.hear(summary(*crowd), 5.0) == []


def test_an_advert_that_nobody_wanted_is_never_stored_nor_checked() -> None:
    desk = a_desk()
    known = desk.known("unasked")
    for number in range(UNASKED_BURST):
        assert desk.view.on_advert(PEER, bytes([number]) * 80, 0.0, EPOCH_S) == []
    assert misbehaved(desk.get(known)) == [Reason.UNEXPECTED]
    assert known.node not in desk.view.directory


def test_an_advert_other_than_the_wanted_one_is_not_stored() -> None:
    desk = a_desk()
    wanted, other = desk.known("wanted"), desk.known("other one")
    desk.hear(summary(wanted))
    assert desk.get(other) == []
    assert other.node not in desk.view.directory
    reports = [misbehaved(desk.get(other)) for _ in range(UNASKED_BURST)]
    assert reports[-1] == [Reason.UNEXPECTED]


def test_a_forged_advert_is_not_stored_and_ends_the_friendship_at_once() -> None:
    pair, network = Keypair(bytes(32)), bytes(16)
    view = View(ME, bytes(32), verifier(network))
    view.on_connected(PEER, 0.0, EPOCH_S, inbound=False)
    advert = an_advert(pair.public)
    genuine = seal(pair, network, advert).wire
    elsewhere = seal(pair, bytes(15) + b"\1", advert).wire
    row = Held(pair.public, EPOCH_S, 1, 0)
    view.on_message(PEER, Summary((row,)), 0.0, EPOCH_S)
    assert view.on_advert(PEER, elsewhere, 0.0, EPOCH_S) == [
        Misbehaved(PEER, Reason.BAD_SIGNATURE, view_detail(pair)),
        Drop(PEER, Reason.BANNED),
    ]
    assert len(view.directory) == 0
    view.on_connected(OTHER, 0.0, EPOCH_S, inbound=False)
    assert view.on_message(OTHER, Summary((row,)), 0.0, EPOCH_S) == []
    assert view.tick(1.0, EPOCH_S + 1) == [Send(OTHER, Wanted((pair.public,)))]
    view.on_advert(OTHER, genuine, 1.0, EPOCH_S + 1)
    assert len(view.directory) == 1


def view_detail(pair: Keypair) -> str:
    return f"not signed by {peer_id(pair.public)}"


def test_a_neighbour_that_tells_too_often_is_reported_and_then_dropped() -> None:
    desk = a_desk()
    answers = [desk.hear(Summary(())) for _ in range(SUMMARIES_BURST + 3)]
    reports = [misbehaved(actions) for actions in answers if actions]
    assert reports == [[Reason.UNEXPECTED]] * 3
    assert answers[-1][-1] == Drop(PEER, Reason.BANNED)
    assert desk.hear(Summary(())) == []


def test_wishes_for_what_was_not_offered_are_reported_when_they_do_not_end() -> None:
    desk = a_desk()
    nodes = tuple(sorted(key_of(f"{number}") for number in range(ADVERTS_PER_EXCHANGE_MAX)))
    assert desk.hear(Wanted(nodes)) == []
    assert misbehaved(desk.hear(Wanted(nodes))) == [Reason.UNEXPECTED]


def test_a_summary_that_tells_a_node_twice_is_refused() -> None:
    twice = Summary((Held(OTHER, 1, 1, 0), Held(OTHER, 2, 1, 0)))
    with pytest.raises(LocalProtocolError):
        encode(twice)
