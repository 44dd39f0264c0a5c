# SPDX-License-Identifier: MIT
"""How much of the disk models and results may take; which models may go is `models`' own."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node.config import GovernorConfig
from node.executor.aside import at_once
from node.host.host import Sensors
from node.work import disk as module
from node.work.disk import Disk
from node.work.quotas import MIB, Kind, Quotas
from node.work.results import Results
from protocol.reasons import Reason
from simulations.clock import VirtualClock
from tests.node.executor.virtual_time import in_virtual_time

FRIEND = cast("Any", SimpleNamespace(member=True, trusted=False))
STRANGER = cast("Any", SimpleNamespace(member=False, trusted=False))
CONFIG = GovernorConfig(disk_mib=1000, disk_free_mib=100, models_mib_day=500)


class Scene:
    """A disk of so much, on which a library of one folder stands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free_mib: int, models_mib: int = 0) -> None:
        self.free_mib, self.models_mib = free_mib, models_mib
        self.may_go_mib = 0
        self.seen: Any = SimpleNamespace(disk_free_mib=free_mib)
        self.results: Any = SimpleNamespace(total_bytes=0)
        self.needed: list[int] = []
        self.posts: list[str] = []
        blobs = SimpleNamespace(total_bytes=lambda: self.models_mib * MIB)
        library: Any = SimpleNamespace(blobs=blobs)
        clock = VirtualClock()
        self.quotas = Quotas(CONFIG, clock.now())
        self.disk = Disk(
            lambda: CONFIG,
            lambda: cast("Sensors | None", self.seen),
            library,
            cast("Results", self.results),
            self.quotas,
            clock,
            self._post,
        )
        monkeypatch.setattr(module, "make_room", self._make_room)

    def _post(self, event: str, /, **_fields: object) -> None:
        self.posts.append(event)

    async def _make_room(self, _library: object, needed: int, _in_use: Collection[bytes]) -> Any:
        await trio.lowlevel.checkpoint()
        self.needed.append(needed)
        if needed > self.may_go_mib * MIB:
            return []
        self.models_mib -= self.may_go_mib
        return [SimpleNamespace(manifest=SimpleNamespace(name="old"))]


@in_virtual_time
async def test_what_was_kept_since_the_last_look_is_not_free_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch, free_mib=400)
    assert scene.disk.may_keep(250 * MIB)[0] is None
    scene.results.total_bytes += 250 * MIB
    assert scene.disk.may_keep(100 * MIB)[0] is Reason.DISK_LOW
    scene.seen = SimpleNamespace(disk_free_mib=400)  # its owner has removed something
    assert scene.disk.may_keep(100 * MIB)[0] is None


@in_virtual_time
async def test_models_that_fill_their_share_do_not_end_the_work_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with at_once():
        scene = Scene(monkeypatch, free_mib=10_000, models_mib=2000)
        assert (await scene.disk.may_fetch(FRIEND, MIB))[0] is Reason.DISK_LOW
        assert scene.disk.may_keep(MIB)[0] is None
        scene.results.total_bytes = 1000 * MIB
        assert scene.disk.may_keep(MIB)[0] is Reason.DISK_LOW


@in_virtual_time
async def test_a_machine_that_was_not_looked_at_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with at_once():
        scene = Scene(monkeypatch, free_mib=400)
        scene.seen = None
        assert scene.disk.may_keep(1)[0] is Reason.PAUSED
        assert (await scene.disk.may_fetch(FRIEND, 1))[0] is Reason.PAUSED
        assert scene.needed == []


@in_virtual_time
async def test_other_models_go_for_one_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_once():
        scene = Scene(monkeypatch, free_mib=10_000, models_mib=900)
        scene.may_go_mib = 150
        assert (await scene.disk.may_fetch(STRANGER, 200 * MIB))[0] is None
        assert scene.needed == [100 * MIB]
        assert scene.posts == ["model_let_go"]
        assert scene.quotas[Kind.MODELS].left(VirtualClock().now()) == 300 * MIB
        assert (await scene.disk.may_fetch(STRANGER, 300 * MIB))[0] is None
        assert scene.needed[1:] == [50 * MIB]


@in_virtual_time
async def test_they_go_for_a_disk_that_is_nearly_full_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_once():
        scene = Scene(monkeypatch, free_mib=150, models_mib=300)
        scene.may_go_mib = 60
        assert (await scene.disk.may_fetch(FRIEND, 100 * MIB))[0] is None
        assert scene.needed == [50 * MIB]


@in_virtual_time
async def test_who_may_not_have_a_model_fetched_lets_nothing_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with at_once():
        scene = Scene(monkeypatch, free_mib=10_000, models_mib=1000)
        scene.may_go_mib = 1000
        assert (await scene.disk.may_fetch(STRANGER, 501 * MIB))[0] is Reason.QUOTA_SPENT
        assert scene.needed == []
        scene.may_go_mib = 10
        assert (await scene.disk.may_fetch(STRANGER, 11 * MIB))[0] is Reason.DISK_LOW
        assert scene.quotas[Kind.MODELS].left(VirtualClock().now()) == 500 * MIB, "nothing came"
