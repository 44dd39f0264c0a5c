# SPDX-License-Identifier: MIT
"""The summary of a run as a document for programs. A version gains fields and changes none."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from statistics import median

from simulations.record import Lane, Record, Span
from simulations.report.measures import latency, share

VERSION = 1
RUN = "simulation_run"
SEEDS = "simulation_seeds"

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def as_summary(record: Record) -> str:
    """Write everything of a record but its rows and samples, and what follows from those."""
    return _text(summary_of(record))


def as_summary_of_many(records: Sequence[Record]) -> str:
    """Write what some seeds of one scenario had in common, and a line for each of them."""
    return _text(summary_of_many(records))


def summary_of(record: Record) -> dict[str, Json]:
    """Give the document of one run."""
    options: dict[str, Json] = {name: _plain(each) for name, each in record.options.items()}
    versions: dict[str, Json] = dict(record.versions)
    figures: dict[str, Json] = {name: _plain(each) for name, each in record.figures.items()}
    return {
        "v": VERSION,
        "kind": RUN,
        "scenario": record.scenario,
        "about": record.about,
        "seed": record.seed,
        "digest": record.digest,
        "is_well": record.is_well,
        "error": record.error,
        "verdicts": [
            {
                "check": each.check,
                "is_well": not each.trouble,
                "trouble": each.trouble,
                "at_s": _plain(each.at_s),
            }
            for each in record.verdicts
        ],
        "nodes": record.nodes,
        "virtual_s": _plain(record.virtual_s),
        "wall_s": _plain(record.wall_s),
        "events": record.events,
        "messages": record.messages,
        "bytes": record.bytes,
        "per_node_per_minute": _share(record),
        "known": _known(record),
        "counts": _counts(record),
        "figures": figures,
        "troubles": _spans(record.troubles),
        "lanes": [_lane(each) for each in record.lanes],
        "options": options,
        "replay": record.replay,
        "versions": versions,
    }


def summary_of_many(records: Sequence[Record]) -> dict[str, Json]:
    """Give the document of some seeds."""
    times = [latency(record).known_99_s for record in records]
    reached = [each for each in times if each is not None]
    return {
        "v": VERSION,
        "kind": SEEDS,
        "scenario": records[0].scenario if records else "",
        "about": records[0].about if records else "",
        "seeds": len(records),
        "well": sum(each.is_well for each in records),
        "known_99_s": {
            "least": _time(min(reached, default=None)),
            "median": _time(median(reached)) if reached else None,
            "most": _time(max(reached, default=None)),
            "never": len(times) - len(reached),
        },
        "runs": [
            {
                "seed": record.seed,
                "folder": folder_name(record),
                "digest": record.digest,
                "is_well": record.is_well,
                "error": record.error,
                "troubles": [each.check for each in record.verdicts if each.trouble],
                "nodes": record.nodes,
                "virtual_s": _plain(record.virtual_s),
                "wall_s": _plain(record.wall_s),
                "messages": record.messages,
                "bytes": record.bytes,
                "per_node_per_minute": _share(record),
                "known": _known(record),
                "replay": record.replay,
            }
            for record in records
        ],
    }


def folder_name(record: Record) -> str:
    """Name the folder of one seed beside the page of all seeds."""
    return f"seed-{record.seed}"


def _text(document: dict[str, Json]) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _plain(value: str | float) -> Json:
    if not isinstance(value, float):
        return value
    # JSON has no infinity and no NaN: what is not known is null. Nine digits, as in the trace.
    return round(value, 9) if math.isfinite(value) else None


def _time(at_s: float | None) -> Json:
    return None if at_s is None else _plain(at_s)


def _share(record: Record) -> Json:
    found = share(record)
    return {"messages": _plain(found.messages), "bytes": _plain(found.bytes)} if found else None


def _known(record: Record) -> Json:
    found = latency(record)
    return {
        "after_50_s": _time(found.known_50_s),
        "after_99_s": _time(found.known_99_s),
        "after_100_s": _time(found.known_100_s),
        "settled_s": _time(found.settled_s),
    }


def _counts(record: Record) -> Json:
    rows: dict[str, Json] = dict(sorted(Counter(row.kind for row in record.rows).items()))
    hosts: dict[str, Json] = dict(sorted(Counter(lane.kind for lane in record.lanes).items()))
    return {
        "rows": rows,
        "samples": len(record.samples),
        "hosts": hosts,
        "byzantine": sum(lane.is_byzantine for lane in record.lanes),
        "troubles": len(record.troubles),
        "verdicts": len(record.verdicts),
        "verdicts_not_well": sum(bool(each.trouble) for each in record.verdicts),
    }


def _spans(spans: Sequence[Span]) -> list[Json]:
    return [
        {"begin_s": _plain(each.begin_s), "end_s": _plain(each.end_s), "what": each.what}
        for each in spans
    ]


def _lane(lane: Lane) -> Json:
    return {
        "host": lane.host,
        "kind": lane.kind,
        "is_byzantine": lane.is_byzantine,
        "messages": lane.messages,
        "bytes": lane.bytes,
        "spans": _spans(lane.spans),
    }
