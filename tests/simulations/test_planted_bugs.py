# SPDX-License-Identifier: MIT
"""What the simulator is for: a bug in the node is seen by a scenario, with one of its first seeds.

Each bug of `planted.py` is planted in turn. A bug counts as seen when a check says what is wrong;
that a run breaks down is not enough. The table is also in docs/design/simulation.md.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from simulations.again import NotTheSameError, check_twice
from simulations.bounds import Bounds
from simulations.record import Record
from simulations.scenarios import scenarios
from simulations.simulate import Option, simulate
from tests.simulations import planted
from tests.simulations.planted import Plant
from tests.tree import ROOT

#: Those that `commons sim` and the plugin of pytest take when nobody says otherwise.
SEEDS = range(3)

#: As small as the bugs bear it: these tests run all the time. Larger is not better here: who has
#: all its neighbours among the living has no reason to dial the dead.
SMALL: Mapping[str, Mapping[str, Option]] = {
    "advert-flood": {"nodes": 3, "keys": 130, "minutes": 0.5},
    "bootstrap-death": {"nodes": 5, "away_s": 60.0},
    "flash-crowd": {"nodes": 6},
    "mass-death": {"nodes": 3, "dead": 0.5},
    "old-backup": {"nodes": 3, "age_s": 500.0},
    "one-way": {"nodes": 6, "cut_s": 120.0},
    "partition": {"nodes": 4, "cut_s": 60.0},
    "sleeping-laptop": {"nodes": 4, "naps": 1},
}


@dataclass(frozen=True)
class Bug:
    """A planted bug: the scenario that fits, and what says so."""

    plant: Plant
    scenario: str
    said: str


BUGS = (
    # a lost timeout
    Bug(planted.ping_without_deadline, "sleeping-laptop", "nobody believes in the gone"),
    Bug(planted.only_the_dialler_pings, "one-way", "nobody believes in the gone"),
    # a missing dedupe
    Bug(planted.both_links_are_kept, "partition", "one link each"),
    Bug(planted.what_is_known_is_asked_for_again, "old-backup", "quiet is quiet"),
    # a leak of stale adverts
    Bug(planted.adverts_never_expire, "mass-death", "gone are forgotten"),
    # a wrong retry
    Bug(planted.no_back_off, "mass-death", "dials back off"),
    Bug(planted.no_second_try, "partition", "nobody is alone.*not within 1800 s"),
    # what others send has no bound
    Bug(planted.one_teller_fills_the_directory, "advert-flood", "bounds hold: .* of one source"),
    # a lost wake-up
    Bug(planted.the_tick_sleeps_on, "flash-crowd", "everybody knows everybody.*not within"),
    Bug(planted.nobody_hears_of_a_link, "flash-crowd", "everybody knows everybody.*not within"),
    # a memory that is none
    Bug(planted.the_cache_is_not_saved, "bootstrap-death", "nobody is alone.*not within 900 s"),
)

EACH_BUG = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
EACH_CHANCE = pytest.mark.parametrize(
    "plant",
    [planted.a_set_decides, pytest.param(planted.the_wall_decides, marks=pytest.mark.soak)],
)


def run(name: str, seed: int, options: Mapping[str, Option]) -> Record:
    # The bound on the wall is for a bug that hangs; on a busy machine it is far away.
    bounds = Bounds(virtual_s=40_000, wall_s=600)
    return simulate(scenarios()[name], seed=seed, options=options, bounds=bounds)


def seen(bug: Bug, options: Mapping[str, Option]) -> list[str]:
    """Plant a bug; give what the default seeds say, up to the first that sees it."""
    said: list[str] = []
    for seed in SEEDS:
        with pytest.MonkeyPatch.context() as patch:
            bug.plant(patch)
            record = run(bug.scenario, seed, options)
        said.append(record.error)
        if re.search(bug.said, record.error):
            assert not record.is_well
            break
    return said


@pytest.mark.parametrize("name", SMALL)
def test_without_a_bug_the_default_seeds_are_well(name: str) -> None:
    for seed in SEEDS:
        record = run(name, seed, SMALL[name])
        assert record.is_well, f"{record.replay}: {record.error}"


@EACH_BUG
def test_a_planted_bug_is_seen_by_a_default_seed(bug: Bug) -> None:
    said = seen(bug, SMALL[bug.scenario])
    assert re.search(bug.said, said[-1]), said


@EACH_CHANCE
def test_what_does_not_follow_from_the_seed_is_found_by_running_twice(plant: Plant) -> None:
    options = json.dumps(SMALL["partition"])
    words = ["-m", "tests.simulations.planted", plant.__name__, "partition", options]
    with pytest.raises(NotTheSameError, match="two runs differ first in row"):
        check_twice(words, "--trace", plant.__name__, ROOT)


@pytest.mark.soak
@pytest.mark.parametrize("name", SMALL)
def test_without_a_bug_no_other_seed_is_accused(name: str) -> None:
    for seed in range(SEEDS.stop, 20):
        record = run(name, seed, SMALL[name])
        assert record.is_well, f"{record.replay}: {record.error}"
