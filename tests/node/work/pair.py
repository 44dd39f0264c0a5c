# SPDX-License-Identifier: MIT
"""Two nodes that work for each other, with cables between them that a test may cut at any step.

Real are accounts, orders, worker, requester, library and frames; made are the cable, the disk
and the runners. A node can crash and be started again on what its disk has kept.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import trio

from node.executor.aside import at_once
from node.executor.executor import Executor
from node.executor.leases import PoolLimits
from node.mesh.framed import Framed, framed
from node.mesh.transport import Lost, TransportError
from node.models.library import AtHand, Library, Look
from node.models.serve import BLOB, Serving
from node.store.journal import Journal
from node.store.tables import NETWORK, NODE
from node.work.accounts import Accounts
from node.work.admission import Admission
from node.work.beside import beside
from node.work.checking import Checking
from node.work.fetching import Fetching
from node.work.orders import Orders
from node.work.receipts import Receipts
from node.work.requester import Requester
from node.work.results import Results
from node.work.wires import BOOKS, WORK
from node.work.worker import Worker
from node.work.working import Working
from protocol.books import Books
from protocol.budget import BudgetRules
from protocol.errors import CommonsError, RemoteProtocolError
from protocol.hello import network_id
from protocol.keys import Keypair
from protocol.model import Manifest
from protocol.reasons import Reason
from simulations.clock import VirtualClock
from simulations.executor import SimulatedExecutor
from simulations.faults import Faults
from simulations.link import Traits
from simulations.store import SimulatedStore
from tests.node.work.cables import Cable
from tests.node.work.made_model import BODY, DIGEST, GRAPH, WEIGHTS

NETWORK_ID = network_id("a pair", b"two friends.....")
RULES = BudgetRules(size_cu=10_000_000, refill_cu_per_s=100)

Given = TypeVar("Given")


@dataclass(eq=False)
class Seen:
    """A peer as work sees it."""

    key: bytes
    member: bool = False
    trusted: bool = False

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


async def looks_fine(_manifest: Manifest, _graph: Path) -> None:
    await trio.lowlevel.checkpoint()


async def may_all(*_: object) -> tuple[Reason | None, str]:
    await trio.lowlevel.checkpoint()
    return None, ""


@dataclass(eq=False)
class Node:
    """One node. It runs inside :meth:`run`, any number of times."""

    world: "World"
    name: str
    folder: Path
    faults: Faults | None = None
    member: bool = True
    rules: BudgetRules = RULES
    knows: bool = True
    gift: str = "none"
    may_work: Callable[[], tuple[Reason | None, str]] = lambda: (None, "")
    may_fetch: Callable[[object, int], Awaitable[tuple[Reason | None, str]]] = may_all
    room_bytes: int = 1 << 28
    made_executor: Executor | None = None
    look: Look = looks_fine
    rogue: Callable[[Seen, Framed], Awaitable[None]] | None = None
    posts: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    blamed: list[tuple[bytes, Reason, str]] = field(default_factory=list)
    noted: list[tuple[bytes, bool]] = field(default_factory=list)
    scope: trio.CancelScope | None = None
    is_up: bool = False

    def __post_init__(self) -> None:
        self.clock = VirtualClock(self.name)
        self.key = Keypair(sha256(self.name.encode()).digest())
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "blobs").mkdir(exist_ok=True)
        self.store = SimulatedStore(self.folder / "blobs", watch=self._watch)
        self.starts = 0
        self.down = trio.Event()

    @property
    def public(self) -> bytes:
        return self.key.public

    def _watch(self, _name: str, _sql: str) -> None:
        if self.is_up:
            self.step("disk")

    def step(self, what: str) -> None:
        """Something of this node is about to leave it, or to be written."""
        if self.world.on_step:
            self.world.on_step(self, what)

    def post(self, event: str, /, **fields: object) -> None:
        self.posts.append((event, fields))

    def blame(self, key: bytes, reason: Reason, detail: str) -> None:
        self.blamed.append((key, reason, detail))

    def note_order(self, key: bytes, *, well: bool) -> None:
        self.noted.append((key, well))

    @asynccontextmanager
    async def wire(
        self, key: bytes, protocol: str, addresses: Sequence[str] = ()
    ) -> AsyncIterator[Framed]:
        del addresses
        async with self.world.wire(self, key, protocol) as wire:
            yield wire

    def crash(self) -> None:
        """Be gone at once, with all that was not committed."""
        self.is_up = False
        self.store.crash()
        self.world.part()
        if self.scope:
            self.scope.cancel()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Be a node inside the block."""
        self.starts += 1
        self.clock = VirtualClock(f"{self.name} {self.starts}")
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            self.machine = machine = await enter(self.store.open("node", NODE))
            database = await enter(self.store.open("network", NETWORK))
            blobs, folders = self.folder / "blobs", self.folder / "models"
            self.library = Library(machine, blobs, folders, self.clock, self.look)
            await self.library.open()
            if self.knows and not self.library.find(DIGEST):
                (blobs / sha256(GRAPH).hexdigest()).write_bytes(GRAPH)
                (blobs / sha256(WEIGHTS).hexdigest()).write_bytes(WEIGHTS)
                await self.library.add(BODY, origin="", ours=True)
            simulated = SimulatedExecutor(
                PoolLimits(runners=2),
                {DIGEST: Traits(price=lambda *_: 50_000)},
                faults=self.faults,
            )
            await enter(simulated.open())
            self.executor: Executor = self.made_executor or simulated
            self.nursery = await enter(beside())
            self.accounts = Accounts(
                *(self.key, NETWORK_ID, self.rules, database, self.clock, self.post)
            )
            await enter(self.accounts.open())
            self.receipts = Receipts(self.accounts, self, self.post)
            self.results, self.database = Results(self.folder / "results"), database
            kept = (Orders(database, self.clock), self.results)
            fetching = Fetching(self.nursery, self.library, self, self.may_fetch, self.post)
            self.admission = Admission(
                *(self.accounts, self.library, self.executor, self.may_work, fetching.want),
                gift=self.gift,
                room_bytes=self.room_bytes,
            )
            self.working = Working(
                *(self.accounts, self.admission, self.executor, *kept, self.clock, self.post),
                note=self.note_order,
            )
            self.worker = Worker(
                *(self.accounts, self.admission, self.working, *kept, self.receipts, self.post)
            )
            checking = Checking(self.accounts, self.executor, self.clock)
            self.requester = Requester(
                *(self.accounts, self.library, checking, *kept),
                *(self.receipts, self, self.clock, self.post),
            )
            for part in (self.receipts, self.working, self.requester):
                await enter(part.open())
            self.serving = Serving(self.library, lambda _size: (None, ""))
            self.is_up = True
            try:
                yield
            finally:
                self.is_up = False
                self.world.part()

    async def live(self, *, started: trio.Event | None = None) -> None:
        """Run until it crashes or is cancelled."""
        self.down = trio.Event()
        try:
            with trio.CancelScope() as self.scope:
                async with self.run():
                    if started is not None:
                        started.set()
                    await trio.sleep_forever()
        finally:
            self.down.set()

    async def does(self, work: Callable[[], Awaitable[Given]]) -> Given | Exception | None:
        """Do something as this node; None when it crashed meanwhile."""
        done: list[Given | Exception] = []

        async def do() -> None:
            try:
                done.append(await work())
            except (CommonsError, TransportError) as error:
                done.append(error)
            over.set()

        over = trio.Event()
        self.nursery.start_soon(do)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_then, self.down, nursery.cancel_scope)
            nursery.start_soon(_then, over, nursery.cancel_scope)
        return done[0] if done else None

    async def handle(self, protocol: str, peer: "Node", wire: Framed) -> None:
        seen = Seen(peer.public, member=peer.member)
        handlers: dict[str, Callable[[Seen, Framed], Awaitable[None]]] = {
            WORK: self.rogue or self.worker.serve,
            BOOKS: self.receipts.serve,
            BLOB: self.serving.serve,
        }
        try:
            await handlers[protocol](seen, wire)
            await wire.end()
        except RemoteProtocolError as error:
            self.blame(peer.public, error.reason, error.detail)
            await wire.stream.reset()
        except (TransportError, CommonsError) as error:
            self.post("stream_ended", error=str(error))
            await wire.stream.reset()

    def model(self) -> AtHand:
        found = self.library.find(DIGEST)
        assert found
        return found


async def _then(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


class World:
    """Both nodes, and what is between them."""

    def __init__(self, nursery: trio.Nursery, folder: Path) -> None:
        self.nursery = nursery
        self.on_step: Callable[[Node, str], None] | None = None
        self.cables: list[Cable] = []
        self.met = False
        self.ann = Node(self, "ann", folder / "ann")
        self.bob = Node(self, "bob", folder / "bob")

    def other(self, key: bytes) -> Node:
        return self.ann if key == self.ann.public else self.bob

    def part(self) -> None:
        """Cut every cable: the nodes are not connected any more."""
        self.met = False
        for cable in self.cables:
            cable.cut()
        self.cables.clear()
        for node, peer in ((self.ann, self.bob), (self.bob, self.ann)):
            if node.is_up:
                node.receipts.left(peer.public)

    def meet(self) -> None:
        """Connect, and compare totals as hello does."""
        if self.met:
            return
        self.met = True
        ann, bob = self.ann, self.bob
        of_ann, of_bob = ann.accounts.totals(bob.public), bob.accounts.totals(ann.public)
        ann.receipts.met(bob.public, *of_bob)
        bob.receipts.met(ann.public, *of_ann)

    @asynccontextmanager
    async def wire(self, node: Node, key: bytes, protocol: str) -> AsyncIterator[Framed]:
        peer = self.other(key)
        await trio.lowlevel.checkpoint()
        if not peer.is_up or not node.is_up:
            raise Lost("it is not there")
        self.meet()
        cable = Cable(node.step, peer.step)
        self.cables.append(cable)
        peer.nursery.start_soon(self._serve, peer, node, protocol, cable)
        async with framed(cable.ends[0]) as wire:  # type: ignore[arg-type]  # a stream without a connection
            yield wire
            if not cable.is_cut:
                await wire.end()

    async def _serve(self, peer: Node, node: Node, protocol: str, cable: Cable) -> None:
        async with framed(cable.ends[1]) as wire:  # type: ignore[arg-type]  # a stream without a connection
            await peer.handle(protocol, node, wire)

    async def start(self, *nodes: Node) -> None:
        for node in nodes or (self.ann, self.bob):
            started = trio.Event()
            self.nursery.start_soon(lambda node=node, started=started: node.live(started=started))
            await started.wait()

    def replayed(self, node: Node) -> Books:
        """Make a node's books anew from what is on its disk."""
        books = Books(node.key, NETWORK_ID, node.rules)
        for event in Journal(node.database).replay():
            books.apply(event)
        return books

    async def agree(self) -> tuple[int, int]:
        """The two integers, which both nodes must have alike."""
        of_ann = self.ann.accounts.books.account(self.bob.public)
        of_bob = self.bob.accounts.books.account(self.ann.public)
        assert of_ann.signed_total == of_bob.held_total, (of_ann, of_bob)
        assert of_bob.signed_total == of_ann.held_total, (of_ann, of_bob)
        for node in (self.ann, self.bob):
            await node.accounts.write(()).wait()
            again = self.replayed(node)
            assert again.accounts == node.accounts.books.accounts
            assert again.bucket.tokens == node.accounts.books.bucket.tokens
        return of_ann.signed_total, of_bob.signed_total


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    """Make both nodes. What is done aside is done at once: virtual time knows no threads."""
    with at_once(), trio.fail_after(100_000):
        async with beside() as nursery:
            yield World(nursery, folder)
