# SPDX-License-Identifier: MIT
"""A node that is none: it answers as a running one would, and remembers what it was asked."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.api.documents import (
    AdvertInfo,
    BanInfo,
    CreditInfo,
    Finding,
    Invited,
    Limits,
    NetworkInfo,
    PeerInfo,
    PeersCount,
    Progress,
    Standing,
    Status,
    TrafficInfo,
    Tried,
    WorkDone,
)
from node.api.node import Node
from node.clock import SystemClock
from node.config_key import Value
from node.errors import NotFound
from node.happenings import Happenings
from node.log import Log
from protocol.events import Instant
from protocol.keys import Keypair, peer_id

ME = peer_id(Keypair(bytes([1]) * 32).public)
WORKER_KEY = Keypair(bytes([2]) * 32).public
WORKER = peer_id(WORKER_KEY)
OTHER = peer_id(Keypair(bytes([3]) * 32).public)
NETWORK = NetworkInfo(id="ab" * 16, name="home", private=True, active=True, secret_versions=(1, 2))
OPEN = NetworkInfo(id="cd" * 16, name="commons", private=False, active=False)
ACTIVE = Standing(True, "active", "", "It works: nothing stands against it.")
PAUSED = Standing(False, "paused", "paused", "It rests: its owner paused it.", 7200.0)
STATUS = Status(
    version="0.1.0",
    peer=ME,
    uptime_s=7260.5,
    tasks=61,
    standing=ACTIVE,
    network=NETWORK,
    addresses=("/ip4/192.0.2.7/tcp/4001",),
    peers=PeersCount(connected=2, members=1, known=14),
    work=WorkDone(running=1, done=312, failed=2, refused=5, earned_cu=4_000_000),
    credit=CreditInfo(
        earned_cu=9_000_000,
        spent_cu=2_500_000,
        balance_cu=6_500_000,
        lent_cu=100_000,
        budget_cu=2_000_000_000,
    ),
    traffic=(TrafficInfo("/commons/view/1", 1_210, 98_400, 1_187, 96_250),),
    notes=("No other node has dialled this one yet.",),
)
PEERS = (
    PeerInfo(
        *(WORKER, "", "out", "/ip4/192.0.2.9/tcp/4001", 0.0123, 3600.0, True, 1.0),
        *(1_572_864.0, 40_960.0, 12, 1),
    ),
    PeerInfo(OTHER, "attic", "in", "/ip4/198.51.100.3/tcp/53412", None, 12.5, False, 0.5),
)
ADVERT = AdvertInfo(
    peer=WORKER,
    addresses=("/ip4/192.0.2.9/tcp/4001",),
    cores=8,
    memory_mib=16384,
    disk_mib=204800,
    accelerator="",
    fp32_mflops=98_000,
    memory_mbps=21_000,
    models=3,
    age_s=120.0,
    connected=True,
    rtt_s=0.0123,
)
BAN = BanInfo(OTHER, "banned", "it asked too often", 3600.0)
FINDINGS = (
    Finding("identity", "pass", "The key is there, and only its owner can read it."),
    Finding("clock", "warn", "It is 40 s away from the others.", "Set the clock."),
)
INVITED = Invited("commons://0123abc", NETWORK, 1_900_000_000)
TRIED = Tried(
    worker=WORKER,
    model="bafkreihqx5g4",
    name="m",
    why="bit by bit",
    sizes={"rows": 4},
    items=2,
    price_cu=1_200,
    paid_cu=1_200,
    is_gift=False,
    acked=True,
    checked=2,
    wrong="",
    wrong_item=0,
    owed_before=300,
    owed_after=1_500,
    times_s={"intake": 0.5, "work": 0.25},
    output="float[2, 32]",
    numbers=(0.5, -1.25),
)
LIMITS: Limits = {
    "governor.others_percent": 60,
    "governor.hours": ("22:00-07:00",),
    "governor.only_idle": False,
    "executor.threads": 1,
}


class StoppedClock(SystemClock):
    """Always the same moment, so that examples stay as they are written."""

    def now(self) -> Instant:
        return Instant(mono_s=5.0, wall_s=1_800_000_000.25)


class FakeNode:
    """Answers from the constants above. `instead` puts work in the place of an answer."""

    def __init__(self, **instead: Callable[..., Awaitable[Any]]) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.instead = instead
        self.stopped = False
        self._happenings = Happenings(StoppedClock(), Log())
        self._limits = dict(LIMITS)

    @property
    def happenings(self) -> Happenings:
        return self._happenings

    async def _answer(self, name: str, answer: Any, *asked: object) -> Any:
        self.asked.append((name, *asked))
        if name in self.instead:
            return await self.instead[name](*asked)
        return answer

    async def status(self) -> Status:
        return await self._answer("status", STATUS)  # type: ignore[no-any-return]  # the answer is one

    async def doctor(self) -> tuple[Finding, ...]:
        return await self._answer("doctor", FINDINGS)  # type: ignore[no-any-return]  # the answer is one

    async def peers(self) -> tuple[PeerInfo, ...]:
        return await self._answer("peers", PEERS)  # type: ignore[no-any-return]  # the answer is one

    async def adverts(self) -> tuple[AdvertInfo, ...]:
        return await self._answer("adverts", (ADVERT,))  # type: ignore[no-any-return]  # the answer is one

    async def bans(self) -> tuple[BanInfo, ...]:
        return await self._answer("bans", (BAN,))  # type: ignore[no-any-return]  # the answer is one

    async def ban(self, peer: bytes, for_s: float, detail: str) -> BanInfo:
        made = BanInfo(peer_id(peer), "banned", detail, for_s)
        return await self._answer("ban", made, peer, for_s, detail)  # type: ignore[no-any-return]  # the answer is one

    async def unban(self, peer: bytes) -> None:
        await self._answer("unban", None, peer)
        if peer_id(peer) != OTHER:
            raise NotFound(f"{peer_id(peer)} is not banned.")

    async def networks(self) -> tuple[NetworkInfo, ...]:
        return await self._answer("networks", (NETWORK, OPEN))  # type: ignore[no-any-return]  # the answer is one

    async def invite(self, for_s: float) -> Invited:
        return await self._answer("invite", INVITED, for_s)  # type: ignore[no-any-return]  # the answer is one

    async def join(self, text: str) -> NetworkInfo:
        return await self._network("join", text)

    async def leave(self, network: str) -> NetworkInfo:
        return await self._network("leave", network)

    async def found(self, name: str, private: bool) -> NetworkInfo:
        made = replace(NETWORK, name=name, private=private)
        return await self._answer("found", made, name, private)  # type: ignore[no-any-return]  # the answer is one

    async def use(self, network: str) -> NetworkInfo:
        if network != NETWORK.name:
            raise NotFound(f"there is no network `{network}` here; there are: home, commons.")
        return await self._network("use", network)

    async def rotate(self) -> NetworkInfo:
        return await self._network("rotate")

    async def retire(self, version: int) -> NetworkInfo:
        return await self._network("retire", version)

    async def _network(self, *asked: object) -> NetworkInfo:
        return await self._answer(str(asked[0]), NETWORK, *asked[1:])  # type: ignore[no-any-return]  # the answer is one

    async def pause(self, for_s: float | None) -> Standing:
        return await self._answer("pause", replace(PAUSED, resumes_in_s=for_s), for_s)  # type: ignore[no-any-return]  # the answer is one

    async def resume(self) -> Standing:
        return await self._answer("resume", ACTIVE)  # type: ignore[no-any-return]  # the answer is one

    async def limits(self) -> Limits:
        return await self._answer("limits", self._limits)  # type: ignore[no-any-return]  # the answer is one

    async def set_limits(self, changes: Mapping[str, Value]) -> Limits:
        self._limits.update(changes)
        return await self._answer("set_limits", self._limits, dict(changes))  # type: ignore[no-any-return]  # the answer is one

    async def try_model(
        self,
        peer: bytes,
        model: Path,
        items: int,
        sizes: Mapping[str, int],
        tell: Callable[[Progress], None],
    ) -> Tried:
        tell(Progress("accepted", "The worker accepted the order, for 1,200 CU."))
        tell(Progress("inputs_sent", "Sent items", 2, 2))
        return await self._answer("try_model", TRIED, peer, model, items, dict(sizes))  # type: ignore[no-any-return]  # the answer is one

    def stop(self) -> None:
        self.stopped = True


def is_a_node(fake: FakeNode) -> Node:
    """The types say that the fake has all that the API needs; that is the whole test."""
    return fake
