# SPDX-License-Identifier: MIT
"""The scenarios that come with the simulator: small ones with few seeds, full ones in a soak.

What a scenario itself demands fails the run; here are the figures that it must also keep.
"""

from dataclasses import dataclass, field

import pytest

from simulations.bounds import Bounds
from simulations.record import Record
from simulations.scenarios import about, scenarios
from simulations.simulate import Option, simulate

#: What a line of `commons sim list` has room for.
SENTENCE_MAX = 100

#: A full scenario may take so long on a busy machine, and live for some days.
SOAK_BOUNDS = Bounds(virtual_s=400_000.0, wall_s=3600.0)
SOAK_SEEDS = 20


@dataclass(frozen=True)
class Small:
    """A scenario as it is run all the time, and the most and least that its figures may be."""

    options: dict[str, Option]
    most: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)
    seeds: int = 1


SMALL = {
    "flash-crowd": Small({"nodes": 8}, {"settled_s": 30}, seeds=2),
    "partition": Small({"nodes": 6, "cut_s": 120.0}, {"healed_s": 180}, seeds=3),
    "one-way": Small({"nodes": 6, "cut_s": 120.0}, {"healed_s": 120}, seeds=3),
    "bootstrap-death": Small({"nodes": 6, "away_s": 120.0}, {"settled_s": 60}, seeds=2),
    "mass-death": Small({"nodes": 6}, {"noticed_s": 60, "settled_s": 60}, {"noticed_s": 10}),
    "slow-half": Small({"nodes": 6}, {"settled_s": 60}, seeds=3),
    "day-and-night": Small({"nodes": 5, "hours": 1.0}, {"settled_s": 300}),
    "sleeping-laptop": Small(
        {"nodes": 3}, {f"back_after_nap_{number}_s": 30 for number in (1, 2, 3)}
    ),
    "wrong-clocks": Small({"nodes": 7, "hours": 0.2}, {"together_s": 600, "settled_s": 1900}),
    "bad-disks": Small({"nodes": 5, "hours": 0.1}, {"settled_s": 60}, seeds=2),
    "old-backup": Small({"nodes": 5, "age_s": 300.0}, {"settled_s": 60}, seeds=2),
    "eclipse": Small(
        {"nodes": 6, "rings": 1, "keys": 8, "minutes": 3.0},
        {"settled_s": 600},
        {"newcomer_knows_honest": 3, "colluders_met": 20},
    ),
    "advert-flood": Small(
        {"nodes": 5, "keys": 100, "minutes": 2.0},
        {"settled_s": 60},
        {"summaries_of_the_crowd": 100},
    ),
    "liars": Small({"nodes": 5, "minutes": 1.0}, {"settled_s": 600}, {"garbage_did": 50}),
    "hidden-hosts": Small({"nodes": 7}, {"settled_s": 60}, seeds=3),
    "swarm": Small({"nodes": 6, "minutes": 6.0}, {"settled_s": 7200}, seeds=3),
}


def test_each_scenario_is_run_here_and_has_one_sentence() -> None:
    found = scenarios()
    assert set(SMALL) == set(found)
    for name, each in found.items():
        sentence = about(each)
        assert sentence.endswith("."), name
        assert len(sentence) <= SENTENCE_MAX, name
        assert sentence == (each.__doc__ or "").splitlines()[0], name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"),
    [
        pytest.param(name, seed, marks=pytest.mark.soak if seed else ())
        for name, each in SMALL.items()
        for seed in range(each.seeds)
    ],
)
def test_a_small_world_comes_through(name: str, seed: int) -> None:
    small = SMALL[name]
    record = simulate(scenarios()[name], seed=seed, options=small.options)
    assert record.is_well, f"{record.error}\n{record.replay}"
    for figure, most in small.most.items():
        assert record.figures[figure] <= most, f"{figure}\n{record.replay}"
    for figure, least in small.least.items():
        assert record.figures[figure] >= least, f"{figure}\n{record.replay}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SOAK_SEEDS))
@pytest.mark.parametrize("name", SMALL)
def test_a_world_of_full_size_comes_through(name: str, seed: int) -> None:
    record: Record = simulate(scenarios()[name], seed=seed, bounds=SOAK_BOUNDS)
    assert record.is_well, f"{record.error}\n{record.replay}"
    assert min(record.figures.values(), default=0.0) >= 0
    assert record.samples[-1].at_s == record.virtual_s
