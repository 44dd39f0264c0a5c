# SPDX-License-Identifier: MIT
"""What follows from samples: when nodes knew each other, and how much was said."""

from dataclasses import replace
from math import inf, nan

from simulations.record import Record, Sample, Span
from simulations.report.measures import Latency, end_of, latency, rates, share, union
from tests.simulations.report.records import little_record


def record_of(*known: float) -> Record:
    samples = tuple(Sample(float(at), 2, part, 0, 0) for at, part in enumerate(known))
    return replace(little_record(), samples=samples)


def test_it_is_told_when_pairs_first_knew_each_other() -> None:
    assert latency(record_of(0.0, 0.5, 0.98, 0.99, 1.0)) == Latency(1.0, 3.0, 4.0, 3.0)


def test_after_a_dip_it_is_told_from_when_on_it_was_for_good() -> None:
    assert latency(record_of(0.0, 1.0, 0.4, 0.99, 1.0)) == Latency(1.0, 1.0, 1.0, 3.0)


def test_where_nothing_is_known_nothing_is_told() -> None:
    assert latency(record_of()) == Latency()
    assert latency(record_of(0.0, 0.6, 0.7)) == Latency(known_50_s=1.0)


def test_rates_are_differences_and_never_below_zero() -> None:
    samples = [
        Sample(2.0, 1, 0.0, 30, 300),
        Sample(0.0, 1, 0.0, 0, 0),
        Sample(2.0, 1, 0.0, 30, 300),
        Sample(4.0, 1, 0.0, 10, 500),
    ]
    told = [(each.begin_s, each.messages_per_s, each.bytes_per_s) for each in rates(samples)]
    assert told == [(0.0, 15.0, 150.0), (2.0, 0.0, 100.0)]
    assert [each.bytes_per_s for each in rates(samples, least_s=3.0)] == [125.0]


def test_samples_that_are_no_numbers_are_left_out() -> None:
    assert latency(record_of(nan, 0.6)) == Latency(known_50_s=1.0)
    assert rates([Sample(nan, 1, 0.0, 0, 0), Sample(1.0, 1, 0.0, 5, 5)]) == ()


def test_a_share_needs_a_node_and_a_minute() -> None:
    told = share(replace(little_record(), nodes=2, virtual_s=120.0, messages=40, bytes=400))
    assert told is not None
    assert (told.messages, told.bytes) == (10.0, 100.0)
    assert share(little_record()) is None


def test_the_end_is_the_last_moment_of_anything() -> None:
    record = replace(record_of(0, 0, 0), virtual_s=1.0, troubles=(Span(1.5, inf, "x"),))
    assert end_of(record) == 2.0


def test_troubles_at_the_same_time_are_shaded_once() -> None:
    spans = [Span(5, 6, "c"), Span(0, 2, "a"), Span(1, 3, "b"), Span(3, 4, "d")]
    assert list(union(spans)) == [(0, 4), (5, 6)]
    assert list(union([])) == []
