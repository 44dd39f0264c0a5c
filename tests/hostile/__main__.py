# SPDX-License-Identifier: MIT
"""`python -m tests.hostile [PATTERN]`: the table of what ONNX Runtime does with each of them.

It fails when one of them does something that the corpus does not say: then ONNX Runtime has
changed, or the machine is too small for the comparison.
"""

import argparse
import re
import sys
from collections import Counter

from tests.conformance.inprocess import VERSION
from tests.hostile.corpus import MODELS
from tests.hostile.kinds import DEADLINE_S, MEMORY_BYTES, Plain
from tests.hostile.plain import look


def main() -> int:
    """Print a line for each hostile model whose name has the pattern."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="those whose names have it")
    parser.add_argument("--quick", action="store_true", help="leave out those that hang")
    words = parser.parse_args()
    chosen = [hostile for hostile in MODELS if re.search(words.pattern, hostile.name)]
    if words.quick:
        chosen = [one for one in chosen if not one.plain & {Plain.HANGS, Plain.LOAD_HANGS}]
    _say(
        f"onnxruntime {VERSION} alone, with {MEMORY_BYTES >> 20} MiB and {DEADLINE_S:g} s; "
        "! marks what the corpus does not say"
    )
    counts: Counter[str] = Counter()
    wrong = 0
    for seen in look(chosen):
        counts[seen.plain] += 1
        wrong += not seen.expected
        mark = " " if seen.expected else "!"
        gate = f"{seen.hostile.policy:8} {seen.hostile.stage:8}"
        cost = f"{seen.took_s:5.2f} s {seen.peak_bytes >> 20:5} MiB"
        cause = f": {seen.cause[:100]}" if seen.cause else ""
        _say(f"{mark} {seen.hostile.name:34} {gate} {cost}  {seen.plain}{cause}")
    _say(", ".join(f"{count} {plain}" for plain, count in counts.most_common()))
    return 1 if wrong else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this program talks to the person who runs it


if __name__ == "__main__":
    sys.exit(main())
