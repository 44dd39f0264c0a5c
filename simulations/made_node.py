# SPDX-License-Identifier: MIT
"""A whole node in a made world, with what outlives its process: its machine, disk, files, place.

It is :func:`node.main.run_node` that runs; here are only the hands that switch it on and off.
Who makes nodes takes them from `node.py`, where several have a world together.
"""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from node.config import Config
from node.desk import Desk
from node.executor.leases import PoolLimits, limits_of
from node.host.host import App
from node.leaves import the_only
from node.main import Ready, run_node
from node.membership import Membership
from node.world import World
from simulations.attacks.attack import Attack, attacked
from simulations.clock import VirtualClock
from simulations.faults import Faults
from simulations.hearing import Hearing, Said
from simulations.host import House, ScriptedHost
from simulations.inside_trio import scopes_below
from simulations.keeping import Backup, empty, put_files, read_files, read_key
from simulations.link import Traits
from simulations.machines import DESKTOP, Machine
from simulations.standstill import Standstill
from simulations.store import SimulatedStore, Watch
from simulations.transport import Net
from simulations.world import made_paths, made_world

Given = TypeVar("Given")

#: What has crashed unwinds in so many steps, or else in its own time.
LAST_STEPS_MAX = 100


@dataclass(eq=False)
class MadeNode:
    """One node. Its process lives inside :meth:`live`, any number of times."""

    net: Net
    name: str
    folder: Path
    address: str
    config: Config = field(default_factory=Config)
    seed: str = ""
    machine: Machine = DESKTOP
    attacks: Sequence[Attack] = ()
    house: House = field(default_factory=House)
    models: Mapping[bytes, Traits] = field(default_factory=dict)
    faults: Faults | None = None
    watch: Watch | None = None
    commit_s: float | None = None
    """How long its disk takes for a commit, if not as long as that of its machine."""
    zone_h: float = 0.0
    """How many hours the sun is earlier there."""
    clock: VirtualClock = field(default_factory=VirtualClock)
    """The clock of its machine. A life goes on with what is wrong about it."""
    hearing: Hearing = field(default_factory=Hearing)
    starts: int = 0
    crashes: int = 0
    suspends: int = 0
    error: BaseException | None = None
    """What the last life ended with, if it was not well and did not crash."""

    def __post_init__(self) -> None:
        """Make the disk, which has nothing on it."""
        self.paths = made_paths(self.folder)
        self.said = Said(hides=str(self.folder))
        self.store = self._new_store()
        self._is_off = False
        self.begin()
        self.over.set()

    def begin(self) -> None:
        """Make ready for a new life, after the last one is over."""
        if self._is_off:
            self._is_off = False
            self.net.switch_on(self.address)
        self.over = trio.Event()
        self.error = None
        self.said.is_deaf = False
        self.host = ScriptedHost(
            self.machine.script,
            house=self.house,
            hardware=self.machine.hardware,
            local_s=lambda: self.clock.now().wall_s + self.zone_h * 3600,
        )
        self.readies: list[Ready] = []
        self.is_ready = trio.Event()
        self.scope = trio.CancelScope()
        self._is_crashed = False
        self._desk: Desk | None = None
        self._tasks: trio.Nursery | None = None
        self._standstill: Standstill | None = None

    # --- what it is -----------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        """The desk of the process that lives, or lived last."""
        assert self._desk, f"{self.name} was never started"
        return self._desk

    @property
    def member(self) -> Membership:
        """Its membership now."""
        member = self.desk.member
        assert member, f"{self.name} is in no network now"
        return member

    @property
    def key(self) -> bytes:
        """Its public key."""
        return self.desk.ground.identity.me

    @property
    def app(self) -> App:
        """The API that it serves to its owner."""
        (app,) = self.host.served.values()
        return app

    @property
    def failures(self) -> list[str]:
        """What its lives had to contain, though nobody foresaw it: when, what, and which error."""
        return self.said.failures

    @property
    def is_living(self) -> bool:
        """Whether it has a process, or is about to."""
        return not self.over.is_set()

    @property
    def is_suspended(self) -> bool:
        """Whether its machine sleeps."""
        return self._standstill is not None

    @property
    def is_up(self) -> bool:
        """Whether it runs now and is in a network."""
        desk = self._desk
        is_well = self.is_living and not self.is_suspended and not self._is_crashed
        return is_well and bool(desk and desk.member)

    @property
    def state(self) -> str:
        """Say in one word how it is, as a report has it."""
        if not self.is_living or self._is_crashed:
            return "down"
        if self.is_suspended:
            return "suspended"
        return "up" if self.is_up else "starting"

    # --- its life -------------------------------------------------------------------------------

    async def live(self) -> None:
        """Be a process until it ends, or is ended; :meth:`begin` comes before."""
        self.starts += 1
        life = " ".join(filter(None, (self.seed, self.name, str(self.starts))))
        self.clock = self.clock.anew(life)
        try:
            with self.scope, ExitStack() as stack:
                async with trio.open_nursery() as tasks:
                    self._tasks = tasks
                    stack.enter_context(self.hearing.whose(tasks, self.said))
                    tasks.start_soon(self._be, life)
        except BaseException as error:  # noqa: BLE001 - what is not an error is raised in there
            self._end_with(error)
        finally:
            self._tasks = None
            self.is_ready.set()
            self.over.set()

    async def does(self, work: Callable[[], Awaitable[Given]]) -> Given | Exception | None:
        """Do something as this process; None when it ended meanwhile.

        It ends with a crash and stands still in a suspend, as whatever its owner has it do.
        """
        assert self._tasks, f"{self.name} has no process that could do anything"
        done: list[Given | Exception] = []
        is_over = trio.Event()

        async def do() -> None:
            try:
                done.append(await work())
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller looks at it
                done.append(error)
            finally:
                is_over.set()

        self._tasks.start_soon(do)
        await is_over.wait()
        return done[0] if done else None

    def crash(self, *, is_silent: bool = False) -> None:
        """End at once: what is not on the disk is lost.

        Its system ends its connections, as after `kill -9`; `is_silent` is as if the power had
        failed: nobody hears a word, and nothing answers there until it starts again.
        """
        if not self.is_living or self._is_crashed:
            return
        self.crashes += 1
        self._is_crashed = self.said.is_deaf = True
        self.store.crash()
        if is_silent:
            self._is_off = True
            self.net.switch_off(self.address)
            self.net.thaw(self.address)
        else:
            self.net.kill(self.address)
        self.scope.cancel()
        self._wake()

    async def stop(self) -> None:
        """End as the service manager wants it, and wait for it; a sleeping machine wakes for it."""
        self.resume()
        if self.is_living:
            self.host.send_signal(signal.SIGTERM)
        await self.over.wait()

    async def wait_over(self) -> None:
        """Wait until its process is gone. One that has crashed has no time for last words."""
        for _ in range(LAST_STEPS_MAX):
            if not self._is_crashed or self._tasks is None:
                break
            # What would still be saved or said at an end, behind shields, is cut off as well.
            for scope in list(scopes_below(self._tasks)):
                scope.cancel()
            await trio.lowlevel.checkpoint()
        await self.over.wait()

    def suspend(self) -> None:
        """Close the lid: nothing of it runs, and nothing gets there, until :meth:`resume`."""
        if self._tasks is None or self.is_suspended or self._is_crashed:
            return
        self.suspends += 1
        self.net.freeze(self.address)
        self._standstill = Standstill(self._tasks)

    def resume(self) -> None:
        """Open the lid; its clock has counted the time, its timers have not."""
        if self.is_suspended:
            self.net.thaw(self.address)
            self._wake()

    def end_trouble(self) -> None:
        """Let its machine be well: awake, with room on the disk, and with the right time."""
        self.resume()
        self.clock.set_right()
        self.store.room_bytes, self.store.is_failing = float("inf"), False
        self.store.commit_s = self._commit_s

    # --- its disk -------------------------------------------------------------------------------

    def backup(self) -> Backup:
        """Put aside what is on the disk now, as its owner might while it runs."""
        return Backup(self.store.backup_all(), read_files(self.folder, self.paths))

    def restore(self, backup: Backup) -> None:
        """Have on the disk what was put aside then. It does not live meanwhile."""
        assert not self.is_living, f"{self.name} runs while its disk is changed"
        self.store.restore_all(backup.databases)
        put_files(self.folder, self.paths, backup.files)

    def lose_disk(self, *, keeps_key: bool = False) -> None:
        """Have a new disk with nothing on it; a copy of the key may have been elsewhere."""
        assert not self.is_living, f"{self.name} runs while its disk is changed"
        empty(self.folder, self.paths, read_key(self.paths) if keeps_key else b"")
        self.store = self._new_store()

    # --- inside ---------------------------------------------------------------------------------

    async def _be(self, life: str) -> None:
        config = self.machine.configured(self.config)
        async with (
            self._world(life, limits_of(config.executor)) as world,
            attacked(self.attacks, self, world, life) as world,
        ):
            await run_node(config, world, ready=self._on_ready, at=self._on_desk)
        self.scope.cancel()  # what its owner has it do ends with it

    def _world(self, life: str, limits: PoolLimits) -> AbstractAsyncContextManager[World]:
        return made_world(
            self.net,
            self.host,
            life,
            address=self.address,
            store=self.store,
            paths=self.paths,
            models=self.models,
            faults=self.faults,
            limits=limits,
            speed=self.machine.speed,
            clock=self.clock,
        )

    def _end_with(self, error: BaseException) -> None:
        """Note what a life ended with. What is no error, such as being cancelled, goes on."""
        rest: BaseException | None = None if isinstance(error, Exception) else error
        if isinstance(error, BaseExceptionGroup):
            rest = error.split(Exception)[1]
        if self._is_crashed:  # its tasks had lost their disk: what they raise is no news
            if rest is not None:
                raise rest
            return
        self.error = the_only(error)
        if rest is not None:
            raise error

    def _wake(self) -> None:
        standstill, self._standstill = self._standstill, None
        if standstill is not None:
            standstill.go_on()

    @property
    def _commit_s(self) -> float:
        return self.machine.commit_s if self.commit_s is None else self.commit_s

    def _new_store(self) -> SimulatedStore:
        blobs = self.paths.models / "blobs"
        blobs.mkdir(parents=True)
        return SimulatedStore(blobs, commit_s=self._commit_s, watch=self._watch)

    def _on_desk(self, desk: Desk) -> None:
        self._desk = desk

    def _on_ready(self, ready: Ready) -> None:
        self.readies.append(ready)
        self.is_ready.set()

    def _watch(self, name: str, sql: str) -> None:
        if self.watch is not None:
            self.watch(name, sql)
