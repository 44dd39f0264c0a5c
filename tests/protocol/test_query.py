# SPDX-License-Identifier: MIT
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.actions import Action, Ask, Found, Misbehaved, SearchEnded, Send
from protocol.canon import decode, encode
from protocol.errors import Refused
from protocol.known import Known
from protocol.limits import (
    ANSWERS_MAX,
    ASK_S_MAX,
    QUERY_BURST,
    QUERY_NODES_MAX,
    QUERY_OTHERS_MAX,
    QUERY_PARALLEL_MAX,
    QUERY_REFILL_S,
    QUERY_S_MAX,
    SEARCHES_MAX,
    STRANGER_QUERY_BURST,
    VIEW_MESSAGE_BYTES_MAX,
)
from protocol.query import Answer, Query
from protocol.reasons import Reason
from protocol.view import View
from tests.protocol.mesh import EPOCH_S, Mesh, Registry, an_advert, key_of, models

ME = key_of("me")
RARE = key_of("rare model")


class Bench:
    """A view with a directory that tests fill."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.view = View(ME, bytes(32), self.registry.verify)
        self.number = 0

    def advert(self, name: str, **changes: object) -> Known:
        self.number += 1
        place = f"/ip4/{40 + self.number // 250}.{self.number % 250}.1.1/tcp/1"
        changes.setdefault("addresses", (place,))
        return self.registry.add(an_advert(key_of(name), **changes))

    def tell(self, name: str, source: bytes = b"", **changes: object) -> Known:
        known = self.advert(name, **changes)
        source = source or known.node
        assert self.view.directory.admit(known, source, EPOCH_S) is None
        return known

    def ask(self, query: Query, asker: str = "asker", now: float = 0.0) -> Answer | None:
        sent = self.view.on_message(key_of(asker), query, now, EPOCH_S + now)
        if not sent:
            return None
        assert len(sent) == 1
        assert isinstance(sent[0], Send)
        assert isinstance(sent[0].what, Answer)
        return sent[0].what


def a_query(number: int = 0, **changes: object) -> Query:
    wishes = {
        "id": number.to_bytes(16, "big"),
        "model": RARE,
        "accelerator": "",
        "accelerator_mib": 0,
        "memory_mib": 0,
        "fp32_mflops": 0,
        "most": ANSWERS_MAX,
        **changes,
    }
    return Query(**wishes)  # type: ignore[arg-type] # the names of fields, as given


def asks(actions: list[Action]) -> list[Ask]:
    return [action for action in actions if isinstance(action, Ask)]


@pytest.mark.parametrize(
    ("wish", "fits"),
    [
        ({}, True),
        ({"model": key_of("other")}, False),
        ({"model": b"", "memory_mib": 8192}, True),
        ({"memory_mib": 8193}, False),
        ({"accelerator": "gpu"}, True),
        ({"accelerator": "npu"}, False),
        ({"accelerator_mib": 101}, False),
        ({"fp32_mflops": 40_001}, False),
    ],
)
def test_all_conditions_of_a_query_hold_together(wish: dict[str, Any], fits: bool) -> None:
    bench = Bench()
    known = bench.advert("a", models=models(RARE), accelerator="gpu", accelerator_mib=100)
    assert a_query(**wish).fits(known) is fits


def test_a_node_answers_from_its_directory_and_itself() -> None:
    bench = Bench()
    own = bench.registry.add(an_advert(ME, models=models(RARE)))
    bench.view.describe(own.wire, 0.0)
    holder = bench.tell("holder", models=models(RARE))
    bench.tell("stranger")
    met = bench.tell("met")
    bench.view.directory.mark_met(met.node)
    answer = bench.ask(a_query())
    assert answer == Answer(bytes(16), (own.wire, holder.wire), (met.wire,))
    assert decode(encode(answer), Answer) == answer


def test_an_asker_is_not_told_about_itself() -> None:
    bench = Bench()
    bench.tell("asker", models=models(RARE))
    answer = bench.ask(a_query())
    assert answer is not None
    assert answer.adverts == ()


def test_each_query_is_answered_once() -> None:
    bench = Bench()
    assert bench.ask(a_query()) is not None
    assert bench.ask(a_query()) is None
    assert bench.ask(a_query(), "another asker") is not None


def test_an_answer_fits_its_message_however_large_the_adverts_are() -> None:
    bench = Bench()
    for number in range(40):
        known = bench.advert(f"{number}", models=models(RARE))
        big = replace(known, wire=bytes(4000))
        bench.view.directory.admit(big, known.node, EPOCH_S)
        bench.view.directory.mark_met(known.node) if number % 2 else None
    answer = bench.ask(a_query(model=b"", most=ANSWERS_MAX))
    assert answer is not None
    assert len(answer.adverts) == 8
    assert len(encode(answer)) <= VIEW_MESSAGE_BYTES_MAX


def test_who_asks_too_much_gets_silence_until_time_has_passed() -> None:
    bench = Bench()
    answered = [bench.ask(a_query(number)) is not None for number in range(QUERY_BURST + 3)]
    assert answered == [True] * QUERY_BURST + [False] * 3
    assert bench.ask(a_query(99), now=QUERY_REFILL_S) is not None
    assert bench.ask(a_query(100), now=QUERY_REFILL_S) is None


def test_a_crowd_of_strangers_cannot_use_up_the_neighbours_answers() -> None:
    bench = Bench()
    bench.view.on_connected(key_of("friend"), 0.0, EPOCH_S, inbound=True)
    answered = [bench.ask(a_query(), f"stranger {number}") for number in range(1000)]
    assert sum(one is not None for one in answered) == STRANGER_QUERY_BURST
    assert bench.ask(a_query(), "friend") is not None
    assert len(bench.view._answering._askers) <= 256


def test_what_the_directory_has_needs_no_question() -> None:
    bench = Bench()
    holder = bench.tell("holder", models=models(RARE))
    search, actions = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    assert actions == [Found(search, (holder,)), SearchEnded(search, 1, 0, None)]
    assert bench.view.searches == {}


def test_nobody_to_ask_ends_a_search_at_once() -> None:
    search, actions = Bench().view.search(0.0, EPOCH_S, most=1, model=RARE)
    assert actions == [SearchEnded(search, 0, 0, Reason.NO_WORKER)]


def test_neighbours_are_asked_first_then_the_directory_then_whom_answers_named() -> None:
    bench = Bench()
    for number in range(2):
        bench.view.on_connected(key_of(f"near {number}"), 0.0, EPOCH_S, inbound=False)
    far = bench.tell("far", b"s")
    bench.tell("hidden", b"s", reach=3)
    search, actions = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    first = asks(actions)
    assert {one.key for one in first[:2]} == {key_of("near 0"), key_of("near 1")}
    assert [one.key for one in first[2:]] == [far.node]
    named, holder = bench.advert("named"), bench.advert("holder", models=models(RARE))
    silent = bench.view.on_message(far.node, Answer(search, (), (named.wire,)), 1.0, EPOCH_S + 1)
    assert [one.key for one in asks(silent)] == [named.node]
    assert bench.view.next_tick_at(1.0) <= ASK_S_MAX
    end = bench.view.on_message(named.node, Answer(search, (holder.wire,), ()), 2.0, EPOCH_S + 2)
    assert end == [Found(search, (holder,)), SearchEnded(search, 1, 4, None)]
    assert bench.view.on_message(key_of("near 0"), Answer(search, (), ()), 3.0, EPOCH_S) == []


def test_a_search_never_asks_more_nodes_than_its_budget_nor_too_many_at_once() -> None:
    bench = Bench()
    for source in range(8):
        for number in range(20):
            bench.tell(f"{source}/{number}", bytes([source]))
    search, actions = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    asked: list[bytes] = []
    waiting = [one.key for one in asks(actions)]
    while waiting:
        assert len(waiting) <= QUERY_PARALLEL_MAX
        key = waiting.pop(0)
        asked.append(key)
        liars = tuple(bench.advert(f"liar {len(asked)} {n}").wire for n in range(QUERY_OTHERS_MAX))
        actions = bench.view.on_message(key, Answer(search, (), liars), 1.0, EPOCH_S + 1)
        waiting += [one.key for one in asks(actions)]
    assert len(asked) == len(set(asked)) == QUERY_NODES_MAX
    assert actions == [SearchEnded(search, 0, QUERY_NODES_MAX, Reason.NO_WORKER)]


def test_one_teller_cannot_fill_the_ring_of_those_who_are_asked() -> None:
    bench = Bench()
    for number in range(48):
        bench.tell(f"hostile {number}", b"flood")
    for source in range(8):
        for number in range(8):
            bench.tell(f"{source}/{number}", bytes([source]))
    search, actions = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    hostile = {key_of(f"hostile {number}") for number in range(48)}
    asked: list[bytes] = []
    while waiting := [one.key for one in asks(actions)]:
        asked += waiting
        actions = []
        for key in waiting:
            actions += bench.view.on_ask_failed(key, 1.0)
    assert len(asked) == QUERY_NODES_MAX
    assert len(hostile.intersection(asked)) <= QUERY_NODES_MAX // 8
    assert search not in bench.view.searches


def test_one_answer_alone_does_not_end_a_search_for_several() -> None:
    bench = Bench()
    for number in range(2):
        bench.view.on_connected(key_of(f"{number}"), 0.0, EPOCH_S, inbound=False)
    search, _ = bench.view.search(0.0, EPOCH_S, most=4, model=RARE)
    own_kind = tuple(bench.advert(f"own {n}", models=models(RARE)).wire for n in range(4))
    first = bench.view.on_message(key_of("0"), Answer(search, own_kind, ()), 1.0, EPOCH_S)
    assert [type(action) for action in first] == [Found]
    others = tuple(bench.advert(f"other {n}", models=models(RARE)).wire for n in range(2))
    second = bench.view.on_message(key_of("1"), Answer(search, others, ()), 1.0, EPOCH_S)
    assert second[-1] == SearchEnded(search, 6, 2, None)


def test_those_who_stay_silent_are_waited_for_only_so_long() -> None:
    bench = Bench()
    for number in range(6):
        bench.tell(f"{number}", b"s")
    search, actions = bench.view.search(0.0, EPOCH_S, most=2, model=RARE)
    assert len(asks(actions)) == 4
    late = asks(bench.view.tick(ASK_S_MAX, EPOCH_S + ASK_S_MAX))
    assert len(late) == 2
    ended = bench.view.tick(QUERY_S_MAX, EPOCH_S + QUERY_S_MAX)
    assert SearchEnded(search, 0, 6, Reason.NO_WORKER) in ended


def test_a_search_that_found_too_few_says_that_it_is_spent() -> None:
    bench = Bench()
    bench.tell("holder", b"s", models=models(RARE))
    search, actions = bench.view.search(0.0, EPOCH_S, most=2, model=RARE)
    assert bench.view.on_ask_failed(asks(actions)[0].key, 1.0) == [
        SearchEnded(search, 1, 1, Reason.QUERY_SPENT)
    ]


def test_placement_holds_for_searches_too() -> None:
    bench = Bench()
    for name in ("trusted", "stranger"):
        bench.tell(name, b"s", models=models(RARE))
    bench.view.on_connected(key_of("neighbour"), 0.0, EPOCH_S, inbound=False)
    trusted = frozenset({key_of("trusted")})
    _, actions = bench.view.search(0.0, EPOCH_S, most=2, model=RARE, among=trusted)
    assert [one.key for one in asks(actions)] == [key_of("trusted")]
    found = [action for action in actions if isinstance(action, Found)]
    assert [one.node for one in found[0].adverts] == [key_of("trusted")]


@pytest.mark.parametrize("lie", ["forged", "does not fit", "forged other"])
def test_a_lying_answer_costs_its_sender_and_finds_nothing(lie: str) -> None:
    bench = Bench()
    bench.view.on_connected(key_of("liar"), 0.0, EPOCH_S, inbound=False)
    search, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    wire = bench.advert("useless").wire if lie == "does not fit" else b"forged" * 20
    answer = Answer(search, () if "other" in lie else (wire,), (wire,) if "other" in lie else ())
    actions = bench.view.on_message(key_of("liar"), answer, 1.0, EPOCH_S + 1)
    assert any(isinstance(action, Misbehaved) for action in actions)
    assert actions[-1] == SearchEnded(search, 0, 1, Reason.NO_WORKER)
    assert (key_of("liar") in bench.view.neighbours.linked) is (lie == "does not fit")


def test_expired_adverts_in_an_answer_are_no_find() -> None:
    bench = Bench()
    bench.view.on_connected(key_of("slow"), 0.0, EPOCH_S, inbound=False)
    search, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    old = bench.advert("old", models=models(RARE), ttl_s=1)
    actions = bench.view.on_message(key_of("slow"), Answer(search, (old.wire,), ()), 1, EPOCH_S + 1)
    assert actions == [SearchEnded(search, 0, 1, Reason.NO_WORKER)]


def test_answers_that_nobody_asked_for_are_not_even_read() -> None:
    bench = Bench()
    forged = Answer(bytes(16), (b"forged" * 20,), ())
    assert bench.view.on_message(key_of("x"), forged, 0.0, EPOCH_S) == []


def test_no_single_memory_puts_more_in_the_line_than_the_budget_can_ask() -> None:
    bench = Bench()
    for number in range(100):
        known = bench.tell(f"{number}", f"{number % 4}".encode())
        bench.view.directory.mark_met(known.node)
    assert bench.view.directory.held_of(b"met") == 96
    search, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    waiting = len(bench.view.searches[search]._line) + QUERY_PARALLEL_MAX
    assert waiting == QUERY_NODES_MAX + 4


def test_a_node_that_cannot_be_asked_matters_only_to_those_who_ask_it() -> None:
    bench = Bench()
    bench.tell("one", b"s")
    first, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    bench.view.directory.remove(next(iter(bench.view.directory)))
    bench.tell("two", b"s")
    second, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    ended = bench.view.on_ask_failed(key_of("two"), 1.0)
    assert ended == [SearchEnded(second, 0, 1, Reason.NO_WORKER)]
    assert list(bench.view.searches) == [first]


def test_a_node_that_is_named_again_and_again_is_asked_once_and_me_never() -> None:
    bench = Bench()
    for number in range(2):
        bench.tell(f"{number}", b"s")
    search, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    mine = bench.registry.add(an_advert(ME))
    again = (bench.advert("again").wire, bench.registry.add(an_advert(key_of("1"))).wire, mine.wire)
    named = bench.view.on_message(key_of("0"), Answer(search, (), again), 1.0, EPOCH_S)
    assert [one.key for one in asks(named)] == [key_of("again")]
    assert bench.view.on_message(key_of("1"), Answer(search, (), again), 1.0, EPOCH_S) == []
    last = bench.view.on_message(key_of("again"), Answer(search, (), again), 1.0, EPOCH_S)
    assert last == [SearchEnded(search, 0, 3, Reason.NO_WORKER)]


def test_an_answer_from_a_node_that_was_not_asked_is_not_read() -> None:
    bench = Bench()
    bench.tell("asked", b"s")
    search, _ = bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    holder = bench.advert("holder", models=models(RARE))
    assert bench.view.on_message(key_of("x"), Answer(search, (holder.wire,), ()), 1, EPOCH_S) == []
    assert search in bench.view.searches


def test_only_so_many_searches_run_at_a_time() -> None:
    bench = Bench()
    bench.tell("somebody")
    ids = {bench.view.search(0.0, EPOCH_S, most=1, model=RARE)[0] for _ in range(SEARCHES_MAX)}
    assert len(ids) == SEARCHES_MAX
    with pytest.raises(Refused):
        bench.view.search(0.0, EPOCH_S, most=1, model=RARE)
    ended = bench.view.on_ask_failed(key_of("somebody"), 1.0)
    assert len(ended) == SEARCHES_MAX
    assert bench.view.on_ask_failed(key_of("somebody"), 1.0) == []


@given(
    most=st.integers(1, ANSWERS_MAX),
    memory=st.integers(0, 2**40),
    accelerator=st.sampled_from(["", "NVIDIA H200"]),
)
def test_queries_travel_unchanged(most: int, memory: int, accelerator: str) -> None:
    query = a_query(most=most, memory_mib=memory, accelerator=accelerator)
    assert decode(encode(query), Query) == query


@pytest.mark.parametrize(
    ("nodes", "room"), [(60, 10), pytest.param(200, 32, marks=pytest.mark.soak)]
)
def test_a_search_finds_the_one_node_that_has_it_and_costs_no_more_than_its_budget(
    nodes: int, room: int
) -> None:
    mesh = Mesh(3)
    for number in range(nodes):
        mesh.join(
            f"node {number}",
            key_of("node 0"),
            key_of("node 1"),
            room=room,
            addresses=(f"/ip4/50.{number}.1.1/tcp/1",),
            models=models(RARE) if number == 7 else (),
        )
        mesh.run(0.1)
    mesh.run(30)
    rare = key_of("node 7")
    found = 0
    without = [view for view in mesh.views.values() if rare not in view.directory][:20]
    assert len(without) == 20
    for view in without:
        mesh.log.clear()
        answers = mesh.answers
        _, actions = view.search(mesh.now, mesh.now_s, most=1, model=RARE)
        mesh.do(view.me, actions)
        mesh.run(5)
        found += any(isinstance(action, Found) for _, action in mesh.log)
        assert mesh.answers - answers <= QUERY_NODES_MAX
    assert found >= 19
