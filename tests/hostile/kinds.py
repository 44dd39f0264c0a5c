# SPDX-License-Identifier: MIT
"""What a hostile thing is and which gate must end it. The things themselves are in `corpus`.

A stranger's model passes these gates, and each hostile model names the one that must end it
at the latest::

    precheck   the intake reads graph and files, before any of it is run (node/models)
    load       ONNX Runtime reads it, inside the sandbox (node/executor)
    run        it computes, inside the sandbox, under its deadline and its cap of memory
    output     what came out is compared with the interface, outside
    none       it only looks hostile: the answer comes, in time, and is right

An earlier gate may end it too: the intake refuses whatever it cannot price. A later gate
must hold without the earlier ones: `alone` says what an executor may make of the folder when
nobody prechecked it. **Whatever happens, the bytes of `SECRET` never come
out, and everything else keeps working.**
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import shake_256
from pathlib import Path

from protocol.interface import Interface
from protocol.reasons import Reason
from protocol.tensors import Tensor

#: What the machine's owner has beside the model's folder, and nobody may read.
SECRET = shake_256(b"what nobody may read").digest(4096)

#: The memory that a runner of these models may have. Those that eat memory want more than this,
#: those that must end in another way want less.
MEMORY_BYTES = 1 << 30

#: Long enough for every model that ends by itself, on a machine that is busy.
DEADLINE_S = 5.0


class Stage(StrEnum):
    """The gate that must end it, at the latest."""

    INTAKE = "intake"  # files beside the graph: adapters, tokenizers, chat templates
    PRECHECK = "precheck"
    LOAD = "load"
    RUN = "run"
    OUTPUT = "output"
    NONE = "none"


class Policy(StrEnum):
    """Whose work it is: the owner's own work may loop and need not be priced."""

    STRANGER = "stranger"
    LOCAL = "local"


class Plain(StrEnum):
    """What ONNX Runtime does when nothing is around it."""

    NOT_LOADED = "is not loaded"
    LOAD_HANGS = "hangs at load"
    LOAD_DIES = "dies at load"
    FAILS = "fails"
    HANGS = "hangs"
    DIES = "dies"
    ANSWERS = "answers"
    LEAKS = "gives out the secret"


def no_inputs() -> tuple[Tensor, ...]:
    """Give the inputs of a model that has none."""
    return ()


@dataclass(frozen=True, slots=True)
class Hostile:
    """One way to harm a machine that runs other people's models.

    `build` writes into a fresh folder, and what the machine's owner has beside it. `reasons`
    are those that the gate `stage` may give; `plain` is what was seen without any gate.
    `interface` is set where the executor must be told a lie about the model to be tried.
    `alone` has None in it where the executor may also answer. What is `mended` loses its harm
    when the intake brings it into its normal form, so that the intake may take it.
    """

    name: str
    story: str
    build: Callable[[Path], None]
    stage: Stage
    reasons: frozenset[Reason]
    plain: frozenset[Plain]
    alone: frozenset[Reason | None]
    inputs: Callable[[], tuple[Tensor, ...]] = no_inputs
    policy: Policy = Policy.STRANGER
    interface: Interface | None = None
    mended: bool = False


def leaks(outputs: Iterable[Tensor]) -> bool:
    """Tell whether any part of the secret came out."""
    parts = [SECRET[at : at + 16] for at in range(0, len(SECRET), 16)]
    return any(part in bytes(tensor.data) for tensor in outputs for part in parts)
