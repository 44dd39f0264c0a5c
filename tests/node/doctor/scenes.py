# SPDX-License-Identifier: MIT
"""What the doctor is shown in tests: folders that are made up, and a node that is a few facts."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from node.api.documents import Finding
from node.clock import SystemClock
from node.config import Config, made_from
from node.doctor.scene import Scene, scene_of
from node.mesh.addresses import Reach
from node.network import COMMONS, Network
from node.paths import Paths, make_private
from node.store.connection import Connection
from node.store.tables import NODE
from protocol.events import Instant
from protocol.keys import Keypair

ME = Keypair(b"\x01" * 32).public
PEER = Keypair(b"\x02" * 32).public
OTHER = Keypair(b"\x03" * 32).public


class Wall(SystemClock):
    """The system's clock, put to a wall time."""

    def __init__(self, wall_s: float = 1_800_000_000.0) -> None:
        super().__init__()
        self.wall_s = wall_s

    def now(self) -> Instant:
        return Instant(mono_s=500.0, wall_s=self.wall_s)


def paths_at(home: Path) -> Paths:
    return Paths(home / "config", home / "state", home / "cache", home / "runtime")


def scene_at(
    home: Path,
    *flags: str,
    told: Mapping[str, object] | None = None,
    wall_s: float = 1_800_000_000.0,
) -> Scene:
    """A home with nothing in it, but for what the test has made there."""
    return scene_of(paths_at(home), Wall(wall_s), {}, flags, told)


def database_at(scene: Scene, *rows: tuple[str, str]) -> Path:
    """Make the database of a node, with what it remembers."""
    path = make_private(scene.paths.state) / "node.db"
    with closing(Connection(path)) as connection:
        connection.prepare(NODE)
        for name, value in rows:
            connection._sqlite.execute("INSERT INTO settings VALUES (?, ?)", (name, value))
    path.chmod(0o600)
    return path


def states(findings: Sequence[Finding]) -> list[str]:
    return [each.state for each in findings]


def only(findings: Sequence[Finding]) -> Finding:
    """The one thing that was found."""
    [found] = findings
    assert found.sentence.endswith("."), found
    assert found.state == "pass" or found.next_step, f"what to do about {found}?"
    return found


# --- a node that runs ---------------------------------------------------------------------------


def peer(
    key: bytes = PEER,
    *,
    offset_s: float = 0.0,
    rtt_s: float | None = 0.01,
    inbound: bool = False,
    speaks: int = 1,
) -> Any:
    hello = SimpleNamespace(speaks_low=1, speaks_high=speaks)
    facts = {"key": key, "offset_s": offset_s, "rtt_s": rtt_s, "inbound": inbound}
    return SimpleNamespace(**facts, member=True, hello=hello)


class FakeBehaviour:
    """Records and bans, as they are set."""

    def __init__(self) -> None:
        self.failed: dict[bytes, int] = {}
        self.banned: dict[bytes, Any] = {}

    def of(self, key: bytes) -> Any:
        failed = self.failed.get(key)
        return None if failed is None else SimpleNamespace(failed_dials=failed)

    def ban(self, key: bytes) -> Any:
        return self.banned.get(key)

    def bans(self) -> dict[bytes, Any]:
        return self.banned


class FakeMember:
    """What the looks read of a membership."""

    def __init__(
        self,
        *peers: Any,
        network: Network = COMMONS,
        listening: Sequence[str] = ("/ip4/127.0.0.1/tcp/4001",),
        told: Sequence[str] = ("/ip4/127.0.0.1/tcp/4001",),
        config: Config | None = None,
        happened: Sequence[Any] = (),
    ) -> None:
        self.network = network
        self.addresses = tuple(told)
        self.reach = Reach()
        self.behaviour = FakeBehaviour()
        self.mesh = SimpleNamespace(
            me=ME,
            peers={each.key: each for each in peers},
            addresses=tuple(listening),
            behaviour=self.behaviour,
            defence=SimpleNamespace(elsewhere=""),
        )
        self.viewing = SimpleNamespace(adverts=lambda: [1] * len(peers), is_alone=not peers)
        self.discovery = SimpleNamespace(house={})
        self.accounts = SimpleNamespace(stopped="")
        self.description = SimpleNamespace(trouble="")
        self.ground = SimpleNamespace(
            config=config or made_from({"mesh.mdns": True}),
            world=SimpleNamespace(clock=Wall()),
            happenings=SimpleNamespace(since=lambda _: list(happened)),
            started_s=400.0,
        )
