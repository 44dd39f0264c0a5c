# SPDX-License-Identifier: MIT
"""A runner that is a program of its own: the way of providers that cannot be forked.

No GPU is at hand, so the processor's provider goes that way here.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.executor.link import Link
from node.executor.task import Task
from node.executor.wire import Op
from node.executor.zygote import Zygote
from protocol.tensors import ElementType, Tensor
from tests.benchmarks.models import add_one

pytestmark = pytest.mark.slow

ONE = Tensor(ElementType.FLOAT, (2,), bytes(8))
START_S = 60.0


@contextmanager
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs:
        yield ours, theirs


async def program(zygote: Zygote, folder: Path) -> Link:
    """Start a runner as a new program, and wait until its model is loaded."""
    model = add_one(folder / "model")
    task = Task(str(model.folder), 1 << 30, ("x",), ("y",), forked=False, contained=False)
    with ends() as (ours, theirs):
        child = await zygote.fork(task.document(), theirs)
    link = Link(child, ours)
    await link.ready(START_S)
    return link


async def test_a_program_answers_like_a_fork_and_puts_on_no_layers(tmp_path: Path) -> None:
    zygote = Zygote(nice=0)
    async with zygote.held():
        link = await program(zygote, tmp_path)
        async with link.turn():
            answer = await link.call(Op.RUN, [ONE], deadline_s=START_S)
        assert bytes(answer.tensors[0].data) == b"\0\0\x80\x3f" * 2
        assert link.layers == ()
        await link.end("done")


async def test_a_program_dies_with_its_zygote(tmp_path: Path) -> None:
    zygote = Zygote(nice=0)
    async with zygote.held():
        link = await program(zygote, tmp_path)
        await zygote.end()
        await link.child.wait()
        await link.end("its zygote died")


async def test_a_zygote_says_which_providers_there_are_but_never_one_of_the_network() -> None:
    zygote = Zygote(nice=0)
    async with zygote.held():
        await zygote.ready()
        assert zygote.providers[-1] == "CPUExecutionProvider"
        assert "AzureExecutionProvider" not in zygote.providers
