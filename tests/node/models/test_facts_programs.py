# SPDX-License-Identifier: MIT
"""Random graphs that compute with shapes: what is derived is what ONNX Runtime does."""

from collections import Counter
from random import Random

import pytest

from node.models.facts.derive import derive
from protocol.errors import Refused, RemoteProtocolError
from tests.node.models.facts_world import disagreements
from tests.node.models.shape_programs import SYMBOLS, Program


def tried(seed: int) -> list[str]:
    """Grow a program, run it at several sizes, and say what became of each."""
    dice = Random(seed)
    program = Program(dice)
    program.grow(dice.choice((3, 5, 8, 12)))
    if not program.nodes:
        return ["empty"]
    model = program.model()
    try:
        derive(model)
    except Refused:
        return ["refused"]
    outcomes = []
    for attempt in range(4):
        drawn = {name: dice.randint(0, 9) for name in SYMBOLS}
        feeds = program.feeds(drawn if attempt else program.sizes)
        try:
            wrong = disagreements(model, feeds)
        except RemoteProtocolError:
            outcomes.append("the interface takes no such item")
            continue
        except Exception as error:  # noqa: BLE001 - ONNX Runtime says no in many classes
            assert "ONNXRuntime" in str(error), f"seed {seed}"
            outcomes.append("it fails in the run")
            continue
        assert wrong == [], f"seed {seed}, sizes {drawn}"
        outcomes.append("agrees")
    return outcomes


@pytest.mark.slow
def test_what_is_said_of_random_programs_is_what_they_do() -> None:
    counted = Counter(outcome for seed in range(40) for outcome in tried(seed))
    assert counted["agrees"] > 80, counted


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 2200, 100))
def test_what_is_said_of_many_more_random_programs_is_what_they_do(first: int) -> None:
    counted = Counter(outcome for seed in range(first, first + 100) for outcome in tried(seed))
    assert counted["agrees"] > 150, counted
