# SPDX-License-Identifier: MIT
"""`python -m tests.conformance`: what ONNX Runtime can do itself, and what is left of it sandboxed.

`--through` gives the executor every case that passes in-process, and fails when one of them
gets worse. A case whose inputs or outputs are no tensors may be refused.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import trio

from node.executor.pool import Pool, PoolLimits
from tests.conformance.baseline import Judged, judge_in_process, judge_slice, write
from tests.conformance.inprocess import VERSION
from tests.conformance.suite import Case, all_cases
from tests.conformance.through import regressions, run_cases

LIMITS = PoolLimits(runners=2)


def main() -> int:
    """Judge the suite, the slice or a part of either, and print how often each verdict fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--baseline", type=Path, metavar="OUT.jsonl", help="write each verdict")
    parser.add_argument("--through", action="store_true", help="then through the executor too")
    parser.add_argument("--only", default="", metavar="PATTERN", help="cases whose names have it")
    parser.add_argument("--slice", action="store_true", help="a small part that stands for all")
    words = parser.parse_args()
    baseline = []
    judging = _judge(words.only, small=words.slice)
    for judged in write(words.baseline, judging) if words.baseline else judging:
        baseline.append(judged)
        if words.only and judged.verdict != "pass":
            _say(f"{judged.verdict:5}  {judged.name}: {judged.cause}")
    _say(f"onnxruntime {VERSION}, in-process: {_counted(baseline)}")
    return _go_through(baseline) if words.through else 0


def _judge(pattern: str, *, small: bool) -> Iterator[Judged]:
    if small:
        return judge_slice()
    return judge_in_process(all_cases(pattern=pattern))


def _go_through(baseline: list[Judged]) -> int:
    passing = {judged.name for judged in baseline if judged.verdict == "pass"}
    through = trio.run(_through_the_pool, [case for case in all_cases() if case.name in passing])
    for judged in through:
        if judged.verdict == "refused":
            _say(f"refused  {judged.name}: {judged.cause}")
    worse = regressions(baseline, through)
    for name, cause in worse.items():
        _say(f"worse  {name}: {cause}")
    _say(f"through the executor: {_counted(through)}; {len(worse)} got worse")
    return 1 if worse else 0


async def _through_the_pool(cases: list[Case]) -> list[Judged]:
    pool = Pool(LIMITS)
    async with pool.open():
        return await run_cases(pool, cases)


def _counted(verdicts: list[Judged]) -> str:
    counts = Counter(judged.verdict for judged in verdicts)
    by_verdict = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{counts.total()} run, {by_verdict}"


def _say(line: str) -> None:
    print(line)  # noqa: T201 - this program talks to the person who runs it


if __name__ == "__main__":
    sys.exit(main())
