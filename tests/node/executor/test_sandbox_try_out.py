# SPDX-License-Identifier: MIT
"""What `doctor` says about the layers was tried, and a layer that does not hold is found out."""

import os
import tempfile
from pathlib import Path

import pytest

from node.executor.executor import Layer
from node.executor.sandbox import filters, identity, landlock, limits, places
from node.executor.sandbox.confine import LAYERS, holds_strangers
from node.executor.sandbox.kernel import prctl
from node.executor.sandbox.syscalls import this_machine
from node.executor.sandbox.try_out import layers_here
from tests.node.executor.forked import (
    STARTS,
    in_a_fork,
    landlock_here,
    namespaces_here,
    skip_without_namespaces,
)

pytestmark = pytest.mark.skipif(
    this_machine() is None or not landlock_here(), reason="strangers are not held here"
)

PR_SET_DUMPABLE = 4
NEED_NAMESPACES = {"namespaces", "threads", "root"}
NAMES = (*LAYERS, "seccomp_run")


def pretend(*_: object, **__: object) -> str:
    """Stand in for a step: it does nothing, and says that it did."""
    return "all is well"


def tried(start: str = "as we are") -> dict[str, Layer]:
    return {layer.name: layer for layer in in_a_fork(layers_here, start=start)}


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_every_layer_holds_on_this_machine(start: str) -> None:
    layers = tried(start)
    assert tuple(layers) == NAMES
    off = {name for name, layer in layers.items() if not layer.on}
    assert off == (set() if namespaces_here() else NEED_NAMESPACES)
    assert holds_strangers(layers.values())


@pytest.mark.slow
def test_trying_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def try_and_look() -> tuple[int, list[Path]]:
        before = set(Path("/proc/self/fd").iterdir())
        layers_here()
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return len(set(Path("/proc/self/fd").iterdir()) - before), list(tmp_path.iterdir())

    assert in_a_fork(try_and_look) == (0, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module", "step"),
    [
        ("descriptors", limits, "keep_open"),
        ("limits", limits, "limit"),
        ("uid", identity, "drop_uid"),
        ("namespaces", places, "enter_namespaces"),
        ("threads", limits, "limit_threads"),
        ("root", places, "enter_root"),
        ("capabilities", identity, "drop_capabilities"),
        ("landlock", landlock, "restrict"),
        ("seccomp_load", filters, "install_load"),
        ("seccomp_run", filters, "install_run"),
    ],
)
def test_a_layer_that_only_says_that_it_holds_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, module: object, step: str
) -> None:
    if os.geteuid() != 0 and name in {"uid", "capabilities"}:
        pytest.skip("who is no administrator has nothing to drop")
    if name in NEED_NAMESPACES:
        skip_without_namespaces()
    monkeypatch.setattr(module, step, pretend)
    layer = tried()[name]
    assert not layer.on
    assert "not refused" in layer.detail


@pytest.mark.slow
def test_memory_that_is_open_to_others_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel hides it by itself when an administrator becomes somebody else: not here."""
    monkeypatch.setattr(identity, "hide_memory", pretend)

    def try_as_a_user() -> tuple[Layer, ...]:
        prctl(PR_SET_DUMPABLE, 1)
        return layers_here()

    layers = {layer.name: layer for layer in in_a_fork(try_as_a_user, start="unprivileged")}
    assert not layers["not_dumpable"].on


@pytest.mark.slow
def test_a_child_that_dies_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "restrict", lambda _: os._exit(1))
    layers = tried()
    assert tuple(layers) == NAMES
    assert {layer.detail for layer in layers.values()} == {"the process that tried it died"}
    assert not any(layer.on for layer in layers.values())
