# SPDX-License-Identifier: MIT
"""Promises of `protocol/exchange.py` about what is not said twice, and not to who has it."""

from protocol.actions import Action, Send
from protocol.exchange import Summary, Wanted
from protocol.limits import (
    ADVERTS_PER_EXCHANGE_MAX,
    EXCHANGE_INTERVAL_S_MIN,
    RANGELESS_ADVERTS_MAX,
    REPLACED_PER_EXCHANGE_MAX,
    REPLACED_REFILL_S,
    SUMMARY_ROWS_MAX,
)
from tests.protocol.desk import ME, OTHER, PEER, Desk, a_desk, summary
from tests.protocol.mesh import EPOCH_S, key_of


def with_two() -> Desk:
    """A view with two neighbours, to whom all was told that there is."""
    desk = a_desk()
    advert = desk.known("other").wire
    desk.view.on_connected(OTHER, 0.0, EPOCH_S, inbound=False, advert=advert)
    for now in range(8):
        desk.said(float(now))
    return desk


def wishes(actions: list[Action]) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """Who is asked for what."""
    return [
        (a.key, a.what.nodes) for a in actions if isinstance(a, Send) and isinstance(a.what, Wanted)
    ]


def told(actions: list[Action]) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """Who is told of whom."""
    return [
        (a.key, tuple(row.node for row in a.what.held))
        for a in actions
        if isinstance(a, Send) and isinstance(a.what, Summary)
    ]


def test_what_two_neighbours_offer_is_asked_of_one_and_of_the_other_when_it_does_not_come() -> None:
    desk = with_two()
    news, more = desk.known("news"), desk.known("more")
    assert wishes(desk.hear(summary(news, more), 8.0)) == [
        (PEER, tuple(sorted((news.node, more.node))))
    ]
    assert desk.hear(summary(news, more), 8.1, OTHER) == []
    desk.get(more, 8.2)
    assert desk.view.next_tick_at(8.2) == 8.0 + EXCHANGE_INTERVAL_S_MIN
    assert wishes(desk.view.tick(9.0, EPOCH_S + 9)) == [(OTHER, (news.node,))]
    assert wishes(desk.view.tick(10.5, EPOCH_S + 10)) == []


def test_an_advert_that_comes_from_the_first_is_never_asked_of_the_second() -> None:
    desk = with_two()
    news = desk.known("news")
    desk.hear(summary(news), 8.0)
    desk.hear(summary(news), 8.1, OTHER)
    desk.get(news, 8.2)
    for now in range(9, 12):
        assert wishes(desk.view.tick(float(now), EPOCH_S + now)) == []
    assert desk.hear(summary(news), 12.0, OTHER) == []


def test_news_is_told_a_second_later_to_those_who_lack_it_and_to_nobody_else() -> None:
    desk = with_two()
    interval_s = desk.view.exchange.talks[OTHER].interval_s
    news = desk.known("news")
    desk.hear(summary(news), 8.0)
    desk.get(news, 8.0)
    assert told(desk.view.tick(9.0, EPOCH_S + 9)) == [(OTHER, (news.node,))]
    assert desk.view.exchange.talks[OTHER].interval_s == interval_s


def test_that_we_have_met_a_node_is_told_to_everybody() -> None:
    desk = with_two()
    news = desk.known("news")
    desk.hear(summary(news), 8.0)
    desk.get(news, 8.0)
    desk.view.directory.mark_met(news.node)
    rows = {
        (a.key, row.met)
        for a in desk.view.tick(9.0, EPOCH_S + 9)
        if isinstance(a, Send) and isinstance(a.what, Summary)
        for row in a.what.held
        if row.node == news.node
    }
    assert rows == {(PEER, 1), (OTHER, 1)}


def test_a_new_own_advert_is_told_at_once_and_once() -> None:
    desk = with_two()
    renewed = desk.known("me", sequence=2, issued_at_s=EPOCH_S + 300)
    desk.view.describe(renewed.wire, 8.0)
    said = told(desk.view.tick(9.0, EPOCH_S + 9))
    assert said == [(PEER, (ME,)), (OTHER, (ME,))]
    assert desk.view.next_tick_at(9.0) > 10.0


def test_what_is_over_the_cap_of_an_exchange_is_asked_for_when_the_first_ones_have_come() -> None:
    desk = a_desk()
    many = [desk.known(f"{number}") for number in range(SUMMARY_ROWS_MAX)]
    ((_, first),) = wishes(desk.hear(summary(*many)))
    assert len(first) == ADVERTS_PER_EXCHANGE_MAX
    asked = []
    for known in many:
        if known.node in first:
            asked += wishes(desk.get(known, 0.5))
    ((_, rest),) = asked
    assert {*first, *rest} == {known.node for known in many}


def test_what_a_neighbour_told_long_ago_is_not_asked_of_it() -> None:
    desk = with_two()
    news = desk.known("news")
    desk.hear(summary(news), 8.0)
    desk.hear(summary(news), 8.1, OTHER)
    for now in (8.2, 8.3):
        desk.hear(summary(), now, OTHER)
    assert wishes(desk.view.tick(9.0, EPOCH_S + 9)) == []


def test_a_neighbour_whose_adverts_find_no_place_is_asked_for_a_few_at_a_time() -> None:
    desk = a_desk()
    house = ("/ip4/10.0.0.1/tcp/1",)
    crowd = [desk.known(f"{number}", addresses=house) for number in range(SUMMARY_ROWS_MAX)]
    sent = wishes(desk.hear(summary(*crowd)))
    asked = list(sent[0][1])
    for known in crowd:
        if known.node in asked:
            asked += [node for _, nodes in wishes(desk.get(known)) for node in nodes]
    held = sum(known.node in desk.view.directory for known in crowd)
    assert held == RANGELESS_ADVERTS_MAX
    assert len(asked) <= ADVERTS_PER_EXCHANGE_MAX + REPLACED_PER_EXCHANGE_MAX
    ((_, again),) = wishes(desk.hear(summary(*crowd), 5.0))
    assert len(again) == REPLACED_PER_EXCHANGE_MAX


def test_what_finds_no_place_as_told_by_one_is_asked_of_another() -> None:
    desk = with_two()
    house = ("/ip4/10.0.0.1/tcp/1",)
    for number in range(RANGELESS_ADVERTS_MAX):
        known = desk.known(f"{number}", addresses=house)
        assert desk.view.directory.admit(known, PEER, EPOCH_S) is None
    last = desk.known("last", addresses=house)
    assert wishes(desk.hear(summary(last), 8.0)) == [(PEER, (last.node,))]
    assert desk.hear(summary(last), 8.1, OTHER) == []
    assert wishes(desk.get(last, 8.2)) == [(OTHER, (last.node,))]


def test_each_listener_is_told_of_others_first() -> None:
    desk = a_desk()
    for number in range(120):
        known = desk.known(f"{number}")
        desk.view.directory.admit(known, key_of(f"teller {number % 4}"), EPOCH_S)
    first: list[set[bytes]] = []
    for number in range(6):
        key = key_of(f"in {number}")
        desk.view.on_connected(key, 0.0, EPOCH_S, inbound=True)
    for _, nodes in told(desk.view.tick(0.0, EPOCH_S)):
        first.append(set(nodes[:20]))
    assert len(set.union(*first)) > 60


def test_where_adverts_push_out_each_other_each_neighbour_brings_a_few_and_then_one_at_a_time() -> (
    None
):
    """In a mesh larger than a directory, somebody always has an advert with a lower draw."""
    desk = with_two()
    desk.said(70.0)  # which proves both
    directory = desk.view.directory
    for number in range(directory.share):
        directory.admit(desk.known(f"{number}"), PEER, EPOCH_S)
    assert directory.has_room()
    assert directory.free_of(PEER) == 0
    better = [desk.known(f"better {number}") for number in range(40)]
    brought: list[float] = []
    for now in range(70, 1000, 60):
        left = [known for known in better if known.node not in directory]
        vouched = Summary(tuple(known.digests[1] for known in left))
        for _, nodes in wishes(desk.hear(vouched, float(now))):
            brought += [now] * len(nodes)
            for known in left:
                if known.node in nodes:
                    desk.get(known, float(now))
    assert brought[:REPLACED_PER_EXCHANGE_MAX] == [70] * REPLACED_PER_EXCHANGE_MAX
    assert brought[REPLACED_PER_EXCHANGE_MAX:] == [370, 670, 970]
    assert REPLACED_REFILL_S == 300
    # Another one has shares of its own.
    ((_, nodes),) = wishes(desk.hear(summary(*better[-9:]), 1000.0, OTHER))
    assert len(nodes) == 9
