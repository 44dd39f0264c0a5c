# SPDX-License-Identifier: MIT
"""The zygote: starts when it is needed, has nothing of the owner's, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from node.executor.child import zygote as program
from node.executor.environment import child_environment
from node.executor.executor import Group
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Child, Zygote
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.executor.folders import FLOAT, Port, Y, add_one, array, helper, tensor, write
from tests.node.executor.taken_over import MODULE, Plan
from tests.node.executor.traces import Traces, maps_of, nothing_new_since, processes_of, until
from tests.tree import ROOT

pytestmark = pytest.mark.usefixtures("_nothing_is_left")

HONEST = "node.executor.child.zygote"
SILENT = "tests.node.executor.odd_child"
MISSING = "tests.node.executor.missing"


@pytest.fixture
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # else others' folders would count
    before = Traces.now()
    yield
    nothing_new_since(before)


@asynccontextmanager
async def a_pool(module: str = MODULE, **limits: int) -> AsyncIterator[tuple[Pool, Zygote]]:
    zygote = Zygote(nice=0, module=module)
    pool = Pool(PoolLimits(**limits), zygote)
    async with pool.open():
        yield pool, zygote


async def one_more(pool: Pool, above: Path, group: str = "a") -> None:
    async with pool.lease(add_one(above), Group(group)) as runner:
        outputs = await runner.run((tensor([1, 2]),), deadline_s=30)
        assert array(outputs.tensors[0]).tolist() == [2, 3]


# --- how a child ended, in words ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "lost together with the zygote"),
        (0, "left with status 0"),
        (3 << 8, "left with status 3"),
        (signal.SIGKILL, "ended by SIGKILL"),
        (signal.SIGSEGV | 0x80, "ended by SIGSEGV"),
        (33, "ended by signal 33"),
        (40, "ended by signal 40"),
        (64, "ended by SIGRTMAX"),
    ],
)
def test_every_end_has_its_words(status: int | None, words: str) -> None:
    assert words in Child(1, -1, status=status).how_it_ended


# --- starting, and what may go wrong --------------------------------------------------------------


@pytest.mark.slow
async def test_it_starts_with_the_first_wish_and_again_after_it_died(tmp_path: Path) -> None:
    async with a_pool() as (pool, zygote):
        assert zygote.pid is None
        await one_more(pool, tmp_path)
        first = zygote.pid
        (link,) = pool.links
        assert first
        os.kill(first, signal.SIGKILL)
        await gone(zygote)
        await until(link.child.ended.is_set)
        await one_more(pool, tmp_path)
        assert zygote.pid not in {None, first}
        assert zygote.started_count == 2
    assert zygote.pid is None


async def gone(zygote: Zygote) -> None:
    await until(lambda: zygote.pid is None)


@pytest.mark.slow
async def test_one_that_is_a_zombie_already_is_reaped_like_any_other(tmp_path: Path) -> None:
    """Nobody else may have its number before the kernel is asked for it."""
    async with a_pool() as (pool, zygote):
        await one_more(pool, tmp_path)
        assert zygote.pid
        os.kill(zygote.pid, signal.SIGKILL)
        os.waitid(os.P_PID, zygote.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - unseen by trio
        await gone(zygote)
        await one_more(pool, tmp_path)


@pytest.mark.slow
async def test_whoever_is_cancelled_while_it_starts_leaves_one_that_works(tmp_path: Path) -> None:
    async with a_pool() as (pool, zygote):
        for wait_s in (0.0, 0.01, 0.1, 0.3):
            with trio.move_on_after(wait_s):
                await zygote.ready()
        await one_more(pool, tmp_path)


async def test_one_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.executor.zygote.START_S", 0.1)
    async with a_pool(SILENT) as (pool, zygote):
        for _ in range(2):
            with pytest.raises(Refused, match="did not start: no answer") as caught:
                await pool.layers()
            assert caught.value.reason is Reason.RUN_FAILED
            assert zygote.pid is None


async def test_one_that_cannot_start_is_a_refusal() -> None:
    async with a_pool(MISSING) as (pool, _):
        with pytest.raises(Refused, match="did not start: no answer"):
            await pool.layers()


@pytest.mark.slow
async def test_one_that_does_not_answer_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_pool() as (pool, zygote):
        await zygote.ready()
        assert zygote.pid
        os.kill(zygote.pid, signal.SIGSTOP)
        with monkeypatch.context() as for_now:
            for_now.setattr("node.executor.zygote.FORK_S", 0.1)
            with pytest.raises(Refused, match="did not answer") as caught:
                await one_more(pool, tmp_path)
        assert caught.value.reason is Reason.BUSY
        await one_more(pool, tmp_path)


@pytest.mark.slow
async def test_runners_that_die_at_once_are_all_accounted_for(tmp_path: Path) -> None:
    """Word of their end may come before anybody knows that they began."""
    model = add_one(tmp_path)
    Plan(at_load="leave").write(model.folder)
    async with a_pool(runners=4, memory_bytes=20 << 30) as (pool, zygote):
        reasons = []

        async def try_it(group: str) -> None:
            with pytest.raises(Refused, match="left with status 0") as caught:
                async with pool.lease(model, Group(group)):
                    pass
            reasons.append(caught.value.reason)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(try_it, str(number))
        assert reasons == [Reason.MODEL_REFUSED] * 20
        assert zygote._children == {}


@pytest.mark.slow
async def test_a_model_of_too_many_words_is_refused_for_that(tmp_path: Path) -> None:
    names = [f"{number:0250}" for number in range(1000)]
    inputs: list[Port] = [(name, FLOAT, ("n",)) for name in names]
    wide = write(tmp_path, [helper.make_node("Sum", names, ["y"])], inputs, [Y])
    async with a_pool() as (pool, _):
        with pytest.raises(Refused, match="names of") as caught:
            async with pool.lease(wide, Group("a")):
                pass
        assert caught.value.reason is Reason.MODEL_REFUSED
        await one_more(pool, tmp_path)


def test_a_fork_that_fails_is_said_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of processes, the zygote stays; of the wish nothing is left in its memory."""

    def no_fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link, other = socket.socketpair()
    with ours, theirs, link, other:
        socket.send_fds(ours, [b"a wish"], [other.fileno()])
        other.close()
        space = bytearray(100)
        assert program._start_one(theirs, space, lambda *_: None)
        assert space == bytes(100)
        assert "unavailable" in json.loads(ours.recv(1000))["failed"]
        assert link.recv(1) == b""
        ours.close()
        assert not program._start_one(theirs, space, lambda *_: None)


# --- what it has ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_it_has_nothing_of_the_owners_and_its_runners_have_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMMONS_SECRET", "of the owner")
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    async with a_pool(HONEST) as (pool, zygote):
        await one_more(pool, tmp_path)
        for pid in (zygote.pid, *pool.pids):
            assert variables_of(pid) <= child_environment().keys() | {"LC_CTYPE", "TMPDIR"}
            assert not variables_of(pid) & {"COMMONS_SECRET", "HOME", "USER", "XDG_RUNTIME_DIR"}
        assert not Traces.now().folders
        assert opened_by(zygote.pid) == ["/dev/null"] * 3 + ["pipe"] * 2 + ["socket"]
        for pid in pool.pids:
            assert opened_by(pid) in (["socket"], ["/dev/null"] * 3 + ["socket"])
    os.close(secret)


def variables_of(pid: int | None) -> set[str]:
    words = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    return {word.partition("=")[0] for word in words if word}


def opened_by(pid: int | None) -> list[str]:
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return sorted(each.partition(":")[0] for each in links)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
async def test_a_runner_has_as_many_threads_as_it_should(tmp_path: Path, threads: int) -> None:
    async with a_pool(threads=threads) as (pool, zygote):
        await one_more(pool, tmp_path)
        assert threads_of(zygote.pid) == 1
        assert [threads_of(pid) for pid in pool.pids] == [threads]


def threads_of(pid: int | None) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.mark.slow
async def test_nothing_is_reported_to_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ONNX Runtime would write its telemetry, if it kept any, there is nothing."""
    home = tmp_path / "home"
    home.mkdir()
    homes = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    for name in homes:
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr("node.executor.environment._INHERITED", ("PATH", *homes))
    async with a_pool(HONEST) as (pool, zygote):
        await one_more(pool, tmp_path)
        assert set(homes) <= variables_of(zygote.pid)
        for pid in (zygote.pid, *pool.pids):
            assert str(home) not in maps_of(pid)
            assert "Microsoft" not in maps_of(pid)
    assert list(home.rglob("*")) == []


def test_without_the_word_against_telemetry_it_does_not_start() -> None:
    environment = child_environment()
    del environment["ORT_DISABLE_TELEMETRY"]
    # nothing is imported that would read the variable before the zygote looks at it
    code = (
        "import sys\n"
        "from unittest.mock import MagicMock\n"
        "sys.modules['onnxruntime'] = MagicMock()\n"
        "from node.executor.child.zygote import main\n"
        "main(None, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no telemetry" in done.stderr


# --- what the daemon imports ----------------------------------------------------------------------

IMPORTS = """
import sys, tempfile, trio
from pathlib import Path
from node.executor.executor import Group, Model
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from protocol.tensors import ElementType, Tensor

async def main(folder):
    pool = Pool(PoolLimits(), Zygote(nice=0))
    async with pool.open(), pool.lease(Model(b"x" * 32, Path(folder)), Group("a")) as runner:
        outputs = await runner.run([Tensor(ElementType.FLOAT, (1,), bytes(4))], deadline_s=30)
        assert bytes(outputs.tensors[0].data) == b"\\0\\0\\x80\\x3f"

trio.run(main, sys.argv[1])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.slow
def test_the_daemon_imports_none_of_what_reads_models(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(add_one(tmp_path, bound=False).folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "trio" in loaded
    assert loaded & {"numpy", "onnx", "onnxruntime", "google", "ml_dtypes"} == set()


@pytest.mark.slow
async def test_closing_the_pool_in_the_middle_of_everything_leaves_nothing(tmp_path: Path) -> None:
    """Leases are being made, runners load, and somebody turns the light off."""
    for steps in range(1, 40, 4):
        async with a_pool(runners=2) as (pool, _), trio.open_nursery() as nursery:

            async def come(group: str, pool: Pool = pool) -> None:
                with suppress(Refused):
                    while True:
                        await one_more(pool, tmp_path, group)

            for number in range(3):
                nursery.start_soon(come, str(number))
            for _ in range(steps):
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
    assert processes_of(os.getpid()) == set()
