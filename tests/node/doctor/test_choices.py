# SPDX-License-Identifier: MIT
"""A config that cannot be read fails; choices that rule each other out are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.doctor import choices
from protocol.keys import peer_id
from tests.node.doctor.scenes import OTHER, PEER, only, paths_at, scene_at, states
from tests.node.executor.machines import MACHINE

A, B = peer_id(PEER), peer_id(OTHER)


def test_what_differs_from_the_defaults_is_told(tmp_path: Path) -> None:
    assert "no key was changed" in only(choices.see_config(scene_at(tmp_path))).sentence
    found = only(choices.see_config(scene_at(tmp_path, "executor.threads=3")))
    assert found.state == "pass"
    assert found.sentence == "Changed: executor.threads = 3."


def test_a_config_that_cannot_be_read_fails_with_every_problem(tmp_path: Path) -> None:
    file = paths_at(tmp_path).config_file
    file.parent.mkdir(parents=True)
    file.write_text("[executor]\nthreads = 0\nrunnerz = 1\n")
    scene = scene_at(tmp_path)
    assert scene.config.executor.threads == 1  # the other looks go on with the defaults
    found = only(choices.see_config(scene))
    assert found.state == "fail"
    assert "executor.threads is 0" in found.sentence
    assert "executor.runnerz" in found.sentence


def test_a_name_that_was_chosen_for_listening_fails(tmp_path: Path) -> None:
    scene = scene_at(tmp_path, "mesh.listen=/dns/a.example/tcp/4001")
    assert only(choices.see_config(scene)).state == "fail"


def test_a_problem_that_ends_in_a_question_keeps_its_mark(tmp_path: Path) -> None:
    file = paths_at(tmp_path).config_file
    file.parent.mkdir(parents=True)
    file.write_text("threads = 1\n")
    found = only(choices.see_config(scene_at(tmp_path)))
    assert found.sentence.endswith("`executor.threads`? The node does not start so.")


def hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> list[str]:
    big = replace(MACHINE, cores_usable=4, memory_mib=16_000, disk_total_mib=100_000)
    monkeypatch.setattr(choices, "look", lambda *_: big)
    found = choices.see_hints(scene_at(tmp_path, *flags))
    assert all(each.next_step for each in found if each.state != "pass")
    return [f"{each.state} {each.sentence}" for each in found]


def test_choices_that_go_together_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = hints(tmp_path, monkeypatch, "governor.hours=22:00-07:00", "executor.threads=2")
    assert found.startswith("pass")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("governor.hours=07:00-07:00",), "fail governor.hours"),
        (("governor.hours=mon 07:00-07:30",), "warn governor.hours allows 30 minutes"),
        (("mesh.listen=none",), "warn mesh.listen is empty"),
        (("mesh.listen=/ip4/127.0.0.1/tcp/0",), "warn mesh.listen has loopback alone"),
        ((f"mesh.deny={A}", f"mesh.trusted={A},{B}"), f"warn {A} is in mesh.deny"),
        (
            (f"mesh.allow={B}", f"mesh.bootstrap=/ip4/192.0.2.1/tcp/1/p2p/{A}"),
            f"warn mesh.allow leaves out {A}",
        ),
        (("mesh.bootstrap=/ip4/192.0.2.1/tcp/1",), "warn mesh.bootstrap has /ip4/192.0.2.1"),
        (("executor.runners=4", "executor.memory_mib=2048"), "warn 4 runners of 1024 MiB"),
        (("executor.runners=2", "executor.threads=3"), "warn 2 runners of 3 threads"),
        (("governor.memory_free_mib=16000",), "fail governor.memory_free_mib"),
        (("governor.disk_free_mib=100000",), "fail governor.disk_free_mib"),
    ],
)
def test_choices_that_rule_each_other_out_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], said: str
) -> None:
    [found] = hints(tmp_path, monkeypatch, *flags)
    assert found.startswith(said)


def test_loopback_with_an_announced_address_is_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("mesh.listen=/ip4/127.0.0.1/tcp/4001", "mesh.announce=/ip4/192.0.2.1/tcp/4001")
    [found] = hints(tmp_path, monkeypatch, *flags)
    assert found.startswith("pass")


def test_the_defaults_pass_on_this_machine(tmp_path: Path) -> None:
    assert "fail" not in states(choices.see_hints(scene_at(tmp_path)))
