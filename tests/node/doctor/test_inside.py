# SPDX-License-Identifier: MIT
"""What a running node says about itself: governor, tasks, accounts, sandbox, hardware."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.config import Config
from node.doctor import inside
from node.doctor.inside import Inside, look_from_inside
from node.executor.executor import Layer
from node.executor.hardware import Hardware
from node.executor.sandbox.confine import LAYERS
from node.supervised import Health
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.doctor.scenes import FakeMember, only, peer, states
from tests.node.executor.machines import MACHINE, MEASURED


class FakeGround:
    """What the looks read of the ground."""

    def __init__(self) -> None:
        self.config = Config()
        self.refusal: Refused | None = None
        self.ailing: list[Health] = []
        self.may: tuple[Reason | None, str] = (None, "Working.")
        self.supervised = SimpleNamespace(ailing=lambda: self.ailing)
        self.governing = SimpleNamespace(may_work=lambda: self.may, paused_until_s=None)
        self.database = SimpleNamespace(read=lambda _sql: [(0,)])
        self.world = SimpleNamespace(executor=self)

    async def layers(self) -> tuple[Layer, ...]:
        if self.refusal:
            raise self.refusal
        return tuple(Layer(name, True, "") for name in LAYERS)

    async def probe(self) -> Hardware:
        if self.refusal:
            raise self.refusal
        return Hardware(MACHINE, MEASURED)


@pytest.fixture
def ground() -> Any:
    return FakeGround()


async def test_a_node_in_order_passes_in_everything(ground: Any) -> None:
    member: Any = FakeMember(peer(inbound=True), told=("/ip4/192.168.1.2/tcp/1",))
    found = await look_from_inside(ground, member)
    assert set(states(found)) == {"pass"}, found
    assert len({each.name for each in found}) >= 15


async def test_between_two_networks_only_the_machine_is_looked_at(ground: Any) -> None:
    found = await look_from_inside(ground, None)
    assert (found[-1].name, found[-1].state) == ("network", "warn")
    assert "peers" not in {each.name for each in found}


async def test_a_database_that_cannot_be_read_fails_alone(ground: Any) -> None:
    def broken(_sql: str) -> None:
        raise OSError("the disk is gone")

    ground.database.read = broken
    found = {each.name: each for each in await look_from_inside(ground, None)}
    assert found["store"].state == "fail"
    assert "the disk is gone" in found["store"].sentence
    assert found["governor"].state == "pass"


def test_a_governor_that_stands_back_is_a_warning_in_its_words(ground: Any) -> None:
    scene = Inside(ground, None)
    assert only(inside.see_governor(scene)).state == "pass"
    ground.may = (Reason.PAUSED, "Paused: others use 80 %.")
    found = only(inside.see_governor(scene))
    assert (found.state, found.sentence) == ("warn", "Paused: others use 80 %.")
    ground.governing.paused_until_s = 1.0
    assert "commons resume" in only(inside.see_governor(scene)).next_step


def test_a_task_that_crashes_is_a_warning_and_one_that_goes_on_fails(ground: Any) -> None:
    scene = Inside(ground, None)
    assert only(inside.see_tasks(scene)).state == "pass"
    ground.ailing = [Health("view", 1, "KeyError: 'x'"), Health("discovery", 3, "OSError: no")]
    found = inside.see_tasks(scene)
    assert states(found) == ["warn", "fail"]
    assert "`view` has crashed 1 times" in found[0].sentence


def test_accounts_that_stand_still_fail(ground: Any) -> None:
    member: Any = FakeMember()
    assert only(inside.see_accounts(Inside(ground, member))).state == "pass"
    member.accounts.stopped = "no space left on the disk"
    found = only(inside.see_accounts(Inside(ground, member)))
    assert (found.state, "no space left" in found.sentence) == ("fail", True)


def test_a_machine_that_cannot_describe_itself_fails(ground: Any) -> None:
    member: Any = FakeMember()
    assert only(inside.see_description(Inside(ground, member))).state == "pass"
    member.description.trouble = "This machine could not be measured: it hangs."
    assert only(inside.see_description(Inside(ground, member))).state == "fail"


@pytest.mark.parametrize(
    ("reason", "state"), [(Reason.PAUSED, "warn"), (Reason.RUN_FAILED, "fail")]
)
async def test_a_sandbox_that_cannot_be_tried_is_told_with_its_reason(
    ground: Any, reason: Reason, state: str
) -> None:
    ground.refusal = Refused(reason, "it did not start")
    [found] = await inside.see_layers(Inside(ground, None))
    assert (found.state, "it did not start" in found.sentence) == (state, True)
    [found] = await inside.see_hardware(Inside(ground, None))
    assert found.state == "fail"
