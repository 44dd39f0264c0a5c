# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.actions import Action, Dial, Drop
from protocol.directory import Directory
from protocol.known import known_from
from protocol.limits import (
    DIAL_REST_S_MAX,
    DIAL_REST_S_MIN,
    DIAL_S_MAX,
    GUEST_S_MAX,
    GUEST_S_MIN,
    GUESTS_MAX,
    INBOUND_NEIGHBOURS_MAX,
    KEYS_REMEMBERED_MAX,
    NEIGHBOURS_MAX,
    OUTBOUND_NEIGHBOURS_SOUGHT,
    PROVEN_S,
    REDRAW_S,
    SHUN_S,
    STABLE_NEIGHBOURS,
    WAITING_MAX,
    WAITING_S_MAX,
)
from protocol.neighbours import Neighbours
from protocol.reasons import Reason
from tests.protocol.mesh import EPOCH_S, an_advert, key_of

ME = key_of("me")
SALT = bytes(range(32))


def a_view(known: int = 0, bootstrap: tuple[Dial, ...] = ()) -> tuple[Neighbours, Directory]:
    """Neighbours of a node that knows so many others."""
    directory = Directory(ME, SALT)
    for number in range(known):
        tell(directory, f"{number}", source=bytes([number % 8]))
    return Neighbours(ME, SALT, directory, bootstrap), directory


def tell(directory: Directory, name: str, source: bytes = b"s", **changes: object) -> None:
    number = len(directory)
    changes.setdefault("addresses", (f"/ip4/{40 + number // 250}.{number % 250}.1.1/tcp/1",))
    advert = an_advert(key_of(name), **changes)
    assert directory.admit(known_from(name.encode(), advert), source, EPOCH_S) is None


def dials(actions: list[Action]) -> list[Dial]:
    """The dials among some actions."""
    return [action for action in actions if isinstance(action, Dial)]


def connect_all(view: Neighbours, now: float) -> None:
    """Tick, and let every dial succeed, until nobody is dialled."""
    while calls := dials(view.tick(now)):
        for dial in calls:
            view.on_connected(dial.key, now, inbound=False)


def settled(known: int = 60) -> tuple[Neighbours, Directory]:
    """A node with proven neighbours on all places."""
    view, directory = a_view(known)
    for number in range(INBOUND_NEIGHBOURS_MAX):
        view.on_connected(key_of(f"in {number}"), 0.0, inbound=True)
    connect_all(view, 0.0)
    view.tick(PROVEN_S)
    return view, directory


def test_a_node_dials_as_many_as_it_seeks_and_no_more() -> None:
    view, _ = a_view(60)
    calls = dials(view.tick(0.0))
    assert len({dial.key for dial in calls}) == len(calls) == OUTBOUND_NEIGHBOURS_SOUGHT
    assert view.tick(1.0) == []
    assert view.next_tick_at(1.0) == DIAL_S_MAX
    for dial in calls:
        assert view.on_connected(dial.key, 2.0, inbound=False) == []
    assert view.tick(2.0) == []
    assert [one.key for one in view.outbound()] == [dial.key for dial in calls]
    assert view.next_tick_at(2.0) == 2.0 + PROVEN_S


def test_the_same_salt_draws_the_same_nodes_and_another_one_others() -> None:
    first, second = a_view(60)[0].tick(0.0), a_view(60)[0].tick(0.0)
    assert first == second
    _, directory = a_view(60)
    assert Neighbours(ME, bytes(32), directory).tick(0.0) != first


def test_a_flood_of_strangers_takes_only_the_places_for_strangers() -> None:
    view, _ = settled()
    before = {one.key for one in view.outbound()}
    for number in range(1000):
        view.on_connected(key_of(f"stranger {number}"), 100.0 + number, inbound=True)
        view.tick(100.0 + number)
    assert before & set(view.linked) == before - {key for key in before if key not in view.linked}
    assert len(view.inbound()) == INBOUND_NEIGHBOURS_MAX
    assert len(view.guests) <= GUESTS_MAX
    assert len([key for key in before if key in view.linked]) >= OUTBOUND_NEIGHBOURS_SOUGHT - 1


def test_stable_neighbours_are_never_replaced_while_they_live() -> None:
    view, _ = settled()
    stable = [one.key for one in view.stable()]
    assert len(stable) == STABLE_NEIGHBOURS
    for number in range(200):
        now = 100.0 + number * 50
        for action in view.tick(now):
            if isinstance(action, Dial):
                view.on_connected(action.key, now, inbound=False)
        view.on_connected(key_of(f"stranger {number}"), now, inbound=True)
        assert [one.key for one in view.stable()] == stable


def test_the_random_ones_are_drawn_anew_dialled_first_and_dropped_after() -> None:
    view, directory = settled()
    seen = {one.key for one in view.outbound()}
    for number in range(40):
        now = 100.0 + number * REDRAW_S
        tellers = sorted(directory.tellers)
        for place, entry in enumerate(directory.in_turn()):
            directory.leave(entry.source if entry.source not in tellers and not entry.met else b"")
            directory.adopt(entry, tellers[place % len(tellers)], vouched=place % 2 == 0)
        actions = view.tick(now)
        assert len(actions) <= 1
        for dial in actions:
            assert isinstance(dial, Dial)
            drops = view.on_connected(dial.key, now, inbound=False)
            assert len(drops) == 1
            assert isinstance(drops[0], Drop)
            assert drops[0].key != dial.key
        assert len(view.outbound()) == OUTBOUND_NEIGHBOURS_SOUGHT
        seen |= {one.key for one in view.outbound()}
        view.tick(now + PROVEN_S)
    assert len(seen) > 20


def test_a_stranger_beyond_the_places_is_a_guest_for_a_while() -> None:
    view, _ = settled()
    guest = key_of("guest")
    assert view.on_connected(guest, 100.0, inbound=True) == []
    assert guest in view.guests
    assert view.next_tick_at(100.0) <= 100.0 + GUEST_S_MAX
    assert view.tick(100.0 + GUEST_S_MAX) == [Drop(guest, Reason.VIEW_FULL)]


def test_a_guest_gets_the_first_place_that_becomes_free() -> None:
    view, _ = settled()
    guest = key_of("guest")
    view.on_connected(guest, 100.0, inbound=True)
    view.on_disconnected(key_of("in 3"), 101.0)
    assert view.tick(101.0) == []
    assert view.linked[guest].inbound
    assert not view.guests


def a_full_room() -> Neighbours:
    """A node with as many guests as it takes."""
    view, _ = settled()
    for number in range(GUESTS_MAX):
        assert view.on_connected(key_of(f"guest {number}"), 100.0, inbound=True) == []
    return view


def test_a_full_room_of_guests_turns_over_but_not_faster_than_they_can_be_told() -> None:
    view = a_full_room()
    late = key_of("late")
    assert view.on_connected(late, 101.0, inbound=True) == []
    assert (late in view.waiting, late in view.guests) == (True, False)
    assert view.next_tick_at(101.0) == 100.0 + GUEST_S_MIN
    assert view.tick(100.0 + GUEST_S_MIN) == [Drop(key_of("guest 0"), Reason.VIEW_FULL)]
    assert (late in view.waiting, late in view.guests) == (False, True)


def test_a_guest_that_got_what_it_asked_for_makes_room_at_once_for_who_waits() -> None:
    view = a_full_room()
    assert view.on_told(key_of("guest 7"), 100.1) == []
    turned = view.on_connected(key_of("late"), 100.2, inbound=True)
    assert turned == [Drop(key_of("guest 7"), Reason.VIEW_FULL)]
    assert key_of("late") in view.guests
    assert view.on_connected(key_of("later"), 100.3, inbound=True) == []
    assert view.on_told(key_of("a neighbour"), 100.4) == []
    assert view.on_told(key_of("guest 9"), 100.5) == [Drop(key_of("guest 9"), Reason.VIEW_FULL)]
    assert key_of("later") in view.guests


def test_who_waits_is_bounded_in_number_and_time_and_may_go_or_be_shunned() -> None:
    view = a_full_room()
    waiting = [key_of(f"waiting {number}") for number in range(WAITING_MAX)]
    for key in waiting:
        assert view.on_connected(key, 100.0, inbound=True) == []
        assert view.on_connected(key, 100.0, inbound=True) == []
    late = key_of("late")
    assert view.on_connected(late, 100.0, inbound=True) == [Drop(late, Reason.VIEW_FULL)]
    view.on_disconnected(waiting[0], 100.0)
    assert waiting[0] not in view.waiting
    assert view.shun(waiting[1], 100.0) == [Drop(waiting[1], Reason.BANNED)]
    for passed_s in range(WAITING_S_MAX + GUEST_S_MAX):
        view.tick(100.0 + passed_s)
        assert len(view.guests) <= GUESTS_MAX
    view.tick(100.0 + WAITING_S_MAX + GUEST_S_MAX)
    assert not view.waiting
    assert not view.guests


def test_a_guest_that_we_choose_ourselves_gets_a_place() -> None:
    view, _ = a_view()
    for number in range(INBOUND_NEIGHBOURS_MAX + 1):
        view.on_connected(key_of(f"in {number}"), 0.0, inbound=True)
    guest = key_of(f"in {INBOUND_NEIGHBOURS_MAX}")
    assert guest in view.guests
    assert view.on_connected(guest, 1.0, inbound=False) == []
    assert guest not in view.guests
    assert not view.linked[guest].inbound


def test_who_was_proven_here_before_takes_the_place_of_a_latecomer() -> None:
    view, _ = settled()
    old, late = key_of("in 5"), key_of("late")
    view.on_disconnected(old, 100.0)
    view.on_connected(late, 101.0, inbound=True)
    view.tick(101.0 + PROVEN_S)
    assert view.on_connected(old, 200.0, inbound=True) == [Drop(late, Reason.VIEW_FULL)]
    assert old in view.linked
    assert view.on_connected(late, 201.0, inbound=True) == []
    assert late in view.guests


def test_two_nodes_that_dial_each_other_have_both_chosen() -> None:
    view, _ = a_view(60)
    dial = view.tick(0.0)[0]
    assert isinstance(dial, Dial)
    view.on_connected(dial.key, 0.1, inbound=True)
    assert view.on_connected(dial.key, 0.2, inbound=False) == []
    assert [one.key for one in view.outbound()] == [dial.key]


def test_connections_that_we_did_not_ask_for_stay_within_our_half() -> None:
    view, _ = a_view()
    for number in range(20):
        view.on_connected(key_of(f"out {number}"), 0.0, inbound=False)
    assert len(view.outbound()) <= NEIGHBOURS_MAX - INBOUND_NEIGHBOURS_MAX


def test_a_node_that_cannot_be_reached_rests_longer_each_time() -> None:
    view, directory = a_view()
    tell(directory, "only")
    rests, now = [], 0.0
    for _ in range(10):
        actions = view.tick(now)
        while not actions:
            now += DIAL_REST_S_MIN
            actions = view.tick(now)
        view.on_dial_failed(key_of("only"), now)
        started = now
        while not (actions := view.tick(now)):
            now += 1
        rests.append(now - started)
        view.dialling.clear()
    assert rests[:4] == [5, 10, 20, 40]
    assert rests[-1] == DIAL_REST_S_MAX


def test_a_dial_without_an_answer_fails_by_itself() -> None:
    view, directory = a_view()
    tell(directory, "only")
    assert len(view.tick(0.0)) == 1
    assert view.tick(DIAL_S_MAX) == []
    assert view.dialling == {}
    view.on_dial_failed(key_of("only"), DIAL_S_MAX)
    assert len(view.tick(DIAL_S_MAX + DIAL_REST_S_MIN)) == 1


def test_bootstrap_nodes_are_dialled_only_while_nobody_better_is_known() -> None:
    boot = Dial(key_of("boot"), ("/ip4/9.9.9.9/tcp/1",))
    view, directory = a_view(0, (boot, Dial(ME, ())))
    assert view.tick(0.0) == [boot]
    view.on_connected(boot.key, 0.0, inbound=False)
    assert view.tick(1.0) == []
    for number in range(10):
        tell(directory, f"{number}")
    assert {dial.key for dial in dials(view.tick(2.0))}.isdisjoint({boot.key})


def test_one_neighbour_that_tells_nothing_does_not_keep_a_node_from_its_bootstrap_nodes() -> None:
    boot = Dial(key_of("boot"), ("/ip4/9.9.9.9/tcp/1",))
    view, _ = a_view(0, (boot,))
    view.on_connected(key_of("silent"), 0.0, inbound=False)
    assert view.tick(1.0) == [boot]


def test_nodes_without_an_address_or_that_only_dial_out_are_not_dialled() -> None:
    view, directory = a_view()
    tell(directory, "nowhere", addresses=())
    tell(directory, "hidden", reach=3)
    assert view.tick(0.0) == []
    assert view.next_tick_at(0.0) == DIAL_REST_S_MIN


def test_no_address_range_holds_more_than_two_of_our_choices() -> None:
    view, directory = a_view()
    for number in range(4):
        tell(directory, f"{number}", addresses=(f"/ip4/9.9.9.{number}/tcp/1",))
    assert len(view.tick(0.0)) == 1 + 1
    assert len(view.dialling) == 2


def test_whom_to_dial_is_asked_of_those_whom_we_chose_not_of_strangers() -> None:
    view, directory = a_view()
    friend, stranger = key_of("friend"), key_of("stranger")
    view.on_connected(friend, 0.0, inbound=False)
    view.on_connected(stranger, 0.0, inbound=True)
    for number in range(40):
        tell(directory, f"hostile {number}", source=stranger)
    for number in range(8):
        tell(directory, f"honest {number}", source=friend)
    dialled = {dial.key for dial in dials(view.tick(1.0))}
    assert dialled < {key_of(f"honest {number}") for number in range(8)}


def test_when_stable_ones_die_the_nodes_that_we_met_first_are_dialled_first() -> None:
    view, directory = settled()
    first = [one.key for one in view.outbound()]
    for key in first:
        view.on_disconnected(key, 100.0)
    calls = dials(view.tick(100.0 + DIAL_REST_S_MIN))
    assert [dial.key for dial in calls] == sorted(first, key=lambda key: directory.entries[key].met)


def test_a_shunned_node_is_dropped_not_dialled_and_not_let_in_until_its_time_is_over() -> None:
    view, directory = a_view()
    tell(directory, "bad")
    bad = key_of("bad")
    view.on_connected(bad, 0.0, inbound=True)
    assert view.shun(bad, 0.0) == [Drop(bad, Reason.BANNED)]
    assert view.shun(bad, 0.0) == []
    assert view.tick(1.0) == []
    assert view.on_connected(bad, 1.0, inbound=True) == [Drop(bad, Reason.BANNED)]
    assert len(view.tick(SHUN_S)) == 1


def test_small_faults_are_forgiven_twice_and_big_ones_never() -> None:
    view, _ = a_view()
    one = key_of("one")
    view.on_connected(one, 0.0, inbound=True)
    assert [view.strike(one, fatal=False) for _ in range(3)] == [False, False, True]
    assert view.strike(key_of("nobody"), fatal=True)
    assert not view.strike(key_of("nobody"), fatal=False)


def test_memories_stay_bounded_and_the_first_proven_stay_in_them() -> None:
    view, directory = a_view()
    tell(directory, "first")
    for number in range(3 * KEYS_REMEMBERED_MAX):
        key = key_of("first") if not number else key_of(f"x {number}")
        view.on_connected(key, number * 100.0, inbound=True)
        view.tick(number * 100.0 + PROVEN_S)
        view.on_disconnected(key, number * 100.0 + PROVEN_S)
        view.shun(key_of(f"y {number}"), 0.0)
    assert len(view.memory) <= KEYS_REMEMBERED_MAX
    assert view.memory.seniority(key_of("first")) == 0


@pytest.mark.slow
def test_a_memory_full_of_living_nodes_takes_no_more() -> None:
    view, directory = a_view()
    for number in range(KEYS_REMEMBERED_MAX + 5):
        tell(directory, f"{number}", source=key_of(f"{number}"))
        view.on_connected(key_of(f"{number}"), number * 100.0, inbound=True)
        view.tick(number * 100.0 + PROVEN_S)
        view.on_disconnected(key_of(f"{number}"), number * 100.0 + PROVEN_S)
    assert len(view.memory) == KEYS_REMEMBERED_MAX
    assert view.memory.seniority(key_of("0")) == 0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "gone", "failed", "shun", "tick", "yes", "told"]),
        st.integers(0, 30),
        st.floats(0, 200),
    ),
    max_size=150,
)


@given(events=EVENTS)
def test_no_order_of_events_takes_the_neighbours_beyond_any_bound(
    events: list[tuple[str, int, float]],
) -> None:
    view, _ = a_view(30)
    now = 0.0
    for verb, number, passed_s in events:
        key = key_of(f"{number}")
        now += passed_s
        if verb == "in":
            view.on_connected(key, now, inbound=True)
        elif verb == "out":
            view.on_connected(key, now, inbound=False)
        elif verb == "gone":
            view.on_disconnected(key, now)
        elif verb == "failed":
            view.on_dial_failed(key, now)
        elif verb == "shun":
            view.shun(key, now)
        elif verb == "told":
            view.on_told(key, now)
        elif verb == "yes" and view.dialling:
            view.on_connected(next(iter(view.dialling)), now, inbound=False)
        view.tick(now)
        assert len(view.linked) <= NEIGHBOURS_MAX
        assert len(view.inbound()) <= INBOUND_NEIGHBOURS_MAX
        assert len(view.outbound()) <= NEIGHBOURS_MAX - INBOUND_NEIGHBOURS_MAX
        assert len(view.guests) <= GUESTS_MAX
        assert len(view.stable()) <= STABLE_NEIGHBOURS
        assert len(view.dialling) <= OUTBOUND_NEIGHBOURS_SOUGHT
        assert len(view.waiting) <= WAITING_MAX
        assert not view.waiting or len(view.guests) == GUESTS_MAX
        assert set(view.strangers._told) <= set(view.guests)
        assert not {*view.guests, *view.waiting} & set(view.linked)
        assert not set(view.guests) & set(view.waiting)
        assert view._directory.tellers == {one.key for one in view.outbound()}
        assert view.next_tick_at(now) > now


def test_a_time_that_is_over_is_over_at_the_tick_that_was_asked_for() -> None:
    """A difference of two times was too small by a rounding, and that tick came again and again."""
    view, _ = a_view(0)
    came = [number * 0.1 for number in range(1, 40)]
    for number, now in enumerate(came):
        view.on_connected(key_of(f"{number}"), now, inbound=True)
    for since in came:
        now = max(came[-1], since + GUEST_S_MAX)
        view.tick(now)
        assert since not in view.guests.values()
    for one in view.inbound():
        view.tick(one.since + PROVEN_S)
        assert one.proven
