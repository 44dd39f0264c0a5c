# SPDX-License-Identifier: MIT
"""What follows from a record: when the nodes knew each other, and how much they said."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulations.record import Record, Sample, Span


@dataclass(frozen=True, slots=True)
class Latency:
    """When so much was known, in virtual seconds from the beginning; None where it never was."""

    known_50_s: float | None = None
    known_99_s: float | None = None
    known_100_s: float | None = None
    settled_s: float | None = None
    """From when on at least 99 % were known until the end."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much was said between two samples."""

    begin_s: float
    end_s: float
    messages_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Share:
    """What one node said in a minute of virtual time, on average."""

    messages: float
    bytes: float


def in_order(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Give the samples that can be drawn, by their time."""
    fine = [each for each in samples if math.isfinite(each.at_s) and math.isfinite(each.known)]
    return tuple(sorted(fine, key=lambda each: each.at_s))


def end_of(record: Record) -> float:
    """Give the last moment that anything in the record speaks of."""
    ends = [record.virtual_s, *(each.at_s for each in record.samples)]
    for spans in (record.troubles, *(lane.spans for lane in record.lanes)):
        ends += [end for each in spans for end in (each.begin_s, each.end_s)]
    return max((end for end in ends if math.isfinite(end)), default=0.0)


def latency(record: Record) -> Latency:
    """Tell when the nodes knew each other."""
    samples = in_order(record.samples)

    def first(part: float) -> float | None:
        return next((each.at_s for each in samples if each.known >= part), None)

    settled = None
    for each in reversed(samples):
        if each.known < 0.99:
            break
        settled = each.at_s
    return Latency(first(0.5), first(0.99), first(1.0), settled)


def rates(samples: Sequence[Sample], least_s: float = 0.0) -> tuple[Rate, ...]:
    """Tell how much was said between samples that are at least so far apart."""
    found = []
    before: Sample | None = None
    for each in in_order(samples):
        if before is None:
            before = each
        elif (passed_s := each.at_s - before.at_s) > 0 and passed_s >= least_s:
            messages = max(0, each.messages - before.messages) / passed_s
            size = max(0, each.bytes - before.bytes) / passed_s
            found.append(Rate(before.at_s, each.at_s, messages, size))
            before = each
    return tuple(found)


def share(record: Record) -> Share | None:
    """Tell what one node said in a minute, if there was a node and a minute."""
    minutes = record.nodes * record.virtual_s / 60
    return Share(record.messages / minutes, record.bytes / minutes) if minutes > 0 else None


def union(spans: Sequence[Span]) -> Iterator[tuple[float, float]]:
    """Give the times in which there was any trouble, each once, by their beginning."""
    begin = end = -math.inf
    for each in sorted(spans, key=lambda span: (span.begin_s, span.end_s)):
        if each.begin_s > end:
            if math.isfinite(begin):
                yield begin, end
            begin, end = each.begin_s, each.end_s
        end = max(end, each.end_s)
    if math.isfinite(begin):
        yield begin, end
