# SPDX-License-Identifier: MIT
"""One node of the scale tier: drives its view as `node/mesh/viewing.py` does, without a task.

What is done when, and with which constants, is the real driver's; a change there belongs here too.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from node.mesh.contacts import IDLE_S, LET_GO_S
from node.mesh.telling import RENEW_S, SETTLED_S
from node.mesh.ticking import TICK_S_MIN
from node.mesh.viewing import SWEEP_S
from protocol.actions import Action, Ask, Dial, Drop, Found, Misbehaved, SearchEnded, Send
from protocol.canon import Message
from protocol.exchange import Summary, Wanted
from protocol.known import Known
from protocol.view import View
from simulations.scale.links import End

if TYPE_CHECKING:
    from simulations.scale.world import Scale

Then = Callable[[End | None], None]
"""What is done with a connection, or because there is none."""


class ScaleNode:
    """A view, its connections, and when it is to be woken."""

    __slots__ = (
        "bootstrap",
        "brought",
        "dials",
        "due_s",
        "ends",
        "is_alive",
        "key",
        "number",
        "own",
        "sequence",
        "ticked_s",
        "view",
        "woken_s",
        "world",
    )

    own: Known

    def __init__(self, world: "Scale", number: int, key: bytes, view: View) -> None:
        """Be there, and do nothing yet."""
        self.world = world
        self.number = number
        self.key = key
        self.view = view
        self.is_alive = True
        self.ends: dict[bytes, End] = {}
        self.dials: dict[bytes, list[Then]] = {}
        self.brought: dict[bytes, tuple[float, float]] = {}
        self.sequence = 0
        self.due_s = inf
        self.woken_s = inf
        self.ticked_s = -inf

    # --- as time goes by ----------------------------------------------------------------------

    def start(self) -> None:
        """Describe itself, tick at once, and go on with both."""
        self.describe()
        self.world.later(SWEEP_S, self.sweep)
        self._tick_at(self.world.now)

    def describe(self) -> None:
        """Write a new advert, and tell it; the second one comes soon."""
        if self.is_alive:
            self.sequence += 1
            world = self.world
            self.own = world.adverts.write(self.key, self.number, self.sequence, world.now_s)
            self.view.describe(self.own.wire, world.now)
            world.later(RENEW_S if self.sequence > 1 else SETTLED_S, self.describe)
            self.wake()

    def wake(self) -> None:
        """Look again when the next tick is due; never later than it was."""
        self.due_s = min(self.due_s, self.view.next_tick_at(self.world.now))
        self._tick_at(self.due_s)

    def _tick_at(self, at_s: float) -> None:
        at_s = max(at_s, self.world.now, self.ticked_s + TICK_S_MIN)
        if at_s < self.woken_s:
            self.woken_s = at_s
            self.world.at(at_s, partial(self._tick, at_s))

    def _tick(self, at_s: float) -> None:
        if at_s == self.woken_s and self.is_alive:
            world = self.world
            self.woken_s = self.due_s = inf
            self.ticked_s = world.now
            self.do(self.view.tick(world.now, world.now_s))

    def sweep(self) -> None:
        """Note how near the neighbours are, and end what nobody needs."""
        if not self.is_alive:
            return
        world = self.world
        world.later(SWEEP_S, self.sweep)
        idle_s = world.now - IDLE_S
        for key, end in list(self.ends.items()):
            if end.is_place:
                self.view.on_round_trip(key, 2 * end.delay_s)
            elif end.line and end.used_s < idle_s:
                self._close_line(end)
        for key, (since_s, most_s) in list(self.brought.items()):
            mine = self.ends.get(key)
            if mine is None or mine.is_place:
                del self.brought[key]
            elif max(since_s, mine.used_s) < world.now - most_s:
                del self.brought[key]
                world.part(mine)

    # --- what the view asks for ---------------------------------------------------------------

    def do(self, actions: list[Action]) -> None:
        """Carry out what the view asks for, then see when it wants to be woken."""
        for action in actions:
            match action:
                case Send(key, what):
                    end = self.ends.get(key)
                    if end is not None and end.line:
                        self.world.say(end, what)
                case Dial(key, _):
                    self.meet(key, partial(self._dialled, key))
                case Drop(key):
                    self._let_go(key)
                case Ask(key, _, _):
                    self.meet(key, partial(self._ask, action))
                case Found() | SearchEnded():
                    self.world.on_search(action)
                case Misbehaved():
                    self.world.on_blame(self, action)
        self.wake()

    def meet(self, key: bytes, then: Then) -> None:
        """Be connected with a node; a dial that is under way is joined."""
        end = self.ends.get(key)
        if end is not None:
            self.world.later(0.0, partial(self._meet_again, key, then))
        elif key in self.dials:
            self.dials[key].append(then)
        else:
            self.dials[key] = [then]
            self.world.dial(self, key)

    def _meet_again(self, key: bytes, then: Then) -> None:
        if self.is_alive:
            then(self.ends.get(key))

    def met(self, key: bytes, end: End | None) -> None:
        """Go on with what waited for a dial."""
        for then in self.dials.pop(key, ()):
            if self.is_alive:
                then(end)

    def introduce(self, key: bytes, then: Callable[[], None]) -> None:
        """Make a node our neighbour, from wherever we know it."""

        def done(end: End | None) -> None:
            if end is not None:
                self.greet(end, inbound=False)
            then()

        if self.view.neighbours.memory.shuns(key, self.world.now):
            self.world.later(0.0, then)
        else:
            self.meet(key, done)

    def _dialled(self, key: bytes, end: End | None) -> None:
        if end is None:
            self.do(self.view.on_dial_failed(key, self.world.now))
        else:
            self.greet(end, inbound=False)

    def _ask(self, ask: Ask, end: End | None) -> None:
        if end is None:
            self.do(self.view.on_ask_failed(ask.key, self.world.now))
        else:
            end.open_line(self.world.now)
            self.world.say(end, ask.query)

    def greet(self, end: End, *, inbound: bool) -> None:
        """Let the view give the node a place, or none."""
        key, world, around = end.far.node.key, self.world, self.view.neighbours
        if not inbound:
            self.brought[key] = world.now, IDLE_S
        actions = self.view.on_connected(
            key, world.now, world.now_s, inbound=inbound, advert=end.advert
        )
        if key in around.linked or around.is_stranger(key):
            end.is_place = True
            end.open_line(world.now)
        else:
            self._let_go(key)
        self.do(actions)

    def _let_go(self, key: bytes) -> None:
        end = self.ends.get(key)
        if end is not None:
            if end.is_place:
                end.is_place = False
                self.brought[key] = self.world.now, LET_GO_S
            self._close_line(end)

    def _close_line(self, end: End) -> None:
        number = end.close_line()
        if number:
            self.world.say_end(end, number)
            self.line_over(end)

    # --- what others say ----------------------------------------------------------------------

    def hear(self, end: End, what: Message | bytes) -> None:
        """Take one message; whoever tells or wants adverts would be a neighbour."""
        world = self.world
        key = end.far.node.key
        if not end.is_place and (isinstance(what, bytes | Summary | Wanted)):
            self.greet(end, inbound=True)
        held = len(self.view.directory)
        if isinstance(what, bytes):
            actions = self.view.on_advert(key, what, world.now, world.now_s)
        else:
            actions = self.view.on_message(key, what, world.now, world.now_s)
        # Where nothing follows and nothing has grown, the next tick is due when it was.
        if actions or len(self.view.directory) != held:
            self.do(actions)

    def line_over(self, end: End) -> None:
        """A line has ended, whoever has ended it."""
        key, world = end.far.node.key, self.world
        self.do(self.view.on_ask_failed(key, world.now))
        if end.is_place:
            end.is_place = False
            self.brought[key] = world.now, LET_GO_S
            self.do(self.view.on_disconnected(key, world.now))

    def lost(self, end: End) -> None:
        """A connection is over, whoever has ended it."""
        if end.is_up:
            end.is_up = False
            del self.ends[end.far.node.key]
            if end.close_line() or end.is_place:
                self.line_over(end)
