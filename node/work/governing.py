# SPDX-License-Identifier: MIT
"""Drives the governor: looks at the machine, holds the executor, tells what changed.

What follows from what was seen is in `governor`, which is pure.

::

    governing = Governing(config.governor, clock, host, executor, post)
    nursery.start_soon(governing.run)
    reason, sentence = governing.may_work()      # before anything new is taken on
    await governing.wait_change()                # the state, the reason or the hold is another

When work may not go on, nothing new is taken at once (whoever takes work asks `may_work`),
running work has `drain_s` to end, and then the executor gives up its runners and their memory.
"""

from collections.abc import Awaitable, Callable

import trio

from node.clock import Clock
from node.config import GovernorConfig
from node.executor.executor import Executor
from node.host.host import Host, Sensors
from node.log import Log
from node.work.governor import LOOK_S, Change, Governor, State
from protocol.reasons import Reason

#: What is left of running work after `drain_s` has this long to end its call.
GRACE_S = 2.0
#: A look that takes longer counts as failed. One that cannot even be given up (a disk that
#: hangs) ends new work as well: what was seen is then too old to be believed.
LOOK_S_MAX = 2 * LOOK_S

Post = Callable[..., object]
"""Takes the name of an event and its fields, as `Happenings.post` does."""

_log = Log()


class Governing:
    """Governs inside :meth:`run`; everything else may be called from any task, at any time."""

    def __init__(
        self,
        config: GovernorConfig,
        clock: Clock,
        host: Host,
        executor: Executor,
        post: Post,
        *,
        paused_until_s: float | None = None,
        quiet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`paused_until_s` is what was kept of the last run.

        `quiet` waits until no work runs, so that memory is freed as soon as the last order has
        ended; without it that is after `drain_s`.
        """
        self._clock = clock
        self._host = host
        self._executor = executor
        self._post = post
        self._quiet = quiet
        self._governor = Governor(config, clock.now(), paused_until_s)
        self._changed = trio.Event()
        self._is_held = False

    # --- for everybody ------------------------------------------------------------------------

    def may_work(self) -> tuple[Reason | None, str]:
        """Tell whether new work may be taken: None, or the reason why not; and the sentence."""
        reason, sentence = self._governor.may_work(self._clock.now())
        if reason is None and self._is_held:  # the executor is told in a moment
            return Reason.RECOVERING, "Recovering: all is well, and work goes on in a moment."
        return reason, sentence

    async def wait_change(self) -> None:
        """Wait until the state, its reason, or what is held of the memory is another."""
        await self._changed.wait()

    @property
    def state(self) -> State:
        """Which of the four it is."""
        return self._governor.state

    @property
    def seen(self) -> Sensors | None:
        """What was seen last."""
        return self._governor.seen

    @property
    def is_held(self) -> bool:
        """Tell whether the executor is paused, with its memory freed or about to be."""
        return self._is_held

    @property
    def paused_until_s(self) -> float | None:
        """Until when the owner paused, on the wall clock; keep it, and give it to the next run."""
        return self._governor.paused_until_s(self._clock.now())

    def pause(self, for_s: float | None = None) -> None:
        """Obey the owner who wants no work for a while, or, without a time, until resume."""
        self._tell(self._governor.pause(self._clock.now(), for_s))

    def resume(self) -> None:
        """Obey the owner who ends the pause."""
        self._tell(self._governor.resume(self._clock.now()))

    def use(self, config: GovernorConfig) -> None:
        """Obey another config from now on; ConfigError when its hours make no sense."""
        self._tell(self._governor.use(self._clock.now(), config))
        self._wake()

    # --- the tasks ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Govern until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            nursery.start_soon(self._hold)

    async def _look(self) -> None:
        while True:
            seen: Sensors | None = None
            with trio.move_on_after(LOOK_S_MAX) as scope:
                try:
                    seen = await self._host.sense()
                except Exception as error:  # noqa: BLE001 - whatever it was, it is no health
                    _log.warning("sensors_failed", error=error)
            if scope.cancelled_caught:
                _log.warning("sensors_failed", error=f"no answer in {LOOK_S_MAX:g} s")
            held = self._governor.holds
            self._tell(self._governor.look(self._clock.now(), seen))
            if held is not self._governor.holds:
                self._wake()
            await self._wait_for_next_look()

    async def _wait_for_next_look(self) -> None:
        """Sleep, but not beyond what the owner's word makes due meanwhile."""
        due_s = trio.current_time() + self._governor.next_look_s(self._clock.now())
        while True:
            with trio.CancelScope(deadline=due_s) as scope:
                await self._changed.wait()
            if scope.cancelled_caught:
                return
            next_s = trio.current_time() + self._governor.next_look_s(self._clock.now())
            due_s = min(due_s, next_s)

    async def _hold(self) -> None:
        """Free the memory after the drain, and give it back when work may begin again."""
        while True:
            if not self._is_held:  # else this task was begun anew, and goes on where it was
                await self._until(lambda: self._stands or self._governor.holds)
                await self._drain()
                if not self._governor.holds:
                    continue
                self._is_held = True
            await self._free_memory()
            self._wake()
            await self._until(lambda: self._governor.state is State.ACTIVE)
            self._executor.resume()
            self._is_held = False
            self._wake()

    async def _drain(self) -> None:
        """Wait until running work has ended, or must end, or may go on after all."""
        async with trio.open_nursery() as nursery:
            if self._quiet:
                nursery.start_soon(self._drain_early, self._quiet)
            await self._until(lambda: self._governor.holds or not self._stands)
            nursery.cancel_scope.cancel()

    async def _drain_early(self, quiet: Callable[[], Awaitable[None]]) -> None:
        await quiet()
        self._governor.drained()
        self._wake()

    @property
    def _stands(self) -> bool:
        return self._governor.state in {State.PRESSURE, State.PAUSED}

    async def _free_memory(self) -> None:
        try:
            await self._executor.pause(GRACE_S)
        except Exception:  # noqa: BLE001 - an executor that cannot pause must not end the governor
            _log.exception("executor_pause_failed")

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    def _tell(self, changes: tuple[Change, ...]) -> None:
        for each in changes:
            self._post(
                "governor_changed",
                before=str(each.before),
                state=str(each.after),
                reason=str(each.reason) if each.reason else None,
                sentence=each.sentence,
            )
        if changes:
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
