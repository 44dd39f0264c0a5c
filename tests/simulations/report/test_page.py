# SPDX-License-Identifier: MIT
"""The page of one run is whole, needs nothing else, and shows what the record has."""

import re
from dataclasses import replace
from math import inf, nan

import pytest

from simulations.record import Lane, Record, Sample, Span, Verdict
from simulations.report.page import as_html
from simulations.trace import Row
from tests.simulations.report.pages import SVG, Page, points_of
from tests.simulations.report.records import little_record, rich_record

EVIL = '</title><script src="//x.example">\'&\x00\x1b</script>'


def evil_record() -> Record:
    """A record in which every text would like to be an element."""
    return replace(
        rich_record(hosts=3),
        scenario=EVIL,
        about=EVIL,
        digest=EVIL,
        options={EVIL: EVIL},
        replay=EVIL,
        versions={EVIL: EVIL},
        lanes=(Lane(EVIL, EVIL, (Span(0, 5, EVIL),), is_byzantine=True),),
        troubles=(Span(1, 2, EVIL),),
        verdicts=(Verdict(EVIL, EVIL),),
        figures={EVIL: 1.0},
        error=EVIL,
        rows=(Row(0.0, EVIL, EVIL, EVIL),),
    )


def test_the_page_has_all_its_parts_in_order() -> None:
    page = Page(as_html(rich_record()))
    assert page.by_tag["h1"] == ["A mesh that was cut in two is whole again."]
    assert page.by_tag["h2"] == [
        *("Over time", "Hosts", "Checks", "Figures", "Troubles", "Options"),
        *("Versions and digest", "Repeat it"),
    ]
    assert page.by_tag["title"][0] == "partition, seed 7"
    words = " ".join(page.words)
    for each in ("All is well", "3 checks held", "directory converges", "query median", "84.2"):
        assert each in words
    assert rich_record().digest in page.by_tag["code"]
    assert rich_record().replay in page.by_tag["code"]


def test_there_are_drawings_for_screens_and_for_telephones_that_say_what_they_show() -> None:
    page = Page(as_html(rich_record()))
    kinds = [each.get("class") for each in page.drawings]
    assert kinds == ["picture wide", "picture narrow"] * 2
    ids = [each.get("id") for drawing in page.drawings for each in drawing.iter() if each.get("id")]
    assert len(ids) == len(set(ids)) == 8
    for each in page.drawings:
        assert each.get("role") == "img"
        assert each.get("aria-labelledby") == each[0].get("id")
        assert each.get("aria-describedby") == each[1].get("id")
        assert (each[0].tag, each[1].tag) == (f"{SVG}title", f"{SVG}desc")
        assert each[0].text
        assert each[1].text


def test_what_went_wrong_is_said_in_words() -> None:
    record = replace(rich_record(troubles=2), error="the cap of events was reached")
    page = Page(as_html(record))
    words = " ".join(page.words)
    assert "Something went wrong" in words
    assert "2 of 3 checks did not hold" in words
    assert "It ended with: the cap of events was reached" in page.by_tag["li"]
    assert any("directory converges: two nodes disagree" in each for each in page.by_tag["li"])


def test_a_check_that_ended_the_run_is_told_once() -> None:
    record = replace(
        rich_record(troubles=1), error="directory converges: two nodes disagree (not within 9 s)"
    )
    assert Page(as_html(record)).by_tag["li"] == [f"It ended with: {record.error}"]
    record = replace(rich_record(), error="KeyError: 4")
    assert "an error ended it" in " ".join(Page(as_html(record)).words)


def test_a_run_without_checks_is_not_called_well() -> None:
    words = " ".join(Page(as_html(replace(rich_record(), verdicts=()))).words)
    assert "nothing was checked" in words
    assert "All is well" not in words


def test_no_text_of_a_record_becomes_part_of_the_page() -> None:
    page = Page(as_html(evil_record()))
    assert "script" not in {name for name, _ in page.tags}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)


@pytest.mark.parametrize("record", [rich_record(), evil_record()], ids=["rich", "evil"])
def test_the_page_fetches_nothing_and_runs_nothing(record: Record) -> None:
    page = Page(as_html(record))
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "image", "use", "a", "base"}
    attributes = {name for _, each in page.tags for name in each}
    assert not attributes & {"href", "src", "style", "xlink:href", "srcset"}
    style = "".join(page.by_tag["style"])
    assert not re.search(r"url\(|@import|https?:", style)
    policy = [each["content"] for name, each in page.tags if name == "meta" and "content" in each]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy


def test_there_is_a_look_for_light_dark_narrow_and_paper() -> None:
    style = "".join(Page(as_html(little_record())).by_tag["style"])
    for each in (
        "prefers-color-scheme: dark",
        "@media print",
        "size: landscape",
        "max-width: 640px",
    ):
        assert each in style
    assert style.count("{") == style.count("}")


def test_every_colour_of_light_has_one_for_dark() -> None:
    style = "".join(Page(as_html(little_record())).by_tag["style"])
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    names = [set(re.findall(r"(--[\w-]+):", each)) for each in (light, dark)]
    assert names[0] - names[1] == {"--words"}
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) == names[0]


def test_curves_go_on_in_time_and_stay_in_the_drawing() -> None:
    page = Page(as_html(rich_record()))
    found = page.of("curve")
    assert len(found) == 8
    for each in found:
        points = points_of(each)
        assert len(points) > 50
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert all(0 <= x <= 1080 and 0 <= y <= 600 for x, y in points)


def test_all_curves_and_lanes_have_the_same_axis_of_time() -> None:
    page = Page(as_html(rich_record()))
    for kind in ("wide", "narrow"):
        drawings = [each for each in page.drawings if kind in each.get("class", "")]
        marks = [
            [
                (each.get("x"), each.text)
                for each in drawing.iter(f"{SVG}text")
                if each.get("text-anchor") == "middle" and each.get("class") == "tick"
            ]
            for drawing in drawings
        ]
        assert marks[0] == marks[1] != []


def test_both_frames_tell_of_the_same_peaks() -> None:
    notes = [each.text or "" for each in Page(as_html(rich_record())).of("note")]
    peaks = [each for each in notes if each.startswith("at most")]
    assert len(peaks) == 4
    assert peaks[:2] == peaks[2:]


def test_troubles_are_named_and_shaded() -> None:
    page = Page(as_html(rich_record()))
    names = {each.text for each in page.of("name")}
    assert names == {"partition", "slow links", "30 % dead at once"}
    # The first two overlap and become one shade, in four drawings; the last one is a moment.
    assert len(page.of("shade")) == len(page.of("moment")) == 4


def test_a_flood_of_troubles_stays_a_strip() -> None:
    troubles = tuple(Span(float(at), 250.0, f"trouble {at}") for at in range(200))
    page = Page(as_html(replace(rich_record(), troubles=troubles)))
    assert len(page.of("trouble")) == 400
    assert len(page.of("name")) == 12
    assert "and 194 troubles more, drawn without names" in " ".join(page.words)


def test_a_pointer_is_told_what_the_curves_say() -> None:
    page = Page(as_html(rich_record()))
    told = [each[0].text or "" for each in page.of("column")]
    assert len(told) > 50
    assert any("known" in each and "messages/s" in each and "partition" in each for each in told)


def test_the_time_beside_a_dot_stays_in_the_drawing() -> None:
    samples = (Sample(0.0, 2, 0.0, 0, 0), Sample(300.0, 2, 1.0, 9, 9))
    wide, narrow = Page(as_html(replace(rich_record(), samples=samples))).of("told")
    assert (wide.get("text-anchor"), narrow.get("text-anchor")) == (None, "end")


@pytest.mark.parametrize(
    "record",
    [
        little_record(),
        replace(little_record(), virtual_s=inf, wall_s=nan, figures={"x_s": nan}),
        replace(little_record(), samples=(Sample(1.0, 1, 0.5, 3, 4),)),
        replace(little_record(), samples=(Sample(nan, 1, nan, 3, 4),)),
        replace(little_record(), samples=(Sample(1.0, 1, 0.5, 3, 4),) * 3),
        replace(rich_record(hosts=1), troubles=(Span(5.0, inf, "for ever"), Span(9, 8, "back"))),
        replace(
            rich_record(hosts=2), lanes=(Lane("a", "", ()), Lane("b", "", (Span(9, inf, "up"),)))
        ),
    ],
    ids=["empty", "endless", "one sample", "no number", "one moment", "one host", "odd lanes"],
)
def test_little_or_odd_data_still_makes_a_page(record: Record) -> None:
    page = Page(as_html(record))
    assert page.by_tag["h1"]
    assert not re.search(r'="(nan|-?inf)|[ML ](nan|-?inf)', page.source)


def test_the_same_record_gives_the_same_page() -> None:
    assert as_html(rich_record()) == as_html(rich_record())
    assert as_html(rich_record()) != as_html(rich_record(seed=8))


@pytest.mark.slow
def test_a_thousand_hosts_fit_on_a_page() -> None:
    text = as_html(rich_record(hosts=1000))
    assert len(text.encode()) < 1_500_000
    assert len(Page(text).of("row")) <= 160


@pytest.mark.slow
def test_lanes_full_of_spans_and_hours_of_samples_fit_on_a_page() -> None:
    record = rich_record(hosts=100)
    spans = tuple(
        Span(at * 0.2, at * 0.2 + 0.2, "up" if at % 2 else "suspended") for at in range(1500)
    )
    lanes = tuple(replace(lane, spans=spans) for lane in record.lanes)
    samples = tuple(Sample(at * 0.03, 100, at % 7 / 7, at, at) for at in range(10_000))
    text = as_html(replace(record, lanes=lanes, samples=samples))
    assert len(text.encode()) < 1_500_000
    assert Page(text).of("suspended")
