# SPDX-License-Identifier: MIT
"""What a membership itself decides: how much of the disk models and results may take."""

from types import SimpleNamespace
from typing import Any, cast

from node.config import GovernorConfig
from node.membership import _Disk
from node.work.quotas import MIB
from protocol.reasons import Reason


def disk(*, free_mib: int, models_mib: int = 0) -> tuple[_Disk, Any, Any]:
    blobs = SimpleNamespace(total_bytes=lambda: models_mib * MIB)
    ground = SimpleNamespace(
        config=SimpleNamespace(governor=GovernorConfig(disk_mib=1000, disk_free_mib=100)),
        governing=SimpleNamespace(seen=SimpleNamespace(disk_free_mib=free_mib)),
        library=SimpleNamespace(blobs=blobs),
    )
    results = SimpleNamespace(total_bytes=0)
    return _Disk(cast("Any", ground), cast("Any", results)), ground, results


def test_what_was_kept_since_the_last_look_is_not_free_any_more() -> None:
    room, ground, results = disk(free_mib=400)
    assert room.may_keep(250 * MIB)[0] is None
    results.total_bytes += 250 * MIB
    assert room.may_keep(100 * MIB)[0] is Reason.DISK_LOW
    ground.governing.seen = SimpleNamespace(disk_free_mib=400)  # its owner has removed something
    assert room.may_keep(100 * MIB)[0] is None


def test_models_that_fill_their_share_do_not_end_the_work_with_them() -> None:
    room, _, results = disk(free_mib=10_000, models_mib=2000)
    friend = cast("Any", SimpleNamespace(member=True, trusted=False))
    assert room.may_fetch(friend, MIB)[0] is Reason.DISK_LOW
    assert room.may_keep(MIB)[0] is None
    results.total_bytes = 1000 * MIB
    assert room.may_keep(MIB)[0] is Reason.DISK_LOW


def test_a_machine_that_was_not_looked_at_keeps_nothing() -> None:
    room, ground, _ = disk(free_mib=400)
    ground.governing.seen = None
    assert room.may_keep(1)[0] is Reason.PAUSED
