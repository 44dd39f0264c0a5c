# SPDX-License-Identifier: MIT
"""The program that runs JavaScript, for all tests of this folder."""

import pytest

from tests.interop.javascript import found_node


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs JavaScript, with what it needs installed; in CI there must be one."""
    return found_node()
