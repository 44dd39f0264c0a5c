# SPDX-License-Identifier: MIT
"""Hostile models at our gates: what was made of each, and whether the corpus expects that."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from node.executor.executor import Executor, Group, Model
from node.models import policy
from node.models.intake import take_in
from protocol.errors import ProtocolError, Refused
from protocol.reasons import Reason
from tests.hostile.kinds import (
    DEADLINE_S,
    MEMORY_BYTES,
    Hostile,
    Plain,
    Policy,
    Stage,
    leaks,
)

PATIENCE_S = 30.0

# For these the intake may refuse anything, long before it does harm.
_EARLY = {Reason.MODEL_REFUSED, Reason.NOT_PRICEABLE, Reason.TOO_LARGE}

_POLICIES = {Policy.STRANGER: policy.STRANGER, Policy.LOCAL: policy.LOCAL}


@dataclass(frozen=True, slots=True)
class Met:
    """What a gate made of one: a reason and its detail; None when it let it pass, or answered.

    `refused` is false for a failure that is no refusal, which no gate ever raises.
    """

    hostile: Hostile
    reason: Reason | None
    detail: str
    leaked: bool = False
    refused: bool = True

    def complaint(self, expected: frozenset[Reason | None]) -> str:
        """Say what is not expected, empty when all is."""
        name = self.hostile.name
        if self.leaked and Plain.LEAKS not in self.hostile.plain:
            return f"{name}: the secret came out"
        if not self.refused:
            return f"{name}: {self.detail}, which is no refusal"
        if self.reason in expected:
            return ""
        got = f"{self.reason.value}: {self.detail}" if self.reason else f"passed {self.detail}"
        wanted = " or ".join(sorted(reason.value if reason else "pass" for reason in expected))
        return f"{name}: {got}, expected {wanted}"


def build(hostile: Hostile, folder: Path) -> None:
    """Build it where a runner may read it, who may be another user than the owner of models."""
    folder.mkdir(parents=True)
    hostile.build(folder)
    folder.chmod(0o755)


async def met_by_executor(
    executor: Executor, hostile: Hostile, folder: Path, deadline_s: float | None = None
) -> str:
    """Lease a runner for what was built in the folder, as if nobody had prechecked it, and call.

    An answer that says of itself that it is not finite counts as the reason `not_finite`.
    """
    model = Model(
        digest=sha256(hostile.name.encode()).digest(),
        folder=folder,
        interface=hostile.interface,
        memory_bytes=MEMORY_BYTES,
    )
    if deadline_s is None:
        # Who is to end by himself may take his time on a busy machine.
        deadline_s = DEADLINE_S if Reason.DEADLINE in hostile.alone else PATIENCE_S
    group = Group(f"hostile {hostile.name}", trusted=hostile.policy is Policy.LOCAL)
    try:
        async with executor.lease(model, group) as runner:
            outputs = await runner.run(hostile.inputs(), deadline_s=deadline_s, look=True)
    except Refused as refusal:
        return Met(hostile, refusal.reason, refusal.detail).complaint(hostile.alone)
    except ProtocolError as error:
        met = Met(hostile, error.reason, f"{type(error).__name__}: {error}", refused=False)
        return met.complaint(hostile.alone)
    shown = ", ".join(f"{one.element.name}{list(one.dims)}" for one in outputs.tensors[:9])
    not_finite = not outputs.finite and Reason.NOT_FINITE in hostile.reasons
    reason = Reason.NOT_FINITE if not_finite else None
    return Met(hostile, reason, shown, leaks(outputs.tensors)).complaint(hostile.alone)


async def met_by_intake(hostile: Hostile, folder: Path, blobs: Path) -> str:
    """Take in what was built in the folder, under its policy."""
    expected: set[Reason | None] = (
        set(hostile.reasons)
        if hostile.stage is Stage.PRECHECK
        else {
            *_EARLY,
            None,
        }
    )
    if hostile.mended:
        expected.add(None)
    try:
        await take_in(
            folder / "graph.onnx", blobs, policy=_POLICIES[hostile.policy], name="hostile"
        )
    except Refused as refusal:
        met = Met(hostile, refusal.reason, refusal.detail)
    except ProtocolError as error:
        met = Met(hostile, error.reason, f"{type(error).__name__}: {error}", refused=False)
    else:
        met = Met(hostile, None, "the intake")
    return met.complaint(frozenset(expected))
