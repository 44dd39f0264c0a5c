# SPDX-License-Identifier: MIT
"""The executor of this machine and the simulated one keep the same promises."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import repeat
from math import inf
from typing import Any

import pytest
import trio

from node.executor.executor import Group, Model, Runner
from node.executor.leases import Leases
from node.executor.rooms import is_supported
from protocol.errors import CommonsError
from protocol.reasons import Reason
from simulations import made
from simulations.executor import SimulatedExecutor
from simulations.link import SimulatedLink
from tests.node.executor import lease_promises as leases
from tests.node.executor import loss_promises as losses
from tests.node.executor import promises as calls
from tests.node.executor import session_promises as sessions
from tests.node.executor.promise_scenes import (
    GROUP,
    Kept,
    Models,
    RealScene,
    SimulatedScene,
    build,
)
from tests.node.executor.promises import Promise
from tests.node.executor.virtual_time import in_virtual_time

ALL = (*calls.PROMISES, *losses.PROMISES, *sessions.PROMISES, *leases.PROMISES)

# Calls that were joined are answered all at once: in what order is in test_batches.
JOINED = [each for each in ALL if each is not calls.calls_are_answered_in_the_order_they_came]
JOINED_CALLS = [each for each in JOINED if each in (*calls.PROMISES, *losses.PROMISES)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def joined(models: Models) -> Models:
    """The same ones, with calls that are joined wherever that is possible."""
    every: dict[str, Model] = {name: getattr(models, name) for name in models.__slots__}
    return Models(**{name: replace(each, batchable=True) for name, each in every.items()})


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


@pytest.mark.parametrize("promise", ALL)
@in_virtual_time
async def test_the_simulated_executor_keeps_its_promises(promise: Promise, models: Models) -> None:
    await promise(SimulatedScene(models))


@pytest.mark.parametrize("promise", JOINED)
@in_virtual_time
async def test_joined_calls_keep_the_same_promises(promise: Promise, joined: Models) -> None:
    await promise(SimulatedScene(joined))


@pytest.mark.slow
@pytest.mark.skipif(not is_supported(), reason="this system has no sealed memory")
@pytest.mark.parametrize("promise", ALL)
async def test_the_executor_of_this_machine_keeps_its_promises(
    promise: Promise, models: Models, kept: Kept
) -> None:
    await promise(RealScene(models, kept))


@pytest.mark.slow
@pytest.mark.skipif(not is_supported(), reason="this system has no sealed memory")
@pytest.mark.parametrize("promise", JOINED_CALLS)
async def test_joined_calls_on_this_machine_keep_the_same_promises(
    promise: Promise, joined: Models, kept: Kept
) -> None:
    await promise(RealScene(joined, kept))


# --- rigged ones ----------------------------------------------------------------------------------


class OneRunnerForAll(SimulatedExecutor):
    def lease(self, model: Model, _: Group) -> Any:
        return super().lease(model, GROUP)


class KeepsNothingWarm(SimulatedExecutor):
    @asynccontextmanager
    async def lease(self, model: Model, group: Group) -> AsyncIterator[Runner]:
        async with super().lease(model, group) as runner:
            yield runner
        for link in self.links:
            link.die("it was not needed")


class PausesInNameOnly(SimulatedExecutor):
    async def pause(self, _: float) -> None:
        self._leases._closed = Reason.PAUSED


class PausesWithoutGrace(SimulatedExecutor):
    async def pause(self, _: float) -> None:
        await super().pause(0.0)


@asynccontextmanager
async def no_turn(_: SimulatedLink, __: float = inf) -> AsyncIterator[None]:
    """Let everybody in."""
    yield


async def works_on(_: SimulatedLink, __: str, ___: object = None) -> None:
    """End only in name."""


async def one_by_one(made: Leases) -> None:
    """Let others act between two choices."""
    while made.memory_bytes > made._limits.memory_bytes:
        idle = [each for each in made._entries if not each.leases]
        if not idle:
            return
        await made._end(idle[:1], Reason.IDLE, "its memory was needed")


def give(value: object) -> Callable[..., object]:
    """Stand for any function."""
    return lambda *_, **__: value


HERE = "tests.node.executor.promise_scenes.SimulatedExecutor"
LINK, RUNNERS, LEASES = "simulations.link", "node.executor.runners", "node.executor.leases"

# What is broken: where, and what stands there instead; then a promise that no longer holds.
RIGGED: dict[str, tuple[str, object, Promise]] = {
    "groups share": (HERE, OneRunnerForAll, leases.a_runner_serves_one_group),
    "nothing is warm": (HERE, KeepsNothingWarm, leases.a_runner_is_warm_the_second_time),
    "a pause frees nothing": (
        *(HERE, PausesInNameOnly),
        leases.a_paused_executor_takes_nothing_and_holds_nothing,
    ),
    "a pause has no grace": (
        *(HERE, PausesWithoutGrace),
        leases.a_pause_lets_calls_end_within_its_grace,
    ),
    "there is memory for everybody": (
        *(f"{LEASES}.Leases._fits", give(True)),
        leases.memory_is_never_freed_from_whoever_has_leased_it,
    ),
    "memory is freed one by one": (
        *(f"{LEASES}.Leases._make_room", one_by_one),
        leases.whoever_needs_much_frees_as_many_as_it_takes,
    ),
    "adapters are not looked at": (
        *(f"{LEASES}.check_adapter", give(None)),
        leases.an_adapter_that_the_model_has_no_place_for_is_refused,
    ),
    "providers are not looked at": (
        *(f"{LEASES}.CPU", "CUDAExecutionProvider"),
        leases.strangers_get_no_provider_that_cannot_be_confined,
    ),
    "adapters change nothing": (
        *(f"{LINK}.make_outputs", lambda _, *more: made.make_outputs(b"", *more)),
        leases.an_adapter_changes_what_comes_out,
    ),
    "inputs change nothing": (
        f"{LINK}.make_outputs",
        lambda identity, form, inputs, *more: made.make_outputs(
            identity, form, tuple(replace(e, data=bytes(len(e.data))) for e in inputs), *more
        ),
        calls.the_same_inputs_give_the_same_outputs,
    ),
    "inputs are not looked at": (
        *(f"{RUNNERS}._check_forms", give(None)),
        calls.inputs_that_deviate_are_refused_and_the_runner_goes_on,
    ),
    "outputs are not looked at": (
        *(f"{RUNNERS}._check_outputs", give(None)),
        calls.a_model_that_gives_another_shape_than_it_says_is_refused,
    ),
    "nobody looks for NaN": (
        *(f"{LINK}.has_nan", give(False)),
        calls.whoever_looks_finds_what_is_not_finite,
    ),
    "what is lent is never taken back": (
        *(f"{RUNNERS}._PlacedCall.take_back", give(None)),
        calls.a_call_in_place_is_like_any_other,
    ),
    "no time is enough": (
        f"{RUNNERS}._left_s",
        give(1.0),
        calls.a_call_without_any_time_is_not_begun,
    ),
    "nobody takes turns": (
        *(f"{LINK}.SimulatedLink.turn", no_turn),
        calls.calls_are_answered_in_the_order_they_came,
    ),
    "what is cancelled works on": (
        *(f"{LINK}.SimulatedLink.end", works_on),
        losses.a_caller_that_leaves_while_it_computes_takes_its_runner_along,
    ),
    "the dead are handed out": (
        *(f"{LINK}.SimulatedLink.is_gone", False),
        losses.a_runner_that_died_while_nobody_used_it_is_not_handed_out,
    ),
    "state is forgotten": (
        f"{LINK}.SimulatedLink._with_state",
        lambda _, __, given, ___: (*given, sessions.NOTHING),
        sessions.state_is_carried_from_step_to_step,
    ),
    "sessions are one": (
        *(f"{RUNNERS}.count", give(repeat(1))),
        sessions.two_sessions_do_not_mix,
    ),
    "closing closes nothing": (
        *(f"{RUNNERS}.LinkedSession.close", trio.lowlevel.checkpoint),
        sessions.a_closed_session_is_gone,
    ),
}


@pytest.mark.parametrize("what", RIGGED)
def test_an_executor_that_breaks_a_promise_is_noticed(
    what: str, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promise that no executor can break would hold the real one to nothing."""
    where, instead, promise = RIGGED[what]
    in_virtual_time(promise)(SimulatedScene(models))
    monkeypatch.setattr(where, instead)
    with pytest.raises((AssertionError, CommonsError, BaseExceptionGroup, pytest.fail.Exception)):
        in_virtual_time(promise)(SimulatedScene(models))
