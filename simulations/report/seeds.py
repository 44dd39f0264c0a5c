# SPDX-License-Identifier: MIT
"""The page of many seeds of one scenario: their curves over each other, and a row for each."""

from collections.abc import Sequence
from statistics import median

from simulations.record import Record
from simulations.report import drawing, said
from simulations.report.drawing import frames
from simulations.report.markup import Tag, number, tag
from simulations.report.measures import end_of, in_order, latency, share
from simulations.report.overlay import band_in_words, overlaid
from simulations.report.parts import (
    badge,
    caption,
    document,
    key_figures,
    outcome,
    section,
    sheet,
    table,
)
from simulations.report.scales import Scale
from simulations.report.summary import folder_name


def as_html_of_many(records: Sequence[Record]) -> str:
    """Write the whole page of records of one scenario."""
    seeds = said.many(len(records), "seed")
    name = records[0].scenario if records else "no scenario"
    about = records[0].about if records else ""
    drawn = [overlaid(records, frame) for frame in frames(_end_of(records))] if records else []
    words = caption("Pairs that know each other", band_in_words(len(records)))
    return document(
        f"{name}, {seeds}",
        sheet(
            (name, seeds, about),
            _verdict(records),
            key_figures(_key_figures(records)),
            *([words, *drawn] if drawn else []),
        ),
        section("Seeds", _rows(records), "seeds"),
    )


def _end_of(records: Sequence[Record]) -> float:
    return max((end_of(each) for each in records), default=0.0)


def _verdict(records: Sequence[Record]) -> Tag:
    if not records:
        return badge("open", "Nothing was run", "")
    bad = sum(not record.is_well for record in records)
    if not bad:
        return badge("fine", "✓ All is well", "with every seed")
    words = f"with {bad} of {said.many(len(records), 'seed')}"
    return badge("wrong", "✗ Something went wrong", words)


def _key_figures(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    if not records:
        return []
    reached = [at for each in records if (at := latency(each).known_99_s) is not None]
    shares = [each.bytes for record in records if (each := share(record))]
    nodes = sorted({record.nodes for record in records})
    return [
        ("seeds", said.count(len(records)), f"{sum(each.is_well for each in records)} well"),
        ("nodes", " to ".join(said.count(each) for each in sorted({nodes[0], nodes[-1]})), ""),
        (
            "99\u00a0% known after",
            said.duration(median(reached)) if reached else "never",
            f"{said.duration(min(reached))} to {said.duration(max(reached))}" if reached else "",
        ),
        (
            "per node and minute",
            said.short(median(shares), "B") if shares else "none",
            f"{said.short(min(shares), 'B')} to {said.short(max(shares), 'B')}" if shares else "",
        ),
        ("virtual time", said.duration(sum(each.virtual_s for each in records)), "together"),
        ("wall time", said.duration(sum(each.wall_s for each in records)), "together"),
    ]


def _rows(records: Sequence[Record]) -> Tag:
    if not records:
        return tag("p", "No seed was run.", class_="nothing")
    end_s = _end_of(records)
    heads = ("seed", "pairs known", "verdict", "99\u00a0% after", "messages")
    rows = []
    for record in records:
        at_s = latency(record).known_99_s
        kind, sign = ("well", "✓ ") if record.is_well else ("bad", "✗ ")
        rows.append(
            (
                tag("a", str(record.seed), href=f"{folder_name(record)}/report.html"),
                _spark(record, end_s),
                tag("span", tag("span", sign, class_=kind), outcome(record)),
                "never" if at_s is None else said.duration(at_s),
                said.count(record.messages),
                said.short(found.bytes, "B") if (found := share(record)) else "",
                tag("code", record.digest),
            )
        )
    return table((*heads, "per node and minute", "digest"), rows, (0, 3, 4, 5))


def _spark(record: Record, end_s: float) -> Tag:
    """Draw one small curve; all of them have the same axes."""
    time, value = Scale(0.0, end_s, 0.0, 150.0), Scale(0.0, 1.0, 24.0, 2.0)
    points = [(time.at(each.at_s), value.at(each.known)) for each in in_order(record.samples)]
    points = drawing.thinned(points)
    last = in_order(record.samples)[-1:]
    words = f"{said.percent(last[0].known)} known at the end" if last else "no samples"
    kind = "known" if record.is_well else "known bad"
    return tag(
        "svg",
        tag("title", words),
        tag("line", x1=0, x2=150, y1=24, y2=24, class_="grid"),
        tag("path", d=drawing.line(points), class_=f"curve {kind}") if points else None,
        xmlns="http://www.w3.org/2000/svg",
        class_="spark",
        viewBox=f"0 0 150 {number(26)}",
        role="img",
    )
