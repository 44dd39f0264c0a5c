# SPDX-License-Identifier: MIT
"""Behind all layers together: what was meant to work works, and nothing else does."""

import ctypes
import errno
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_READ, mmap
from pathlib import Path

import pytest

from node.executor.executor import Layer
from node.executor.sandbox.confine import (
    LAYERS,
    STRANGERS_NEED,
    Confinement,
    close_files,
    confine,
    holds_strangers,
)
from node.executor.sandbox.limits import THREADS_MAX
from node.executor.sandbox.syscalls import MACHINES, NUMBERS, X86_64, this_machine
from tests.node.executor.attacks import ATTACKS, DONE, ODD_SOCKETS, SECRET, Scene, raw, refusals
from tests.node.executor.forked import (
    STARTS,
    Died,
    in_a_fork,
    landlock_here,
    namespaces_here,
    skip_without_namespaces,
)
from tests.node.executor.scene import a_scene, open_sockets

LANDLOCK_WITH_SCOPES = 6

pytestmark = pytest.mark.skipif(
    this_machine() is None or landlock_here() < LANDLOCK_WITH_SCOPES,
    reason="strangers are not held here, or by fewer layers",
)

MEMORY_BYTES = 300 << 20
NEED_NAMESPACES = {"namespaces", "threads", "root"}

COLUMN = MACHINES.index(this_machine() or X86_64)
MMAP = NUMBERS["mmap"][COLUMN] or 0
SYSTEM_CALLS_MAX = 500
# uretprobe and uprobe of x86-64 kill whoever is no probe (Linux 6.14); arm64 has no such numbers
ANSWERED_BEFORE_ANY_FILTER = {335, 336}

READINGS = {name for name in ATTACKS if name.startswith(("read_", "list_", "open_the_memory"))}
READINGS -= {"read_the_neighbour"}

# Who replaces itself cannot say so; and the machine need not have these families of sockets.
LAST = "execute"
NOT_TO_COMPARE = {LAST, "mount", *ODD_SOCKETS}


@dataclass(frozen=True)
class Behind:
    """What a confined child reports: its layers, and how attacks and honest work went."""

    layers: tuple[Layer, ...]
    folder: str
    while_loading: dict[str, str]
    worked_while_loading: dict[str, str]
    run_layer: Layer
    while_running: dict[str, str]
    worked_while_running: dict[str, str]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with a_scene() as made:
        yield made


@pytest.fixture(scope="module", params=STARTS)
def behind(request: pytest.FixtureRequest, scene: Scene) -> Behind:
    return in_a_fork(lambda: live_behind(scene), start=request.param)


def live_behind(scene: Scene) -> Behind:
    """Load and run as a model would that has taken over the process."""
    open_sockets(scene)
    confined = confine(Confinement(str(scene.folder), MEMORY_BYTES))
    scene = replace(scene, folder=Path(confined.folder))
    names = [*(name for name in ATTACKS if name != LAST), LAST]
    while_loading = refusals(scene, names)
    worked_while_loading = honest(scene)
    run_layer = close_files()
    return Behind(
        confined.layers,
        confined.folder,
        while_loading,
        worked_while_loading,
        run_layer,
        refusals(scene, names),
        honest(scene),
    )


def honest(scene: Scene) -> dict[str, str]:
    """Try what an honest load needs, part of which a run no longer has."""

    def read_inside() -> None:
        assert (scene.folder / "file").read_bytes() == SECRET

    def start_a_thread() -> None:
        done = threading.Event()
        threading.Thread(target=done.set).start()
        assert done.wait(60)

    def have_memory() -> None:
        with mmap(-1, 1 << 20, MAP_PRIVATE | MAP_ANONYMOUS) as memory:
            memory[:] = bytes(1 << 20)

    def speak() -> None:
        scene.open_sockets["pair"].sendall(b"an answer")
        assert scene.open_sockets["other"].recv(100) == b"an answer"

    def map_what_is_open() -> None:
        # not as Python does it: it would copy the descriptor first, which is refused
        address = raw(MMAP, 0, len(SECRET), PROT_READ, MAP_SHARED, scene.memory, 0)
        assert ctypes.string_at(address, len(SECRET)) == SECRET

    found = {}
    for work in (read_inside, start_a_thread, have_memory, speak, map_what_is_open):
        try:
            work()
            found[work.__name__] = DONE
        except (OSError, RuntimeError) as error:
            found[work.__name__] = str(error)
    return found


def test_every_layer_is_on(behind: Behind) -> None:
    off = [layer for layer in (*behind.layers, behind.run_layer) if not layer.on]
    wanted = {"descriptors"} if namespaces_here() else {"descriptors", *NEED_NAMESPACES}
    assert {layer.name for layer in off} == wanted
    assert tuple(layer.name for layer in behind.layers) == LAYERS
    assert holds_strangers((*behind.layers, behind.run_layer))


def test_the_folder_has_moved(behind: Behind, scene: Scene) -> None:
    skip_without_namespaces()
    assert behind.folder != str(scene.folder)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_while_loading_is_refused(behind: Behind, name: str) -> None:
    """By the filter; but reading is allowed there, and what may be read is not the filter's."""
    wanted = {"ENOENT", "EACCES"} if name in READINGS else {"EPERM"}
    assert behind.while_loading[name] in wanted


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_while_running_is_refused(behind: Behind, name: str) -> None:
    assert behind.while_running[name] == "EPERM"


def test_honest_work_goes_on_while_loading(behind: Behind) -> None:
    assert set(behind.worked_while_loading.values()) == {DONE}


def test_a_run_opens_nothing_and_starts_nothing(behind: Behind) -> None:
    failed = {name for name, how in behind.worked_while_running.items() if how != DONE}
    assert failed == {"read_inside", "start_a_thread"}


@pytest.mark.slow
def test_without_the_sandbox_the_attacks_succeed() -> None:
    """Else they would be refused for a reason that has nothing to do with us."""
    skip_without_namespaces()

    def attack(name: str) -> str:
        open_sockets(free)
        return refusals(free, [name])[name]

    with a_scene() as free:
        found = {
            name: {in_a_fork(partial(attack, name), start=start) for start in STARTS}
            for name in ATTACKS
            if name not in NOT_TO_COMPARE
        }
    assert {name: how for name, how in found.items() if DONE not in how} == {}


@pytest.mark.parametrize("start", STARTS)
def test_no_other_system_call_gets_through(start: str) -> None:
    """Each number that the table does not name, asked of the kernel itself."""
    named = {numbers[COLUMN] for numbers in NUMBERS.values()} | ANSWERED_BEFORE_ANY_FILTER

    def ask_for_all() -> dict[int, str]:
        assert holds_strangers(confine(Confinement(None, MEMORY_BYTES)).layers)
        answers = {}
        for number in range(SYSTEM_CALLS_MAX):
            if number not in named:
                try:
                    answers[number] = str(raw(number, *[-1] * 6))
                except OSError as error:
                    answers[number] = errno.errorcode[error.errno or 0]
        return answers

    answers = in_a_fork(ask_for_all, start=start)
    assert len(answers) >= SYSTEM_CALLS_MAX - len(NUMBERS) - len(ANSWERED_BEFORE_ANY_FILTER)
    assert set(answers.values()) == {"EPERM"}


@pytest.mark.skipif(this_machine() is not X86_64, reason="only x86-64 has this second numbering")
def test_numbers_of_another_kind_of_program_kill() -> None:
    def ask() -> None:
        confine(Confinement(None, MEMORY_BYTES))
        raw(X86_64.foreign_bit | (NUMBERS["getpid"][0] or 0))

    with pytest.raises(Died) as died:
        in_a_fork(ask)
    assert died.value.signal == signal.SIGSYS


@pytest.mark.parametrize("start", STARTS)
def test_without_a_folder_nothing_can_be_opened(scene: Scene, start: str) -> None:
    def try_to_open() -> dict[str, str]:
        confined = confine(Confinement(None, MEMORY_BYTES))
        assert confined.folder == ""
        inside = replace(scene, folder=Path("/"))
        return refusals(inside, ["read_outside", "read_passwd", "list_above", "create_inside"])

    assert set(in_a_fork(try_to_open, start=start).values()) == {"EPERM"}


@pytest.mark.parametrize("start", STARTS)
def test_too_much_memory_is_an_error_and_no_end(scene: Scene, start: str) -> None:
    def take() -> tuple[bool, int]:
        confine(Confinement(str(scene.folder), MEMORY_BYTES))
        try:
            bytearray(2 * MEMORY_BYTES)
        except MemoryError:
            return True, len(bytearray(1 << 20))
        return False, 0

    assert in_a_fork(take, start=start) == (True, 1 << 20)


def test_threads_are_refused_if_none_were_asked_for(scene: Scene) -> None:
    def start_one() -> str:
        confine(Confinement(str(scene.folder), MEMORY_BYTES, threads=False))
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            return str(error)
        return DONE

    assert in_a_fork(start_one) != DONE


@pytest.mark.slow
def test_a_loop_that_starts_threads_ends_at_a_limit(scene: Scene) -> None:
    """Each costs the machine little, but there would be millions."""

    skip_without_namespaces()

    def start_many() -> int:
        threading.stack_size(64 << 10)
        layers = confine(Confinement(str(scene.folder), MEMORY_BYTES)).layers
        assert any(layer.name == "threads" and layer.on for layer in layers)
        never = threading.Event()
        for started in range(2 * THREADS_MAX):
            try:
                threading.Thread(target=never.wait, daemon=True).start()
            except RuntimeError:
                return started
        return -1

    assert in_a_fork(start_many) == THREADS_MAX - 1


def test_layers_that_strangers_need_are_layers() -> None:
    assert set(LAYERS) > STRANGERS_NEED


ALL_ON = [Layer(name, True, "") for name in LAYERS]


def test_strangers_are_held_behind_all_that_they_need() -> None:
    assert holds_strangers(ALL_ON)
    assert holds_strangers([*ALL_ON, Layer("seccomp_run", True, "")])
    assert not holds_strangers([*ALL_ON, Layer("seccomp_run", False, "")])
    assert not holds_strangers([])


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_is_off_or_missing_counts_if_strangers_need_it(name: str) -> None:
    others = [layer for layer in ALL_ON if layer.name != name]
    held = name not in STRANGERS_NEED
    assert holds_strangers(others) is held
    assert holds_strangers([*others, Layer(name, False, "")]) is held
