# SPDX-License-Identifier: MIT
"""However a child ends, it is told apart; in a process of its own, which may fork."""

import json
import subprocess
import sys

import pytest

from tests.tree import ROOT

PROGRAM = """
import ctypes, json, sys, time
from tests.conformance.forked import in_children
from dataclasses import asdict

def says(): return {"said": "x" * 200_000}
def fails(): raise ValueError
def crashes(): ctypes.string_at(0)
def hangs(): time.sleep(600)
def grows(): bytearray(1 << 30); return {"said": "it fits"}

works = [(work.__name__, work) for work in (says, fails, crashes, hangs, grows)]
for ending in in_children(works, deadline_s=1, data_bytes=1 << 29, per_child=int(sys.argv[1])):
    print(json.dumps(asdict(ending)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("per_child", [1, 2, 5])
def test_each_way_to_end_is_told_apart(per_child: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(per_child)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    endings = {one["name"]: one for one in heard}
    assert len(heard) == len(endings) == 5
    assert endings["says"]["said"] == {"said": "x" * 200_000}
    assert endings["crashes"]["signal"] == 11
    assert endings["hangs"]["hung"]
    assert [endings["fails"]["said"], endings["grows"]["said"]] == [{}, {}]
    assert {name for name, one in endings.items() if one["signal"] or one["hung"]} == {
        "crashes",
        "hangs",
    }
