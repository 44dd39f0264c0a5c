# SPDX-License-Identifier: MIT
"""A throw-away child gets nothing of ours, and whatever it does ends with it."""

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from node.executor.environment import child_environment
from node.executor.errand import SENT_BYTES_MAX
from node.executor.throwaway import throwaway
from protocol.errors import LocalProtocolError, Refused
from protocol.reasons import Reason

ODD = "tests.node.executor.odd_child"
LONG_S = 60.0


def children() -> set[str]:
    """Every process whose parent is this one, zombies too."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(path.parent.name)
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def answer(how: str, bytes_max: int = 1000) -> bytes:
    async with throwaway(ODD, how, deadline_s=LONG_S, what="odd child") as child:
        return await child.receive(bytes_max)


async def test_messages_and_descriptors_arrive() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b" from a file")
        file.flush()
        async with throwaway(ODD, "echo", deadline_s=LONG_S) as child:
            await child.send(b"a word", [file.fileno()])
            assert await child.receive(100) == b"a word from a file"
            await child.send(b"")
            assert await child.receive(0) == b""
            await child.send(bytes(SENT_BYTES_MAX - 1))
            assert await child.receive(SENT_BYTES_MAX) == bytes(SENT_BYTES_MAX - 1)
            with pytest.raises(LocalProtocolError):
                await child.send(bytes(SENT_BYTES_MAX + 1))


async def test_a_child_has_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMONS_SECRET", "of the owner")
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        said = json.loads(await answer("report", 100_000))
    assert said["environment"] == child_environment()
    assert said["folder"] == "/"
    assert said["leader"]
    assert said["standard"] == ["/dev/null", "/dev/null"]
    assert said["descriptors"] == 1


async def test_a_child_is_started_by_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies with its parent dies with the thread that started it.

    trio starts processes in threads that end after ten idle seconds, and so did every inspector
    that took longer than that.
    """
    starters = []

    really = subprocess.Popen

    def noted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        starters.append(threading.current_thread())
        return really(*words, **options)

    monkeypatch.setattr(subprocess, "Popen", noted)
    async with throwaway(ODD, "echo", deadline_s=LONG_S) as child:
        await child.send(b"x")
        assert await child.receive(10) == b"x"
    assert starters == [threading.main_thread()]


async def test_a_child_that_dies_is_a_refusal_that_says_how() -> None:
    with pytest.raises(Refused, match="the odd child ended by SIGSEGV: what a pity") as caught:
        await answer("crash")
    assert caught.value.reason is Reason.MODEL_REFUSED
    with pytest.raises(Refused, match=r"ended with code 1: I  \[31mcannot go on"):
        await answer("exit")
    with pytest.raises(Refused, match=r"ended with code 1: .*No module named"):
        async with throwaway("tests.node.executor.missing", deadline_s=LONG_S) as child:
            await child.receive(100)


async def test_a_message_over_its_cap_is_refused_unread() -> None:
    with pytest.raises(Refused, match="a message of 4294967295 bytes, at most 1000"):
        await answer("flood")


async def test_a_child_that_shouts_is_not_held_up_and_not_heard() -> None:
    assert await answer("shout") == b"done"


async def test_a_child_that_stops_in_the_middle_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.executor.throwaway._LAST_BREATH_S", 0.0)
    with pytest.raises(Refused, match="closed its socket in the middle"):
        await answer("half")


async def test_a_child_that_never_answers_ends_at_its_deadline() -> None:
    before = children()
    with pytest.raises(Refused, match=r"the odd child was not done within 0\.2 s"):
        async with throwaway(ODD, "hang", deadline_s=0.2, what="odd child") as child:
            await child.receive(100)
    assert children() == before


async def test_a_child_that_does_not_listen_ends_at_its_deadline() -> None:
    with pytest.raises(Refused, match="was not done"):  # noqa: PT012 - the deadline is of the whole context
        async with throwaway(ODD, "hang", deadline_s=0.2) as child:
            while True:
                await child.send(bytes(SENT_BYTES_MAX))


async def test_descriptors_that_a_child_sends_do_not_arrive() -> None:
    async with throwaway(ODD, "descriptors", deadline_s=LONG_S) as child:
        assert await child.receive(1) == b"x"
        before = descriptors()
        for _ in range(9):
            assert await child.receive(1) == b"x"
        assert descriptors() == before


@pytest.mark.parametrize("how", ["echo", "hang", "crash", "flood", "exit"])
async def test_nothing_is_left_behind(how: str) -> None:
    before = children(), descriptors()
    with trio.CancelScope() as scope:
        async with throwaway(ODD, how, deadline_s=LONG_S):
            scope.cancel()
            await trio.sleep_forever()
    assert (children(), descriptors()) == before


async def test_an_error_of_the_caller_ends_the_child_and_stays_itself() -> None:
    before = children()
    with pytest.raises(KeyError, match="mine"):
        async with throwaway(ODD, "hang", deadline_s=LONG_S):
            raise KeyError("mine")
    assert children() == before


async def test_what_is_sent_to_a_child_that_is_gone_is_a_refusal() -> None:
    async with throwaway(ODD, "exit", deadline_s=LONG_S, reason=Reason.RUN_FAILED) as child:
        with pytest.raises(Refused, match="ended with code 1") as caught:  # noqa: PT012 - the pipe may take some of it first
            while True:
                await child.send(bytes(1000))
    assert caught.value.reason is Reason.RUN_FAILED
