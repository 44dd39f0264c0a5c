# SPDX-License-Identifier: MIT
"""A running node for tests of commands: a real socket, real HTTP, and no node behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from node.api.control import control_app
from node.log import Log
from tests.node.api.nodes import FakeNode
from tests.node.api.serving import served_aside, short_folder


@contextmanager
def running(node: FakeNode, patch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    """Serve for this node at the place where commands look, inside the block."""
    with (
        home(patch) as path,
        served_aside(control_app(node, Log()), f"{path}/runtime/control.sock"),
    ):
        yield node


@contextmanager
def home(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """A home of its own, where nothing runs."""
    with short_folder() as folder:
        patch.setenv("COMMONS_HOME", str(folder))
        yield str(folder)
