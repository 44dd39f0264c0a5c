# SPDX-License-Identifier: MIT
"""One function for each gate, so that a hostile model is written down as what must end it."""

from collections.abc import Callable, Iterable
from pathlib import Path

from protocol.reasons import Reason
from protocol.tensors import Tensor
from tests.hostile.kinds import Hostile, Plain, Policy, Stage, no_inputs

Build = Callable[[Path], None]
Inputs = Callable[[], tuple[Tensor, ...]]

REFUSED = frozenset({Reason.MODEL_REFUSED})
UNPRICED = frozenset({Reason.MODEL_REFUSED, Reason.NOT_PRICEABLE})
LATE = frozenset({Reason.DEADLINE})
BIG = frozenset({Reason.OVER_MEMORY})
BIG_AT_LOAD = frozenset({Reason.MODEL_REFUSED, Reason.OVER_MEMORY})
FAILED = frozenset({Reason.RUN_FAILED})
ANSWERS: frozenset[Reason | None] = frozenset({None})


def at_precheck(
    name: str,
    story: str,
    build: Build,
    plain: Plain | tuple[Plain, ...],
    alone: Iterable[Reason | None],
    *,
    inputs: Inputs = no_inputs,
    reasons: frozenset[Reason] = REFUSED,
    mended: bool = False,
) -> Hostile:
    """The intake sees it, and a stranger's model goes no further."""
    return Hostile(
        name,
        story,
        build,
        Stage.PRECHECK,
        reasons,
        _plain(plain),
        frozenset(alone),
        inputs,
        mended=mended,
    )


def at_load(
    name: str,
    story: str,
    build: Build,
    plain: Plain | tuple[Plain, ...],
    *,
    inputs: Inputs = no_inputs,
    reasons: frozenset[Reason] = REFUSED,
    policy: Policy = Policy.STRANGER,
) -> Hostile:
    """It looks like a model until it is read, or does its harm while it is."""
    alone = frozenset[Reason | None](reasons)
    return Hostile(name, story, build, Stage.LOAD, reasons, _plain(plain), alone, inputs, policy)


def at_run(
    name: str,
    story: str,
    build: Build,
    plain: Plain | tuple[Plain, ...],
    reasons: frozenset[Reason],
    *,
    inputs: Inputs = no_inputs,
    policy: Policy = Policy.STRANGER,
) -> Hostile:
    """It loads like any other model, and does its harm when it is run."""
    alone = frozenset[Reason | None](reasons)
    return Hostile(name, story, build, Stage.RUN, reasons, _plain(plain), alone, inputs, policy)


def at_intake(name: str, story: str, build: Build, *others: Reason) -> Hostile:
    """It is in a file beside the graph, which ONNX Runtime never sees."""
    reasons = REFUSED | frozenset(others)
    return Hostile(name, story, build, Stage.INTAKE, reasons, frozenset(), ANSWERS)


def harmless(
    name: str,
    story: str,
    build: Build,
    *,
    inputs: Inputs = no_inputs,
) -> Hostile:
    """It looks hostile and is not: it answers like any other. Its price may be another matter."""
    plain = frozenset({Plain.ANSWERS})
    return Hostile(
        name, story, build, Stage.NONE, frozenset(), plain, ANSWERS, inputs, Policy.LOCAL
    )


def _plain(plain: Plain | tuple[Plain, ...]) -> frozenset[Plain]:
    return frozenset(plain if isinstance(plain, tuple) else (plain,))
