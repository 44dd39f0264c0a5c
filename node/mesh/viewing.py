# SPDX-License-Identifier: MIT
"""Drives the view over the mesh: who is there, and who has it. What to do is `protocol/view.py`'s.

The view is pure: it is told what happens and answers with actions. Here the actions become
dials, streams and messages, and what comes of them goes back to the view. A **line** (`line`)
is the conversation with one node; it begins when we dial a node to be neighbours, when we ask
one, or when one opens a stream to us. Who only asks is no neighbour: a node takes a place in
our view with the first other thing that it says.

Whatever a node says or does not say ends its own line and nothing else.
"""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

import trio

from node.clock import Clock
from node.mesh.contacts import IDLE_S, LET_GO_S, Contacts
from node.mesh.framed import Framed
from node.mesh.line import Line
from node.mesh.mesh import Mesh
from node.mesh.peer import Peer
from node.mesh.searching import Findings, Searching
from node.mesh.telling import RENEW_S, Describe, Telling
from node.mesh.ticking import Ticking
from protocol.actions import Action, Ask, Dial, Drop, Found, Misbehaved, SearchEnded, Send
from protocol.canon import decode
from protocol.errors import RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.frames import DocumentFrame, Frame, StatementFrame
from protocol.known import Known, verifier
from protocol.limits import ASK_S_MAX, DIAL_S_MAX, QUERY_S_MAX
from protocol.query import Answer, Query
from protocol.reasons import Reason
from protocol.view import View

PROTOCOL = "/commons/view/1"

#: How often the rest is looked after: round trips, and lines and connections nobody needs.
SWEEP_S = 5.0


class Viewing:
    """The view of this node, at work while :meth:`run` runs."""

    def __init__(
        self,
        mesh: Mesh,
        clock: Clock,
        describe: Describe,
        *,
        bootstrap: tuple[Dial, ...] = (),
        models: AbstractSet[bytes] = frozenset(),
        renew_s: float = RENEW_S,
    ) -> None:
        """To be made before the mesh is open. The own advert is renewed each `renew_s`."""
        self.mesh = mesh
        self.view = View(
            mesh.me,
            clock.secret_bytes(32),
            verifier(mesh.network.id),
            bootstrap=bootstrap,
            models=models,
        )
        self._clock = clock
        self._telling = Telling(clock, describe, self._on_described, renew_s)
        self._lines: dict[bytes, Line] = {}
        self._leaving: dict[bytes, Line] = {}  # they only say their last words
        self._places: dict[bytes, Peer] = {}
        self._contacts = Contacts(mesh)
        self._searches: dict[bytes, Searching] = {}
        self._nursery: trio.Nursery | None = None
        self._ticking = Ticking(clock, self.view.next_tick_at, self._tick)
        mesh.speak(PROTOCOL, self._serve)
        mesh.watch(lambda _peer: None, self._on_left)

    # --- what others use ----------------------------------------------------------------------

    def adverts(self) -> list[Known]:
        """Give the adverts of other nodes that are in force now."""
        return self.view.adverts(self._clock.now().wall_s)

    @property
    def neighbours(self) -> frozenset[bytes]:
        """Who has a place in the view now; guests have none."""
        return frozenset(self.view.neighbours.linked)

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to hear news from."""
        return not self.view.neighbours.linked

    def renew_soon(self) -> None:
        """Say that the own advert is not true any more; it is made anew as soon as it may be."""
        self._telling.renew_soon()

    def _on_described(self, wire: bytes) -> None:
        self.view.describe(wire, self._clock.now().mono_s)
        self._ticking.wake()

    async def search(
        self,
        *,
        most: int,
        model: bytes = b"",
        accelerator: str = "",
        accelerator_mib: int = 0,
        memory_mib: int = 0,
        fp32_mflops: int = 0,
        among: frozenset[bytes] | None = None,
        deadline_s: float = QUERY_S_MAX,
    ) -> Findings:
        """Look for nodes that have all of this; Refused when too many searches are running."""
        now = self._clock.now()
        name, actions = self.view.search(
            now.mono_s,
            now.wall_s,
            most=most,
            model=model,
            accelerator=accelerator,
            accelerator_mib=accelerator_mib,
            memory_mib=memory_mib,
            fp32_mflops=fp32_mflops,
            among=among,
        )
        searching = self._searches[name] = Searching()
        try:
            self._do(actions)
            return await searching.findings(deadline_s)
        finally:
            del self._searches[name]
            self.view.searches.pop(name, None)

    async def introduce(self, key: bytes, addresses: tuple[str, ...]) -> bool:
        """Make a node our neighbour, from wherever we know it; tell whether that went well."""
        now = self._clock.now()
        if key == self.mesh.me or self.view.neighbours.memory.shuns(key, now.mono_s):
            return False
        if key not in self.view.neighbours.linked:
            peer = await self._contacts.meet(key, addresses, DIAL_S_MAX)
            if peer is not None:
                self._greet(peer, inbound=False)
        return key in self.view.neighbours.linked

    async def run(self) -> None:
        """Be in the view of others, and keep ours, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._telling.run)
                await self._telling.is_told.wait()
                nursery.start_soon(self._ticking.run)
                nursery.start_soon(self._keep_sweeping)
        finally:
            self._nursery = None
            self._forget_all()

    def _forget_all(self) -> None:
        """Be as before :meth:`run`: it may run again."""
        places, lines = dict(self._places), [*self._lines.values(), *self._leaving.values()]
        self._places.clear()
        self._lines.clear()
        self._leaving.clear()
        for line in lines:
            line.close()
        for key, peer in places.items():
            peer.neighbour = False
            self.view.on_disconnected(key, self._clock.now().mono_s)

    # --- as time goes by ------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.now()
        self._do(self.view.tick(now.mono_s, now.wall_s))

    async def _keep_sweeping(self) -> None:
        while True:
            await trio.sleep(SWEEP_S)
            self._telling.look()
            for key, peer in self._places.items():
                peer.neighbour = key in self.view.neighbours.linked
                if peer.rtt_s is not None:
                    self.view.on_round_trip(key, peer.rtt_s)
            idle_s = trio.current_time() - IDLE_S
            for key, line in list(self._lines.items()):
                if key not in self._places and line.used_at_s < idle_s:
                    line.close()
            await self._contacts.sweep(self._places)

    # --- what the view asks for -----------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Dial(key, addresses):
                    self._start(self._dial, key, addresses)
                case Ask():
                    self._start(self._ask, action)
                case Send(key, what):
                    line = self._lines.get(key)
                    if line is not None:
                        line.tell(what)
                case Drop(key):
                    self._let_go(key)
                case Misbehaved(key, reason, detail):
                    self.mesh.blame(key, reason, detail)
                case Found(search) | SearchEnded(search) if search in self._searches:
                    self._searches[search].take(action)
        self._ticking.wake()

    async def _dial(self, key: bytes, addresses: tuple[str, ...]) -> None:
        peer = await self._contacts.meet(key, addresses, DIAL_S_MAX - 1)
        if peer is None:
            self._do(self.view.on_dial_failed(key, self._clock.now().mono_s))
        else:
            self._greet(peer, inbound=False)

    async def _ask(self, ask: Ask) -> None:
        peer = await self._contacts.meet(ask.key, ask.addresses, ASK_S_MAX)
        if peer is None:
            self._do(self.view.on_ask_failed(ask.key, self._clock.now().mono_s))
        else:
            self._line(peer).tell(ask.query)

    def _greet(self, peer: Peer, *, inbound: bool) -> None:
        """Let the view give the node a place, or none."""
        now = self._clock.now()
        actions = self.view.on_connected(
            peer.key, now.mono_s, now.wall_s, inbound=inbound, advert=peer.hello.advert
        )
        around = self.view.neighbours
        if peer.key in around.linked or around.is_stranger(peer.key):
            self._places[peer.key] = peer
            peer.neighbour = peer.key in around.linked
            self._line(peer)
        else:
            self._let_go(peer.key)
        self._do(actions)

    def _let_go(self, key: bytes) -> None:
        peer = self._places.pop(key, None)
        if peer is not None:
            peer.neighbour = False
            self._contacts.note(key, LET_GO_S)
        line = self._lines.pop(key, None)
        if line is not None:
            # What was said to it last is where else to go: that is not lost.
            self._leaving[key] = line
            self._start(line.finish)

    # --- what others say ------------------------------------------------------------------------

    async def _serve(self, peer: Peer, wire: Framed) -> None:
        """Hear what comes on a stream that a node has opened."""
        if self._nursery is not None:
            await self._line(peer).serve(wire)

    def _line(self, peer: Peer) -> Line:
        line = self._lines.get(peer.key)
        if line is None or line.is_over:
            line = self._lines[peer.key] = Line(
                peer.key,
                lambda: self.mesh.wire(peer.key, PROTOCOL),
                self._hear,
                patient=peer.inbound,
            )
            self._start(self._keep_line, line)
        return line

    async def _keep_line(self, line: Line) -> None:
        await line.run()
        key, now_s = line.key, self._clock.now().mono_s
        if self._leaving.get(key) is line:
            del self._leaving[key]
        if self._lines.get(key) is line:
            del self._lines[key]
        if key not in self._lines:
            self._do(self.view.on_ask_failed(key, now_s))
            peer = self._places.pop(key, None)
            if peer is not None:
                peer.neighbour = False
                self._contacts.note(key, LET_GO_S)
                self._do(self.view.on_disconnected(key, now_s))
        if isinstance(line.error, RemoteProtocolError):
            self.mesh.blame(key, line.error.reason, line.error.detail)

    def _hear(self, key: bytes, frame: Frame) -> None:
        """Take one frame; what breaks a rule is raised, and ends the line."""
        now = self._clock.now()
        match frame:
            case StatementFrame(wire):
                self._give_place(key)
                self._do(self.view.on_advert(key, wire, now.mono_s, now.wall_s))
            case DocumentFrame(body):
                message = decode(body, Query, Answer, Summary, Wanted)
                if isinstance(message, Summary | Wanted):
                    self._give_place(key)
                self._do(self.view.on_message(key, message, now.mono_s, now.wall_s))
            case _:
                detail = f"{type(frame).__name__} on a stream of the view"
                raise RemoteProtocolError(Reason.UNEXPECTED, detail)

    def _give_place(self, key: bytes) -> None:
        """Who tells or wants adverts would be a neighbour."""
        peer = self.mesh.peers.get(key)
        if key not in self._places and key not in self._leaving and peer is not None:
            self._greet(peer, inbound=True)

    def _on_left(self, key: bytes, _reason: str) -> None:
        line = self._lines.get(key)
        if line is not None:
            line.close()

    def _start(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task, *arguments)
