# SPDX-License-Identifier: MIT
"""The demo with real nodes shows what is true, and the README shows the demo."""

import subprocess
import sys

import pytest

from tests.tree import ROOT
from tools.demo import lines_of


@pytest.mark.slow
def test_the_readme_shows_what_three_real_nodes_do() -> None:
    """But for numbers, which differ from run to run: `make demo`, and paste it there."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- live:begin -->")[1].split("<!-- live:end -->")[0]
    wanted = shown.strip().removeprefix("```text").removesuffix("```").strip()
    assert lines_of(done.stdout.strip()) == lines_of(wanted)
