# SPDX-License-Identifier: MIT
"""What a missing layer means, and which figures of a machine are not believed."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.doctor import layers, outside, strength
from node.executor import machine
from node.executor.executor import Layer
from node.executor.hardware import Hardware
from node.executor.measured import key_of, remember
from node.executor.pool import Pool
from node.executor.providers import CPU, CUDA
from node.executor.sandbox.confine import LAYERS, RUN, STRANGERS_NEED
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.doctor.scenes import only, scene_at, states
from tests.node.executor.machines import MACHINE, MEASURED

ALL = tuple(Layer(name, True, "it holds") for name in (*LAYERS, RUN))


def without(*names: str) -> tuple[Layer, ...]:
    return tuple(
        Layer(each.name, False, "Operation not permitted.") if each.name in names else each
        for each in ALL
    )


def test_layers_that_all_hold_are_one_line_with_their_names() -> None:
    found = only(layers.judged(ALL))
    assert (found.name, found.state) == ("sandbox", "pass")
    assert all(each.name in found.sentence for each in ALL)


@pytest.mark.parametrize("name", sorted({*STRANGERS_NEED, RUN}))
def test_without_a_layer_that_strangers_need_their_work_is_refused(name: str) -> None:
    first, second = layers.judged(without(name))
    assert (first.name, first.state) == ("sandbox", "fail")
    assert "work of strangers is refused" in first.sentence
    assert (second.name, second.state) == (f"sandbox {name}", "fail")
    assert "Operation not permitted" in second.sentence
    assert second.next_step


@pytest.mark.parametrize("name", sorted({*LAYERS} - STRANGERS_NEED))
def test_without_another_layer_work_goes_on_with_a_warning(name: str) -> None:
    found = layers.judged(without(name))
    assert states(found) == ["pass", "warn"]
    assert "13 of 14" in found[0].sentence


def test_when_no_layer_was_tried_nothing_is_promised() -> None:
    assert only(layers.judged(())).state == "fail"


def test_plausible_figures_pass() -> None:
    found = strength.judged(Hardware(MACHINE, MEASURED))
    assert states(found) == ["pass", "pass"]
    assert "100,000 Mflop/s" in found[0].sentence


@pytest.mark.parametrize(
    "figures", [{"fp32_mflops": 3}, {"fp32_mflops": 90_000_000}, {"memory_mbps": 0}]
)
def test_figures_that_no_machine_has_fail(figures: dict[str, int]) -> None:
    measured = replace(MEASURED, **figures)  # type: ignore[arg-type]  # its fields by name
    assert strength.judged(Hardware(MACHINE, measured))[0].state == "fail"


def test_doubts_are_warnings() -> None:
    found = strength.judged(Hardware(MACHINE, replace(MEASURED, on_core_percent=20)))
    assert states(found) == ["pass", "warn", "pass"]
    assert "busy" in found[1].sentence


def test_a_provider_that_is_not_offered_is_warned_of() -> None:
    found = strength.judged(Hardware(MACHINE, MEASURED), ("cuda",))[-1]
    assert (found.name, found.state) == ("providers", "warn")
    offered = Hardware(MACHINE, replace(MEASURED, providers=(CUDA, CPU)))
    assert strength.judged(offered, ("cuda",))[-1].state == "pass"


def test_hardware_that_was_not_measured_is_not_measured_by_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "look", lambda *_: MACHINE)
    scene = scene_at(tmp_path)
    [found] = outside.see_hardware(scene)
    assert (found.state, found.next_step) == ("pass", "`commons hardware` does it now.")
    assert list(tmp_path.iterdir()) == []
    remember(scene.paths.cache, key_of(MACHINE), MEASURED)
    assert "100,000 Mflop/s" in outside.see_hardware(scene)[0].sentence
    assert outside.see_hardware(scene_at(tmp_path, told={})) == []


async def test_a_machine_that_starts_no_runner_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: object) -> None:
        raise Refused(Reason.RUN_FAILED, "the zygote left with status 1")

    monkeypatch.setattr(Pool, "layers", refuse)
    [found] = await outside.see_layers(scene_at(tmp_path))
    assert (found.state, "the zygote left with status 1" in found.sentence) == ("fail", True)
    assert await outside.see_layers(scene_at(tmp_path, told={})) == []
