# SPDX-License-Identifier: MIT
"""What ONNX Runtime makes of the suite in-process: the measure for everything around it.

Nothing of it is stored: it is made on the spot, with the ONNX Runtime that is installed.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from signal import Signals
from typing import Literal

from tests.conformance.forked import Ending, in_children
from tests.conformance.inprocess import load, run_values
from tests.conformance.judge import difference
from tests.conformance.slice import candidates, cover, traits
from tests.conformance.suite import Case

Verdict = Literal["pass", "skip", "fail", "error", "refused"]

# The slowest case takes two seconds on an idle machine.
_DEADLINE_S = 60

# A fork costs as much as twenty small cases.
_PER_CHILD = 30

# Tried so often in vain, a trait is taken for one that ONNX Runtime cannot show.
_COVERS_MAX = 8

# How ONNX Runtime says that it never learned something; what else it says is an error.
_UNLEARNED = (
    "NOT_IMPLEMENTED",
    "Unsupported model IR version",
    "ONNX Runtime only *guarantees* support for models stamped with official",
    "is not a registered function/op",
    "layout_ == 0 was false",
    "is not supported now",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A case and its verdict; `tensors_only`: no sequence, map or optional goes in or out.

    `refused` comes only from an executor, which may refuse what is not tensors only.
    """

    name: str
    kind: str
    tensors_only: bool
    verdict: Verdict
    cause: str = ""


def judge_in_process(cases: Iterable[Case]) -> Iterator[Judged]:
    """Run the cases in children, a few dozen in each; verdicts come as they fall."""
    known = {case.name: case for case in cases}
    works = ((case.name, partial(_work, case)) for case in known.values())
    for ending in in_children(works, deadline_s=_DEADLINE_S, per_child=_PER_CHILD):
        yield _judged(known[ending.name], ending)


def judge_slice() -> Iterator[Judged]:
    """Choose the slice, running it; what does not pass is judged too, and shows no traits."""
    left = {case.name: case for case in candidates()}
    shown: set[str] = set()
    for _ in range(_COVERS_MAX):
        chosen = cover(left.values(), shown)
        for judged in judge_in_process(chosen):
            case = left.pop(judged.name)
            if judged.verdict == "pass":
                shown.update(traits(case))
            yield judged


def write(path: Path, verdicts: Iterable[Judged]) -> Iterator[Judged]:
    """Write verdicts down, one to a line, and hand them on."""
    with path.open("w", encoding="utf-8") as lines:
        for judged in verdicts:
            lines.write(json.dumps(asdict(judged)) + "\n")
            yield judged


def read(path: Path) -> tuple[Judged, ...]:
    """Read what :func:`write` wrote."""
    with path.open(encoding="utf-8") as lines:
        return tuple(Judged(**json.loads(line)) for line in lines)


def _work(case: Case) -> dict[str, object]:
    """Run a case and say its verdict; in a child, whose last words these may be."""
    try:
        session = load(case.model.SerializeToString())
        for gone_in, want in case.data_sets:
            got = run_values(session, case.input_names, gone_in)
            if found := difference(got, want, case.rtol, case.atol):
                return {"verdict": "fail", "cause": found}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this case's verdict
        unlearned = any(phrase in str(error) for phrase in _UNLEARNED)
        cause = f"{type(error).__name__}: {one_line(str(error))}"
        return {"verdict": "skip" if unlearned else "error", "cause": cause}
    return {"verdict": "pass", "cause": ""}


def _judged(case: Case, ending: Ending) -> Judged:
    said = ending.said
    if ending.hung:
        said = {"verdict": "error", "cause": f"hangs for {_DEADLINE_S} s"}
    elif ending.signal:
        said = {"verdict": "error", "cause": f"died of {Signals(ending.signal).name}"}
    elif not said:
        said = {"verdict": "error", "cause": "ended without a word"}
    return Judged(case.name, case.kind, case.tensors_only, **said)  # type: ignore[arg-type]  # own JSON


def one_line(text: str) -> str:
    """Put what a library said on one line, without the paths of its build."""
    words = text.replace("[ONNXRuntimeError] : ", "").split()
    return " ".join(word for word in words if not word.startswith("/onnxruntime_src"))[:300]
