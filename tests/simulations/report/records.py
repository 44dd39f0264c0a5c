# SPDX-License-Identifier: MIT
"""Made-up records for the tests of reports: rich ones, large ones, and some with little in them."""

from functools import cache
from random import Random

from simulations.record import Lane, Record, Sample, Span, Verdict
from simulations.trace import Row

END_S = 300.0
KINDS = ("server", "laptop", "laptop", "raspberry")
TROUBLES = (
    Span(60.0, 120.0, "partition"),
    Span(100.0, 145.0, "slow links"),
    Span(180.0, 180.0, "30 % dead at once"),
)


def little_record(seed: int = 7) -> Record:
    """A record with nothing in it but what every record has."""
    return Record(
        scenario="nothing",
        about="Nothing happens.",
        seed=seed,
        nodes=0,
        digest="",
        virtual_s=0.0,
        wall_s=0.0,
        events=0,
        messages=0,
        bytes=0,
        options={},
        replay="commons sim run nothing",
        versions={},
    )


@cache
def rich_record(seed: int = 7, hosts: int = 30, troubles: int = 0) -> Record:
    """A record with everything in it; so many of its checks did not hold."""
    dice = Random(seed)
    lanes = tuple(_lane(dice, number) for number in range(hosts))
    samples = _samples(dice, lanes)
    checks = ("directory_converges", "adverts_expire", "bounds_hold")
    return Record(
        scenario="partition",
        about="A mesh that was cut in two is whole again.",
        seed=seed,
        nodes=hosts,
        digest=f"{dice.getrandbits(128):032x}",
        virtual_s=END_S,
        wall_s=9.8,
        events=123_456,
        messages=samples[-1].messages,
        bytes=samples[-1].bytes,
        options={"nodes": hosts, "topology": "clusters", "limit_s": 600.0, "swarm": False},
        replay=f"commons sim run partition --nodes {hosts} --seeds {seed}:{seed + 1}",
        versions={"commons": "1.2.3", "Python": "3.11.7", "trio": "0.35.0"},
        samples=samples,
        lanes=lanes,
        troubles=TROUBLES,
        verdicts=tuple(
            Verdict(check, "two nodes disagree" if at < troubles else "", 290.0 + at)
            for at, check in enumerate(checks)
        ),
        figures={"query_median_ms": 84.2, "largest_queue_bytes": 48_211.0},
        rows=tuple(Row(float(at), "start", lanes[0].host, f"life {at}") for at in range(3)),
    )


def _lane(dice: Random, number: int) -> Lane:
    begin_s = dice.uniform(0, 8)
    spans = [Span(begin_s, begin_s + 3, "starting")]
    if number % 3 == 0:
        spans += [Span(begin_s + 3, 180.0, "up"), Span(180.0, 210.0, "down")]
        spans += [Span(210.0, 213.0, "starting"), Span(213.0, END_S, "up")]
    elif number % 7 == 1:
        spans += [Span(begin_s + 3, 50.0, "up"), Span(50.0, 70.0, "suspended")]
        spans.append(Span(70.0, END_S, "up"))
    else:
        spans.append(Span(begin_s + 3, END_S, "up"))
    return Lane(
        f"host-{number}",
        KINDS[number % len(KINDS)],
        tuple(spans),
        is_byzantine=number == 5,
        messages=dice.randrange(1000),
        bytes=dice.randrange(100_000),
    )


def _samples(dice: Random, lanes: tuple[Lane, ...]) -> tuple[Sample, ...]:
    found = []
    known, messages, size = 0.0, 0, 0
    for second in range(int(END_S) + 1):
        up = sum(
            span.what == "up" and span.begin_s <= second <= span.end_s
            for lane in lanes
            for span in lane.spans
        )
        goal = 0.5 if 60 <= second < 120 else 1.0
        known += (goal - known) * 0.2
        found.append(Sample(float(second), up, 1.0 if known > 0.995 else known, messages, size))
        messages += round(up * dice.uniform(1, 3))
        size += round(up * dice.uniform(300, 900))
    return tuple(found)
