# SPDX-License-Identifier: MIT
"""The scenarios that come with the simulator: each file holds one, under the file's own name.

To add one, add a file with an `async` function of its name that takes the world and, with their
defaults, whatever else can be chosen; its docstring is the sentence that `commons sim list` shows.
"""

import inspect
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulations.simulate import Scenario

NAMES = (
    *("flash_crowd", "partition", "one_way", "bootstrap_death", "mass_death", "slow_half"),
    *("day_and_night", "sleeping_laptop", "wrong_clocks", "bad_disks", "old_backup"),
    *("eclipse", "advert_flood", "liars", "hidden_hosts", "swarm"),
)


def scenarios() -> "dict[str, Scenario]":
    """Give all of them by name, as commands have it."""
    return {
        name.replace("_", "-"): getattr(import_module(f"simulations.scenarios.{name}"), name)
        for name in NAMES
    }


def about(scenario: "Scenario") -> str:
    """Give the sentence of a scenario."""
    return (inspect.getdoc(scenario) or "").partition("\n\n")[0].replace("\n", " ")
