# SPDX-License-Identifier: MIT
"""One story of eight nodes that is told twice: by real processes, and in a made world.

It is written once (:func:`tell_story`) against a small :class:`Tier`. Both tiers run the same
node, and both are asked the same way, through the control API: who is there, and what was said.

A busy machine is late, and what is said depends on the time. So the real tier notes the moment of
each act, and the made one acts at the same moments: what differs then is the world, not the clock.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import trio

from simulations.determinism import run_in_virtual_time
from simulations.links import LinkTraits
from simulations.sim import Sim, made_sim
from tests.e2e.forked import Spawner
from tests.e2e.nodes import PATIENCE_S, Node, nodes
from tests.node.api.asking import ask

NODES = 8

#: Nothing is counted apart until the first news have gone round.
CALM_S = 3.0

#: Between processes of one machine: a message is there before anybody has looked at the clock.
LOOPBACK = LinkTraits(latency_s=0.00005, jitter_s=0.00001)

#: The parts of the story.
MEETING = "eight come in by one"
TROUBLE = "one is killed and returns, a ninth comes"
STEADY = "nothing happens"
ALL = "all of it"


class Tier(Protocol):
    """Eight nodes and a ninth, by their numbers; the first one is the way in for all others."""

    async def start(self, number: int) -> None:
        """Start a node, for the first time or again; return when it is ready."""
        ...

    async def kill(self, number: int) -> None:
        """End a process at once, as `kill -9` does."""
        ...

    async def get(self, number: int, path: str) -> dict[str, Any]:
        """Ask a node's control API."""
        ...

    async def moment(self, after_s: float = 0.0) -> float:
        """Wait for the moment of the next act, so long after the last one; give what time it is."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """What was said by some nodes in frames, by protocol, in so many seconds."""

    frames: Counter[str]
    seconds: float


@dataclass(slots=True)
class Told:
    """What became of the story: what has come true, and what was said in each part of it."""

    verdicts: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)


async def tell_story(tier: Tier, steady_s: float) -> Told:
    """Eight come in by one; one of them is killed and returns; a ninth comes; all is calm."""
    story = _Story(tier)
    everybody, killed, newcomer = range(NODES), NODES // 2, NODES
    left = [each for each in everybody if each != killed]
    for number in everybody:
        await story.start(number)
    await story.comes("all know all", lambda: story.all_know(everybody))
    story.told.counts[MEETING] = await story.count(everybody, CALM_S)

    before = await story.count(left)
    who = story.peers[killed]
    await tier.kill(killed)
    await story.comes("it has left", lambda: story.has_left(killed, left))
    await story.start(killed)
    story.told.verdicts["it is who it was"] = story.peers[killed] == who
    await story.comes("it is back", lambda: story.is_back(killed, left))
    await story.start(newcomer)
    every = range(NODES + 1)
    await story.comes("all know the ninth, and it all", lambda: story.all_know(every))
    story.told.counts[TROUBLE] = _between(before, await story.count(left, CALM_S))

    before = await story.count(every)
    story.told.counts[STEADY] = _between(before, await story.count(every, steady_s))
    story.told.counts[ALL] = await story.count(left)
    bans = [(await tier.get(each, "/v1/peers?all=1"))["bans"] for each in every]
    story.told.verdicts["nobody is banned"] = not any(bans)
    return story.told


class _Story:
    """What is known of the nodes while the story is told."""

    def __init__(self, tier: Tier) -> None:
        self.told = Told()
        self.peers: dict[int, str] = {}
        self._tier = tier

    async def start(self, number: int) -> None:
        await self._tier.start(number)
        self.peers[number] = (await self._tier.get(number, "/v1/status"))["peer"]

    async def comes(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Note whether this comes true; it has long enough on any machine."""
        self.told.verdicts[what] = False
        with trio.move_on_after(PATIENCE_S):
            while not await holds():  # noqa: ASYNC110 - it asks other processes
                await trio.sleep(0.2)
            self.told.verdicts[what] = True

    async def count(self, numbers: Sequence[int], after_s: float = 0.0) -> Count:
        """Count what these have said when so much time has passed."""
        at_s = await self._tier.moment(after_s)
        frames: Counter[str] = Counter()
        for number in numbers:
            for each in (await self._tier.get(number, "/v1/status"))["traffic"]:
                frames[each["protocol"]] += each["sent_frames"]
        return Count(frames, at_s)

    async def all_know(self, numbers: Sequence[int]) -> bool:
        """Tell whether each of these has the adverts of all others."""
        wanted = {self.peers[each] for each in numbers}
        known = [await self._found(each, "adverts") | {self.peers[each]} for each in numbers]
        return all(found >= wanted for found in known)

    async def has_left(self, number: int, others: Sequence[int]) -> bool:
        """Tell whether it is nobody's peer."""
        peers = [await self._found(each, "peers") for each in others]
        return not any(self.peers[number] in found for found in peers)

    async def is_back(self, number: int, others: Sequence[int]) -> bool:
        """Tell whether it is somebody's peer and knows all."""
        wanted = {self.peers[each] for each in others}
        is_alone = await self.has_left(number, others)
        return not is_alone and await self._found(number, "adverts") >= wanted

    async def _found(self, number: int, what: str) -> set[str]:
        return {each["peer"] for each in (await self._tier.get(number, "/v1/peers?all=1"))[what]}


def _between(before: Count, after: Count) -> Count:
    return Count(after.frames - before.frames, after.seconds - before.seconds)


# --- real processes -------------------------------------------------------------------------------


class Processes:
    """Real nodes on loopback. When each act was is noted in `moments`."""

    def __init__(self, made: Sequence[Node]) -> None:
        """Begin now."""
        self.moments: list[float] = []
        self._nodes = made
        self._begin_s = trio.current_time()

    async def start(self, number: int) -> None:
        """Fork a node."""
        node = self._nodes[number]
        if number:
            node.environ["COMMONS_MESH_BOOTSTRAP"] = self._nodes[0].address
        node.fork().wait_ready()
        await self.moment()

    async def kill(self, number: int) -> None:
        """Kill it."""
        await self.moment()
        self._nodes[number].kill()

    async def get(self, number: int, path: str) -> dict[str, Any]:
        """Ask on its socket."""
        return self._nodes[number].get(path)

    async def moment(self, after_s: float = 0.0) -> float:
        """Note that the moment is now."""
        await trio.sleep(after_s)
        self.moments.append(trio.current_time() - self._begin_s)
        return self.moments[-1]


def told_by_processes(
    folder: Path, spawner: Spawner, steady_s: float
) -> tuple[Told, Sequence[float]]:
    """Have the story told by real processes; give the moments of its acts, too."""

    async def tell() -> tuple[Told, Sequence[float]]:
        with nodes(folder, NODES + 1, spawner=spawner) as made:
            tier = Processes(made)
            return await tell_story(tier, steady_s), tier.moments

    return trio.run(tell)


# --- a made world ---------------------------------------------------------------------------------


class Made:
    """Made nodes on loopback, who act at the moments of others."""

    def __init__(self, sim: Sim, moments: Sequence[float]) -> None:
        """Make the nodes; none of them is started."""
        self._sim = sim
        self._moments = iter(moments)
        self._nodes = [sim.make(address=f"127.0.0.{number + 1}") for number in range(NODES + 1)]
        sim.link(self._nodes, self._nodes, LOOPBACK)

    async def start(self, number: int) -> None:
        """Start a node when the other one was ready."""
        await self.moment()
        node = self._nodes[number]
        if node.starts:
            await self._sim.restart(node)
        else:
            await self._sim.bring_in([node])

    async def kill(self, number: int) -> None:
        """Crash it."""
        await self.moment()
        self._sim.crash(self._nodes[number])

    async def get(self, number: int, path: str) -> dict[str, Any]:
        """Ask its API without a server between."""
        answer = await ask(self._nodes[number].app, "GET", path)
        document: dict[str, Any] = answer.document
        return document

    async def moment(self, after_s: float = 0.0) -> float:
        """Wait until it was time in the other tier, however late that was."""
        del after_s
        at_s = next(self._moments)
        await self._sim.sleep(max(0.0, at_s - self._sim.now_s))
        return self._sim.now_s


def told_by_a_made_world(moments: Sequence[float], seed: int, steady_s: float) -> Told:
    """Have the story told in virtual time."""

    async def tell() -> Told:
        async with made_sim(seed) as sim:
            return await tell_story(Made(sim, moments), steady_s)

    return run_in_virtual_time(str(seed), tell)
