# SPDX-License-Identifier: MIT
"""Of many hosts those are drawn that stand for all of them."""

from dataclasses import replace

import pytest

from simulations.record import Lane, Span
from simulations.report.chosen import LANES_MAX, groups
from simulations.report.page import as_html
from tests.simulations.report.pages import Page
from tests.simulations.report.records import rich_record


def lanes(kind: str, count: int, strange: int = 0) -> list[Lane]:
    return [Lane(f"{kind}-{at}", kind, (), is_byzantine=at < strange) for at in range(count)]


def test_few_hosts_are_all_drawn_by_kind_and_then_by_number() -> None:
    found = groups([*lanes("laptop", 11), *lanes("arm", 2)])
    assert [each.kind for each in found] == ["arm", "laptop"]
    assert [lane.host for lane in found[1].lanes][:3] == ["laptop-0", "laptop-1", "laptop-2"]
    assert found[1].lanes[-1].host == "laptop-10"


def test_each_kind_has_its_share_and_at_least_one() -> None:
    found = groups([*lanes("laptop", 900), *lanes("server", 99), *lanes("arm", 1)])
    shares = {each.kind: (len(each.lanes), each.hosts) for each in found}
    assert shares == {"arm": (1, 1), "laptop": (72, 900), "server": (7, 99)}


def test_many_kinds_of_one_host_leave_no_more_lanes_than_there_are() -> None:
    single = [lane for at in range(70) for lane in lanes(f"kind-{at:02}", 1)]
    found = groups([*single, *lanes("zoo", 130)])
    assert sum(len(each.lanes) for each in found) == LANES_MAX


def test_byzantine_hosts_are_drawn_before_others() -> None:
    (found,) = groups(lanes("laptop", 500, strange=30))
    assert len(found.lanes) == LANES_MAX
    assert sum(each.is_byzantine for each in found.lanes) == 30


def test_the_chosen_ones_come_from_everywhere() -> None:
    (found,) = groups(lanes("laptop", 1000), most=4)
    hosts = [each.host for each in found.lanes]
    assert hosts == ["laptop-0", "laptop-250", "laptop-500", "laptop-750"]


def test_more_kinds_than_lanes_are_told_of() -> None:
    many = tuple(Lane(f"host-{at}", f"kind-{at:03}", ()) for at in range(LANES_MAX + 20))
    assert len(groups(many)) == LANES_MAX
    page = Page(as_html(replace(rich_record(), lanes=many)))
    assert "and 20 hosts of other kinds" in " ".join(page.words)


@pytest.mark.slow
def test_it_is_said_how_many_are_not_drawn() -> None:
    words = " ".join(Page(as_html(rich_record(hosts=1000))).words)
    assert "40 of 500 hosts, and 460 more like these" in words


def test_names_that_are_only_digits_or_strange_are_sorted_all_the_same() -> None:
    names = ["10", "9", "b", "a10", "a9", "", "٣", "²", "9" * 30]
    (found,) = groups([Lane(name, "k", ()) for name in names])
    hosts = [each.host for each in found.lanes]
    assert hosts.index("a9") < hosts.index("a10")
    assert hosts.index("9") < hosts.index("10")


def test_states_and_liars_are_told_apart_and_the_key_has_only_what_occurs() -> None:
    page = Page(as_html(rich_record(hosts=12)))
    for kind in ("up", "starting", "suspended", "down", "byzantine"):
        assert page.of(kind)
    tall = float(page.of("suspended")[0].get("height", ""))
    assert float(page.of("down")[0].get("height", "")) < tall / 2
    calm = tuple(Lane("a", "k", each.spans[-1:]) for each in rich_record(hosts=1).lanes)
    page = Page(as_html(replace(rich_record(), lanes=calm)))
    assert not page.of("down")
    assert not page.of("byzantine")


def test_a_host_that_has_not_started_yet_is_not_down() -> None:
    spans = (Span(0, 50, "down"), Span(50, 60, "up"), Span(60, 70, "down"), Span(70, 80, "up"))
    page = Page(as_html(replace(rich_record(), lanes=(Lane("late", "laptop", spans),))))
    assert len([each for each in page.of("down") if len(each)]) == 2  # once in each drawing
    assert any(each.startswith("late, laptop, up 66.6\u00a0% of") for each in page.by_tag["title"])


def test_a_lane_says_its_life_in_words() -> None:
    titles = Page(as_html(rich_record(hosts=12))).by_tag["title"]
    assert any(each.startswith("host-5, laptop, byzantine, up ") for each in titles)
    assert any(
        "host-0 down for 30\u00a0s, from 180\u00a0s to 210\u00a0s" in each for each in titles
    )
