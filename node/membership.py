# SPDX-License-Identifier: MIT
"""The life of a node in one network: its connections, its view, its accounts, its orders.

Another network is another membership, with other accounts; what belongs to the machine (key,
models, executor, governor) stays in `ground`. Here the parts are only put together: each says
in its own file what it does. Arrows go down: accounts know no mesh, and the mesh no accounts.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.ground import Ground
from node.log import Log
from node.mesh.addresses import Reach, announced
from node.mesh.behaviour import Behaviour
from node.mesh.cache import PeerCache
from node.mesh.discovery import Discovery, bootstrap_of
from node.mesh.mesh import Mesh
from node.mesh.peer import Peer
from node.mesh.viewing import Viewing
from node.models.serve import BLOB, Serving
from node.networks import Network
from node.paths import make_private
from node.ports import listening
from node.store.tables import NETWORK
from node.work.accounts import Accounts, budget_rules
from node.work.admission import Admission
from node.work.beside import beside
from node.work.checking import Checking
from node.work.description import TTL_S, Description
from node.work.disk import Disk
from node.work.fetching import Fetching
from node.work.orders import Orders
from node.work.quotas import Kind
from node.work.receipts import Receipts
from node.work.requester import Requester
from node.work.results import Results
from node.work.trying import Trying
from node.work.wires import BOOKS, WORK
from node.work.worker import Worker
from node.work.working import Working
from protocol.actions import Dial
from protocol.errors import Refused
from protocol.keys import peer_id
from protocol.known import verifier
from protocol.order import Role
from protocol.reasons import Reason

#: A missed renewal of the advert does no harm: there is time for another one.
RENEW_S = TTL_S * 5 / 12


@dataclass(slots=True)
class Membership:
    """The parts, all of them at work inside :func:`member_of`."""

    ground: Ground
    network: Network
    accounts: Accounts
    reach: Reach
    description: Description
    mesh: Mesh
    viewing: Viewing
    discovery: Discovery
    receipts: Receipts
    working: Working
    requester: Requester
    trying: Trying
    orders: Orders
    began_s: float
    earned_before_cu: int

    @property
    def earned_cu(self) -> int:
        """What others have signed to owe this node in all, whether it was spent or not."""
        return sum(each.held_total for each in self.accounts.books.accounts.values())

    @property
    def newer_secret(self) -> int:
        """The version of a secret that others have and this node has not; 0 when there is none."""
        heard = self.mesh.newest_secret
        return heard if heard > self.network.newest else 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others may dial this node."""
        return _addresses(self.ground, self.mesh)

    def addresses_of(self, key: bytes) -> tuple[str, ...]:
        """Say where a node can be dialled, as far as its advert is known."""
        found = [each.advert for each in self.viewing.adverts() if each.node == key]
        return found[0].addresses if found else ()

    def on_met(self, peer: Peer) -> None:
        """Tell those who want to know that a peer is here."""
        self.receipts.met(peer.key, peer.hello.held_total, peer.hello.signed_total)
        if peer.inbound and self.reach.on_dialled(peer.address):
            self.viewing.renew_soon()
        self.ground.happenings.post("peer_met", peer=peer_id(peer.key), address=peer.address)

    def on_left(self, key: bytes, why: str) -> None:
        """Tell them that it is gone."""
        self.receipts.left(key)
        self.ground.happenings.post("peer_left", peer=peer_id(key), why=why)

    def use_limits(self) -> None:
        """Describe this node anew: the limits of the ground have changed."""
        self.description.config = self.ground.config
        self.viewing.renew_soon()

    def use_secrets(self, network: Network) -> None:
        """Go on with other secrets of the same network; who is connected stays."""
        self.network = self.mesh.network = network

    async def wind_down(self, reason: Reason, grace_s: float) -> None:
        """Take nothing new on, and end running work, or give it back."""
        await self.working.hand_back(reason, grace_s)


@asynccontextmanager
async def member_of(network: Network, ground: Ground) -> AsyncIterator[Membership]:
    """Be in a network inside the block."""
    world, config, identity = ground.world, ground.config, ground.identity
    post = ground.happenings.post
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(world.store.open(f"network-{network.id.hex()}", NETWORK))
        rules = budget_rules(config.credit.budget_cu, await _capacity_cu_per_s(ground))
        accounts = Accounts(identity.keypair, network.id, rules, database, world.clock, post)
        await enter(accounts.open())
        nursery = await enter(beside())
        keep = partial(nursery.start_soon, ground.supervised.keep)

        reach, behaviour = Reach(), Behaviour(world.clock, database)
        introduction = _Introduction(accounts)
        mesh = Mesh(
            *(world.clock, identity.keypair, network, introduction, behaviour, config.mesh),
            up=ground.up,
            down=ground.down,
        )
        description = _description(ground, network, accounts, mesh, reach)
        introduction.description = description
        bootstrap = bootstrap_of(network, config.mesh.bootstrap)
        viewing = _viewing(ground, mesh, description, bootstrap)
        cache = PeerCache(verifier(network.id), database)
        cache.load(viewing.view, world.clock.now().wall_s)

        receipts = Receipts(accounts, mesh, post)
        orders, results = Orders(database, world.clock), Results(_results_of(ground, network))
        disk = _disk(ground, results)
        fetching = Fetching(nursery, ground.library, mesh, disk.may_fetch, post)
        admission = _admission(ground, accounts, fetching, disk)
        after = (orders, results)
        working = Working(
            *(accounts, admission, world.executor, *after, world.clock, post),
            note=behaviour.note_order,
        )
        # An own order needs its model until it is paid, whichever process goes on with it.
        disk.in_use = lambda: working.models | orders.models_open(Role.REQUESTER)
        worker = Worker(accounts, admission, working, *after, receipts, post)
        checking = Checking(accounts, world.executor, world.clock)
        requester = Requester(
            *(accounts, ground.library, checking, *after, receipts, mesh, world.clock, post)
        )
        trying = Trying(accounts, requester, ground.library, world.executor)
        for work in (receipts, working, requester):
            await enter(work.open())
        ground.quiet = working.wait_quiet

        mesh.speak(WORK, worker.serve)
        mesh.speak(BOOKS, receipts.serve)
        mesh.speak(BLOB, Serving(ground.library, partial(_may_send, ground)).serve)
        discovery = Discovery(
            *(viewing, world.clock, cache),
            bootstrap=bootstrap,
            host=world.host if config.mesh.mdns else None,
            addresses=partial(_addresses, ground, mesh),
        )
        member = Membership(
            *(ground, network, accounts, reach, description, mesh, viewing, discovery),
            *(receipts, working, requester, trying, orders, world.clock.now().wall_s, 0),
        )
        member.earned_before_cu = member.earned_cu
        mesh.watch(member.on_met, member.on_left)
        on = partial(mesh.open, world.transport, identity.seed)
        await enter(listening(ground.database, world.clock, config.mesh.listen, on))
        keep("behaviour", behaviour.keep)
        keep("view", viewing.run)
        keep("discovery", discovery.run)
        yield member


def _viewing(
    ground: Ground, mesh: Mesh, description: Description, bootstrap: Sequence[Dial]
) -> Viewing:
    return Viewing(
        *(mesh, ground.world.clock, description.sealed),
        bootstrap=tuple(bootstrap),
        models=ground.library.digests,
        renew_s=RENEW_S,
    )


class _Introduction:
    """What hello carries: the advert of the description, the totals of the accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.description: Description | None = None

    @property
    def incarnation(self) -> bytes:
        return self._accounts.books.incarnation

    def advert(self) -> bytes:
        return self.description.current() if self.description else b""

    def totals(self, peer: bytes) -> tuple[int, int]:
        return self._accounts.totals(peer)


def _addresses(ground: Ground, mesh: Mesh) -> tuple[str, ...]:
    return announced(mesh.addresses, ground.config.mesh.announce)


def _description(
    ground: Ground, network: Network, accounts: Accounts, mesh: Mesh, reach: Reach
) -> Description:
    return Description(
        keypair=ground.identity.keypair,
        network=network.id,
        incarnation=accounts.books.incarnation,
        config=ground.config,
        clock=ground.world.clock,
        probe=ground.probe,
        addresses=partial(_addresses, ground, mesh),
        reach=reach.of,
        models=ground.models_at_hand,
        ttl_s=TTL_S,
    )


async def _capacity_cu_per_s(ground: Ground) -> int:
    """Tell what this machine could earn in a second; a machine that cannot tell lends little."""
    try:
        hardware = await ground.probe()
    except Refused as refused:
        Log().warning("hardware_unknown", error=refused.detail)
        return 1
    executor = ground.config.executor
    cores = min(hardware.cores, executor.runners * executor.threads)
    return max(1, hardware.fp32_cu_per_s * cores)


def _disk(ground: Ground, results: Results) -> Disk:
    return Disk(
        lambda: ground.config.governor,
        lambda: ground.governing.seen,
        *(ground.library, results, ground.quotas, ground.world.clock, ground.happenings.post),
    )


def _admission(ground: Ground, accounts: Accounts, fetching: Fetching, disk: Disk) -> Admission:
    executor, may_work = ground.world.executor, ground.governing.may_work
    return Admission(
        *(accounts, ground.library, executor, may_work, fetching.want),
        gift=ground.config.credit.gift,
        may_keep=disk.may_keep,
    )


def _may_send(ground: Ground, size_bytes: int) -> tuple[Reason | None, str]:
    return ground.quotas.take(Kind.BLOBS, size_bytes, ground.world.clock.now())


def _results_of(ground: Ground, network: Network) -> Path:
    """Name the folder of what was computed; it is nobody else's business what is in it."""
    return make_private(ground.world.paths.state / "results" / network.id.hex())
