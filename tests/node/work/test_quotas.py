# SPDX-License-Identifier: MIT
"""What is given away in a day, and what the disk may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import GovernorConfig
from node.work.quotas import DAY_S, MIB, Kind, Quota, Quotas, may_keep
from protocol.events import Instant
from protocol.reasons import Reason


def at(mono_s: float, wall_s: float | None = None) -> Instant:
    return Instant(mono_s=mono_s, wall_s=1e9 + mono_s if wall_s is None else wall_s)


def test_a_days_amount_may_go_at_once_and_then_nothing() -> None:
    quota = Quota(1000, at(0))
    assert quota.take(1000, at(0))
    assert not quota.take(1, at(0))


def test_it_refills_all_day_long() -> None:
    quota = Quota(1000, at(0))
    quota.take(1000, at(0))
    assert not quota.take(251, at(DAY_S / 4))
    assert quota.take(250, at(DAY_S / 4))
    assert quota.left(at(10 * DAY_S)) == 1000


def test_what_was_not_used_is_given_back_and_never_more_than_a_day() -> None:
    quota = Quota(1000, at(0))
    assert quota.take(600, at(0))
    quota.give_back(100)
    assert quota.left(at(0)) == 500
    quota.give_back(10_000)
    assert quota.left(at(0)) == 1000


def test_a_clock_that_goes_back_refills_nothing() -> None:
    quota = Quota(1000, at(DAY_S))
    quota.take(1000, at(DAY_S))
    assert quota.left(at(0)) == 0
    assert quota.left(at(DAY_S)) == 0


@given(
    per_day=st.integers(0, 10**15),
    takes=st.lists(st.tuples(st.integers(0, 10**15), st.floats(0, DAY_S)), max_size=20),
)
def test_never_more_goes_than_a_day_holds_and_refills(
    per_day: int, takes: list[tuple[int, float]]
) -> None:
    quota, now_s, gone = Quota(per_day, at(0)), 0.0, 0
    for amount, later_s in takes:
        now_s += later_s
        gone += amount if quota.take(amount, at(now_s)) else 0
        assert gone <= per_day * (1 + now_s / DAY_S) * (1 + 1e-9)


@given(per_day=st.integers(1, 10**12), amount=st.integers(0, 10**12))
def test_what_is_waited_for_comes(per_day: int, amount: int) -> None:
    quota = Quota(per_day, at(0), left=0)
    wait_s = quota.wait_s(amount, at(0))
    if wait_s is None:
        assert amount > per_day
    else:
        assert quota.take(amount, at(wait_s))


def test_every_kind_has_its_amount_and_a_sentence_with_its_key() -> None:
    quotas = Quotas(GovernorConfig(models_mib_day=500, evidence_cu_day=60), at(0))
    assert quotas.take(Kind.MODELS, 500 * MIB, at(0)) == (None, "")
    reason, sentence = quotas.take(Kind.MODELS, 250 * MIB, at(0))
    assert reason == Reason.QUOTA_SPENT
    assert sentence == (
        "governor.models_mib_day for fetching models that strangers want run is used up; "
        "there is enough again in 12.0 hours"
    )
    assert quotas.take(Kind.EVIDENCE, 60, at(0))[0] is None
    assert quotas.take(Kind.BLOBS, 1, at(0))[0] is None
    assert quotas.take(Kind.RELAY, 1, at(0))[0] is None


@pytest.mark.parametrize("kind", Kind)
def test_what_no_day_has_is_refused_as_that(kind: Kind) -> None:
    reason, sentence = Quotas(GovernorConfig(), at(0)).take(kind, 10**16, at(0))
    assert reason == Reason.QUOTA_SPENT
    assert "a whole day" in sentence


def test_a_quota_of_nothing_gives_nothing() -> None:
    quotas = Quotas(GovernorConfig(models_mib_day=0), at(0))
    assert quotas.take(Kind.MODELS, 1, at(DAY_S))[0] == Reason.QUOTA_SPENT


def test_a_restart_gives_no_fresh_day() -> None:
    quotas = Quotas(GovernorConfig(), at(0))
    quotas.take(Kind.MODELS, 500 * MIB, at(0))
    kept = quotas.as_kept(at(0))
    again = Quotas(GovernorConfig(), at(5, wall_s=1e9 + DAY_S / 2), kept)
    assert again[Kind.MODELS].left(at(5)) == 250 * MIB
    set_back = Quotas(GovernorConfig(), at(5, wall_s=0), kept)
    assert set_back[Kind.MODELS].left(at(5)) == 0


def test_other_amounts_count_at_once() -> None:
    quotas = Quotas(GovernorConfig(), at(0))
    quotas.take(Kind.MODELS, 100 * MIB, at(0))
    quotas.use(GovernorConfig(models_mib_day=1000), at(0))
    assert quotas[Kind.MODELS].left(at(0)) == 400 * MIB
    quotas.use(GovernorConfig(models_mib_day=5), at(0))
    assert quotas[Kind.MODELS].left(at(0)) == 5 * MIB


@pytest.mark.parametrize(
    ("size_mib", "free_mib", "taken_mib", "word"),
    [
        (952, 3000, 0, None),
        (953, 3000, 0, "disk_free_mib"),
        (100, 99_999, 900, None),
        (101, 99_999, 900, "disk_mib"),
        (0, 2047, 0, "disk_free_mib"),
    ],
)
def test_the_disk_keeps_its_floor_and_its_cap(
    size_mib: int, free_mib: int, taken_mib: int, word: str | None
) -> None:
    config = GovernorConfig(disk_free_mib=2048, disk_mib=1000)
    reason, sentence = may_keep(config, size_mib * MIB, free_mib=free_mib, taken_mib=taken_mib)
    assert reason == (Reason.DISK_LOW if word else None)
    assert (f"governor.{word}" in sentence) if word else not sentence
