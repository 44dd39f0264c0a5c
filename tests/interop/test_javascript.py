# SPDX-License-Identifier: MIT
"""A reader in JavaScript takes and refuses the same bytes, for the same reasons."""

import json
import re

import pytest

from tests.interop.javascript import LOCK, run


@pytest.mark.slow
def test_a_reader_in_javascript_agrees_on_every_vector(node: str) -> None:
    printed = run(node, "check.mjs")
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", printed)


def test_the_lock_file_names_hashes_and_no_host() -> None:
    packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]
    own = packages.pop("")
    assert {f"node_modules/{name}" for name in own["dependencies"]} <= set(packages)
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        del package["integrity"]
        package.pop("funding", None)  # where its writers may be thanked; nothing is fetched there
        assert "://" not in json.dumps(package), name
