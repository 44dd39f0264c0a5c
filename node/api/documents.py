# SPDX-License-Identifier: MIT
"""What a running node says about itself to its owner, as documents. Who fills them is in `node`.

Each becomes one JSON object, with the names that stand here; docs/design/control-api.md has an
example of each. Peers are written as peer ids, networks and models in hex. CU are whole numbers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from node.network import Network
from node.work.tried import Tried as Tried


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether this machine may work now, as the governor sees it.

    `state` is active, pressure, paused or recovery. `reason` is a code of the vocabulary, or
    empty while it works; `sentence` says it to a person. `resumes_in_s` is what is left of a
    pause that ends by itself.
    """

    works: bool
    state: str
    reason: str
    sentence: str
    resumes_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """A network that this node knows. `secret_versions` is empty for an open one."""

    id: str
    name: str
    private: bool
    active: bool
    secret_versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PeersCount:
    """How many others there are: connected, members among them, and known by their adverts."""

    connected: int
    members: int
    known: int


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Orders of others that this node worked on since it was started, and what they brought."""

    running: int
    done: int
    failed: int
    refused: int
    earned_cu: int


@dataclass(frozen=True, slots=True)
class CreditInfo:
    """The books of the active network, over all peers and for all time.

    `balance_cu` is what others owe minus what is owed; `budget_cu` is what this node lends to
    everybody together, and `lent_cu` how much of that is out.
    """

    earned_cu: int
    spent_cu: int
    balance_cu: int
    lent_cu: int
    budget_cu: int


@dataclass(frozen=True, slots=True)
class TrafficInfo:
    """What was said and heard in one protocol since this node came into its network."""

    protocol: str
    sent_frames: int
    sent_bytes: int
    received_frames: int
    received_bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """The node on one page. `notes` are sentences that the owner should read.

    `tasks` counts what the program does at once, waiting included; it grows with peers and
    orders, and over days it does not. `traffic` is counted in frames: what the transport says
    for itself is not in it.
    """

    version: str
    peer: str
    uptime_s: float
    tasks: int
    standing: Standing
    network: NetworkInfo | None
    addresses: tuple[str, ...]
    peers: PeersCount
    work: WorkDone
    credit: CreditInfo
    traffic: tuple[TrafficInfo, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A connected node. `direction` is `in` (it dialled) or `out`; `score` rises with faults.

    `up_bytes_s` and `down_bytes_s` are how fast larger data went to it and came from it, null
    before any did. `orders` is how many orders ended between the two, whoever placed them, and
    `failed_orders` how many of them not well.
    """

    peer: str
    name: str
    direction: str
    address: str
    rtt_s: float | None
    connected_s: float
    member: bool
    score: float
    up_bytes_s: float | None = None
    down_bytes_s: float | None = None
    orders: int = 0
    failed_orders: int = 0


@dataclass(frozen=True, slots=True)
class AdvertInfo:
    """What a node says about itself, connected or not; nothing of it is proven."""

    peer: str
    addresses: tuple[str, ...]
    cores: int
    memory_mib: int
    disk_mib: int
    accelerator: str
    fp32_mflops: int
    memory_mbps: int
    models: int
    age_s: float
    connected: bool
    rtt_s: float | None = None


@dataclass(frozen=True, slots=True)
class BanInfo:
    """A node that is not met for a while."""

    peer: str
    reason: str
    detail: str
    ends_in_s: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look of the doctor found. `state` is pass, warn or fail."""

    name: str
    state: str
    sentence: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Invited:
    """An invite to the active network, as the text that a person passes on."""

    text: str
    network: NetworkInfo
    expires_at_s: int


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a longer work. `done` of `of` are counted in what the sentence names."""

    step: str
    sentence: str
    done: int = 0
    of: int = 0


def network_info(network: Network, active: bytes) -> NetworkInfo:
    """Describe a network without its secrets; `active` is the id of the one in use."""
    return NetworkInfo(
        id=network.id.hex(),
        name=network.name,
        private=network.is_private,
        active=network.id == active,
        secret_versions=tuple(sorted(network.secrets)),
    )


def as_document(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the dataclasses above
    """Write a document of this file as what JSON knows."""
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return asdict(value)


def documents(values: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any sequence of them
    """Write several of them."""
    return [as_document(value) for value in values]


Limits = Mapping[str, bool | int | float | str | tuple[str, ...]]
"""Keys of the config by their full names, with the values that hold now."""
