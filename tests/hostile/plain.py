# SPDX-License-Identifier: MIT
"""What the hostile models do to ONNX Runtime alone: the facts that the gates answer.

Each runs in a child of its own, with a cap of memory and a deadline, but with no sandbox:
it may read every file that its user may. Nothing here is a test of ours.
"""

import mmap
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import Signals

from tests.conformance.baseline import one_line
from tests.conformance.forked import Ending, in_children
from tests.conformance.inprocess import NotCarried, load, run_tensors
from tests.hostile.kinds import DEADLINE_S, MEMORY_BYTES, Hostile, Plain, leaks


@dataclass(frozen=True, slots=True)
class Seen:
    """What one of them did."""

    hostile: Hostile
    plain: Plain
    cause: str
    took_s: float
    peak_bytes: int

    @property
    def expected(self) -> bool:
        """Whether the corpus says the same."""
        return self.plain in self.hostile.plain


def look(corpus: Iterable[Hostile]) -> Iterator[Seen]:
    """Build each hostile model and see what it does; one at a time, as some want much memory."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as beside:
        for place, hostile in enumerate(corpus):
            folder = Path(beside) / str(place) / "model"
            folder.mkdir(parents=True)
            hostile.build(folder)
            loaded = mmap.mmap(-1, 1)
            work = partial(_work, hostile, folder, loaded)
            (ending,) = in_children(
                [(hostile.name, work)], deadline_s=DEADLINE_S, data_bytes=MEMORY_BYTES
            )
            yield _seen(hostile, ending, loaded=loaded[0] == 1)


def _work(hostile: Hostile, folder: Path, loaded: mmap.mmap) -> dict[str, object]:
    try:
        session = load(str(folder / "graph.onnx"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the model did
        return {"plain": Plain.NOT_LOADED, "cause": _cause(error)}
    loaded[0] = 1
    try:
        outputs = run_tensors(session, hostile.inputs())
    except NotCarried as error:
        return {"plain": Plain.ANSWERS, "cause": f"no tensor: {error}"}
    except Exception as error:  # noqa: BLE001 - as above
        return {"plain": Plain.FAILS, "cause": _cause(error)}
    shown = ", ".join(f"{tensor.element.name}{list(tensor.dims)}" for tensor in outputs)
    return {"plain": Plain.LEAKS if leaks(outputs) else Plain.ANSWERS, "cause": shown}


def _cause(error: Exception) -> str:
    """Leave out what is the same in every message."""
    said = re.sub(r".*(Status Message|Exception during (initialization|loading)): ", "", str(error))
    return f"{type(error).__name__}: {one_line(re.sub(r'Load model from .* failed:', '', said))}"


def _seen(hostile: Hostile, ending: Ending, *, loaded: bool) -> Seen:
    said = ending.said
    cause = str(said.get("cause", ""))
    if ending.hung:
        plain = Plain.HANGS if loaded else Plain.LOAD_HANGS
    elif not said:
        plain = Plain.DIES if loaded else Plain.LOAD_DIES
        cause = Signals(ending.signal).name if ending.signal else "without a word"
    else:
        plain = Plain(str(said["plain"]))
    return Seen(hostile, plain, cause, ending.took_s, ending.peak_bytes)
