# SPDX-License-Identifier: MIT
"""Serves an application on a real Unix socket, in a thread of its own or in the test's nursery."""

import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from node.host.host import App
from node.host.http import serve


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name: the path of a socket has few bytes."""
    folder = Path(tempfile.mkdtemp(prefix="commons-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def served(app: App, socket: Path) -> AsyncIterator[None]:
    """Serve inside the block, as a running node does."""
    async with serve(app, socket, grace_s=0.2):
        yield


@contextmanager
def served_aside(app: App, socket: Path | str) -> Iterator[None]:
    """Serve inside the block from a thread, for a test that blocks as a command does."""
    ready, ended = threading.Event(), threading.Event()
    scope = trio.CancelScope()
    token: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        token.append(trio.lowlevel.current_trio_token())
        with scope:
            async with served(app, Path(socket)):
                ready.set()
                await trio.sleep_forever()

    def main() -> None:
        try:
            trio.run(run)
        finally:
            ended.set()
            ready.set()

    thread = threading.Thread(target=main)
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        if not ended.is_set():
            trio.from_thread.run_sync(scope.cancel, trio_token=token[0])
        thread.join(20)
        assert not thread.is_alive()
