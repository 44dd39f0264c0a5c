# SPDX-License-Identifier: MIT
"""The report of one run as a page: one file with its pictures in it, to read, to print, to show."""

from collections.abc import Iterable, Sequence

from simulations.record import Record
from simulations.report import said
from simulations.report.curves import curves
from simulations.report.drawing import in_both
from simulations.report.lanes import lanes_of
from simulations.report.markup import Child, Tag, tag
from simulations.report.measures import latency, share
from simulations.report.parts import (
    badge,
    caption,
    document,
    key_figures,
    problems_of,
    section,
    sheet,
    table,
)

#: So many troubles stand at the top; the table has them all.
_PROBLEMS_MAX = 4


def as_html(record: Record) -> str:
    """Write the whole page. The same record gives the same text."""
    return document(
        f"{record.scenario}, seed {record.seed}",
        sheet(
            (record.scenario, f"seed {record.seed}", record.about),
            _verdict(record),
            key_figures(_key_figures(record)),
            caption("Over time", _shading(record)),
            *in_both(record, curves),
        ),
        _lives(record),
        tag(
            "div",
            section("Checks", _checks(record)),
            section("Figures", _figures(record)),
            section("Troubles", _troubles(record)) if record.troubles else None,
            section("Options", _pairs(record.options.items(), "It was given no options.")),
            section("Versions and digest", _versions(record)),
            class_="columns",
        ),
        section("Repeat it", tag("pre", tag("code", record.replay))),
    )


def _verdict(record: Record) -> Tag:
    problems = problems_of(record)
    checks = len(record.verdicts)
    if not problems and not checks:
        return badge("open", "It ran to its end", "nothing was checked")
    if not problems:
        return badge("fine", "✓ All is well", f"{said.many(checks, 'check')} held")
    bad = sum(bool(each.trouble) for each in record.verdicts)
    words = [f"{bad} of {said.many(checks, 'check')} did not hold"] if bad else []
    words += ["an error ended it"] if record.error and not bad else []
    more = len(problems) - _PROBLEMS_MAX
    return tag(
        "div",
        badge("wrong", "✗ Something went wrong", " and ".join(words)),
        tag(
            "ul",
            *(tag("li", each) for each in problems[:_PROBLEMS_MAX]),
            tag("li", f"and {more} more, in the table below") if more > 0 else None,
            class_="problems",
        ),
    )


def _key_figures(record: Record) -> list[tuple[str, str, str]]:
    found = latency(record)
    each = share(record)
    speed = record.virtual_s / record.wall_s if record.wall_s > 0 else 0.0
    known = "never" if record.samples else "unknown"
    if found.known_99_s is not None:
        known = said.duration(found.known_99_s)
    return [
        ("nodes", said.count(record.nodes), f"{said.count(record.events)} events"),
        ("99\u00a0% known after", known, "of pairs, at first"),
        ("virtual time", said.duration(record.virtual_s), "of the made world"),
        (
            "wall time",
            said.duration(record.wall_s),
            f"{said.amount(float(f'{speed:.2g}'))} × as fast" if speed else "",
        ),
        ("messages", said.short(record.messages), said.short(record.bytes, "B")),
        (
            "per node and minute",
            said.short(each.bytes, "B") if each else "none",
            said.many(round(each.messages), "message") if each else "",
        ),
        ("seed", str(record.seed), ""),
        ("digest", record.digest[:8] or "none", "whole below" if record.digest[8:] else ""),
    ]


def _shading(record: Record) -> str:
    words = "All curves share one axis of virtual time."
    return words + (" Troubles of the world are shaded." if record.troubles else "")


def _lives(record: Record) -> Tag:
    if not record.lanes:
        nothing = tag("p", "No host was ever started.", class_="nothing")
        return tag("figure", caption("Hosts", ""), nothing)
    return tag(
        "figure",
        caption("Hosts", "One lane each, over the same time.", " Point at one to read more."),
        *in_both(record, lanes_of),
        class_="lanes",
    )


def _checks(record: Record) -> Tag:
    if not record.verdicts:
        return tag("p", "Nothing was checked.", class_="nothing")
    # What is wrong comes first: it is what somebody looks for.
    ordered = sorted(record.verdicts, key=lambda each: not each.trouble)
    return table(
        ("check", "verdict", "at"),
        [
            (
                each.check.replace("_", " "),
                tag("span", tag("span", "✗ ", class_="bad"), each.trouble)
                if each.trouble
                else tag("span", "✓ well", class_="well"),
                said.duration(each.at_s),
            )
            for each in ordered
        ],
        (2,),
    )


def _figures(record: Record) -> Tag:
    said_so = [said.figure(name, value) for name, value in record.figures.items()]
    if not said_so:
        return tag("p", "Nothing else was measured.", class_="nothing")
    return table(("figure", "value"), said_so, (1,))


def _troubles(record: Record) -> Tag:
    rows = [
        (
            each.what,
            said.duration(each.begin_s),
            said.duration(each.end_s - each.begin_s) if each.end_s > each.begin_s else "a moment",
        )
        for each in record.troubles
    ]
    return table(("trouble", "at", "for"), rows, (1, 2))


def _pairs(pairs: Iterable[tuple[str, object]], nothing: str) -> Tag:
    rows = [(tag("code", name), tag("code", _option(value))) for name, value in pairs]
    if not rows:
        return tag("p", nothing, class_="nothing")
    return table(("option", "value"), rows, ())


def _option(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _versions(record: Record) -> Tag:
    rows: list[Sequence[Child]] = [
        (name, tag("code", version)) for name, version in record.versions.items()
    ]
    rows.append(("digest of the trace", tag("code", record.digest or "none")))
    return table(("of", "value"), rows, ())
