# SPDX-License-Identifier: MIT
"""The page of many seeds shows all of them at once, and where each went wrong."""

from dataclasses import replace
from itertools import pairwise

from simulations.report.seeds import as_html_of_many
from tests.simulations.report.pages import Page, points_of
from tests.simulations.report.records import little_record, rich_record


def test_every_seed_has_its_row_its_curve_and_its_link() -> None:
    records = [rich_record(seed, hosts=5) for seed in range(12)]
    page = Page(as_html_of_many(records))
    links = [each["href"] for name, each in page.tags if name == "a"]
    assert links == [f"seed-{seed}/report.html" for seed in range(12)]
    assert len(page.of("seed")) == 24
    assert len(page.of("middle")) == len(page.of("spread")) == 2
    assert page.by_tag["code"] == [each.digest for each in records]
    assert "with every seed" in " ".join(page.words)


def test_the_median_lies_within_the_band_and_goes_on_in_time() -> None:
    records = [rich_record(seed, hosts=5) for seed in range(12)]
    page = Page(as_html_of_many(records))
    for middle, spread in zip(page.of("middle"), page.of("spread"), strict=True):
        points = points_of(middle)
        edge = points_of(spread)
        low, high = edge[: len(points)], edge[len(points) :][::-1]
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        for (_, below), (_, at), (_, above) in zip(low, points, high, strict=True):
            assert below >= at >= above


def test_seeds_that_went_wrong_are_named() -> None:
    records = [rich_record(seed, hosts=5, troubles=int(seed > 3)) for seed in range(12)]
    page = Page(as_html_of_many(records))
    words = " ".join(page.words)
    assert "with 8 of 12 seeds" in words
    assert len(page.of("wrong-name")) == 5
    assert "and 3 more" in words
    assert "directory converges: two nodes disagree" in words


def test_names_at_the_ends_do_not_cover_each_other() -> None:
    records = [rich_record(seed, hosts=5, troubles=1) for seed in range(4)]
    page = Page(as_html_of_many(records))
    places = [float(each.get("y", "")) for each in page.of("wrong-name")[:4]]
    assert all(below - above >= 12 for above, below in pairwise(places))


def test_runs_that_ended_early_do_not_bend_the_median() -> None:
    whole = [rich_record(seed, hosts=5) for seed in range(4)]
    short = replace(rich_record(9, hosts=5), samples=rich_record(9, hosts=5).samples[:30])
    page = Page(as_html_of_many([*whole, short]))
    (last, _) = points_of(page.of("middle")[0])[-1]
    assert last > 1000


def test_where_most_runs_are_over_there_is_no_median() -> None:
    short = [replace(each, samples=each.samples[:30]) for each in map(rich_record, range(4))]
    page = Page(as_html_of_many([*short, rich_record(9)]))
    (last, _) = points_of(page.of("middle")[0])[-1]
    assert last < 300


def test_no_seed_and_a_seed_without_samples_make_a_page() -> None:
    assert "Nothing was run" in " ".join(Page(as_html_of_many([])).words)
    assert Page(as_html_of_many([little_record()])).by_tag["h1"]


def test_the_same_records_give_the_same_page() -> None:
    records = [rich_record(seed, hosts=5) for seed in range(3)]
    assert as_html_of_many(records) == as_html_of_many(list(records))
