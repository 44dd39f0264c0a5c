# SPDX-License-Identifier: MIT
"""What tests of whole nodes do with them: friends who meet, a model, an order, and waiting."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import trio

from node.config import Config, CreditConfig
from node.models.library import AtHand
from node.work.placed import Placed
from simulations.faults import Faults, late
from simulations.link import Traits
from simulations.node import MadeNode, MadeNodes, made_nodes
from simulations.transport import Net
from tests.node.api.asking import ask
from tests.node.work.made_model import BODY, DIGEST, GRAPH, WEIGHTS, items

#: An executor that knows the made model; an item takes a quarter second.
MODELS = {DIGEST: Traits(price=lambda *_: 50_000)}

#: Work is paid for, so that there is something to agree about.
PAID = Config(credit=CreditConfig(gift="none"))

Given = TypeVar("Given")


@asynccontextmanager
async def some_nodes(folder: Path) -> AsyncIterator[MadeNodes]:
    """Nodes that know the made model, in a network of their own; a day is the longest test."""
    with trio.fail_after(86_400):
        async with made_nodes(Net(), folder) as nodes:
            yield nodes


async def began(nodes: MadeNodes, name: str, config: Config = PAID, **more: Any) -> MadeNode:
    """Make a node that has the made model, and start it."""
    nodes.make(name, config, models=MODELS, **more)
    node = await nodes.start(name)
    await give_model(node)
    return node


async def friends(
    nodes: MadeNodes,
    *names: str,
    config: Config = PAID,
    faults: dict[str, Faults] | None = None,
    commit_s: float = 0.0,
) -> list[MadeNode]:
    """Start nodes, let the first found a private network, and the others join by its invite.

    `faults` are those of their executors, by name; a disk takes `commit_s` for a commit.
    """
    faulty = faults or {}
    made = [
        await began(nodes, name, config, faults=faulty.get(name), commit_s=commit_s)
        for name in names
    ]
    first, *others = made
    await said(first, "POST", "found", {"name": "friends", "private": True})
    await until(lambda: len(first.readies) == 2)
    invited = await said(first, "POST", "invite", {})
    for each in others:
        await said(each, "POST", "join", {"text": invited["text"]})
    await until(lambda: all(knows_all(each, made) for each in made))
    return made


async def said(node: MadeNode, method: str, name: str, body: object = None) -> dict[str, Any]:
    """Ask a node as its owner does; what it refuses is an error here."""
    answer = await ask(node.app, method, f"/v1/{name}", body)
    assert answer.status == 200, answer.body
    document: dict[str, Any] = answer.document
    return document


async def give_model(node: MadeNode, *, served: bool = False) -> None:
    """Put the made model on the shelf of a node, as its own; strangers may use what is served."""
    blobs = node.store.blobs
    (blobs / sha256(GRAPH).hexdigest()).write_bytes(GRAPH)
    (blobs / sha256(WEIGHTS).hexdigest()).write_bytes(WEIGHTS)
    await node.desk.ground.library.add(BODY, origin="", ours=True, served=served)


def model_of(node: MadeNode) -> AtHand:
    """Give the made model as this node has it."""
    found = node.desk.ground.library.find(DIGEST)
    assert found
    return found


async def order(
    node: MadeNode, worker: MadeNode, count: int = 2, *, seed: int = 0, ttl_s: int = 300
) -> Placed:
    """Have items computed by another node."""
    member = node.member
    return await member.requester.place(
        worker.key,
        model_of(node),
        items(count, seed=seed),
        ttl_s=ttl_s,
        addresses=member.addresses_of(worker.key),
    )


async def until(holds: Callable[[], bool], within_s: float = 600.0) -> float:
    """Wait until something holds; give the seconds that it took."""
    begin_s = trio.current_time()
    with trio.fail_after(within_s):
        while not holds():  # noqa: ASYNC110 - anything may be looked at, and time is virtual
            await trio.sleep(0.1)
    return trio.current_time() - begin_s


async def does(node: MadeNode, work: Callable[[], Awaitable[Given]]) -> Given | Exception | None:
    """Do something as this node; None when its process ended meanwhile."""
    done: list[Given | Exception] = []

    async def do() -> None:
        try:
            done.append(await work())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            done.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(do)
        await node.over.wait()
        nursery.cancel_scope.cancel()
    return done[0] if done else None


@asynccontextmanager
async def ordering(requester: MadeNode, worker: MadeNode) -> AsyncIterator[list[object]]:
    """Have an order placed beside the block; give the list that what became of it comes into."""
    told: list[object] = []

    async def place() -> None:
        told.append(await does(requester, lambda: order(requester, worker)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(place)
        yield told


def slow(name: str, seconds: float) -> dict[str, Faults]:
    """Let each call of one node's executor take so much longer."""
    return {name: lambda _called: late(seconds)}


def is_joined(node: MadeNode) -> bool:
    """Whether it is in a network now."""
    return not node.over.is_set() and node.desk.member is not None


def knows_all(node: MadeNode, others: list[MadeNode]) -> bool:
    """Whether it has the advert of everybody else."""
    if not is_joined(node):
        return False
    known = {each.node for each in node.member.viewing.adverts()}
    return {each.key for each in others if each is not node} <= known


async def moved(nodes: list[MadeNode], network: str) -> None:
    """Let nodes use another network, one after the other, and wait until they are in it."""
    for each in nodes:
        await said(each, "POST", "use", {"network": network})
    await until(lambda: all(each.readies[-1].network == network for each in nodes))


def totals(node: MadeNode, other: MadeNode) -> tuple[int, int]:
    """What a node has signed for another one, and what it holds from it."""
    account = node.member.accounts.books.account(other.key)
    return account.signed_total, account.held_total


def agreed(one: MadeNode, other: MadeNode) -> tuple[int, int]:
    """The two integers, which both nodes have alike."""
    signed, held = totals(one, other)
    assert totals(other, one) == (held, signed)
    return signed, held


def events(node: MadeNode, name: str) -> list[dict[str, object]]:
    """What a node has told of something that happened in its last life."""
    return [dict(each.fields) for each in node.desk.happenings.since(0) if each.event == name]
