# SPDX-License-Identifier: MIT
"""What the owner may choose: every key, its default and its sentence. `config_reading` reads them.

To add a key, add a field to its section; to add a section, a class and its place in Config
and SECTIONS. Checks, messages, `commons config show` and docs/reference/config.md follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from node.config_key import Form, Key, Value, as_toml, key


def _has_host(address: str) -> bool:
    """Whether the host of an address is one; of a name nobody knows before it is looked up."""
    import ipaddress  # noqa: PLC0415 - most commands read no address

    _, kind, host, *_ = address.split("/")
    try:
        return kind.startswith("dns") or ipaddress.ip_address(host).version == int(kind[2:])
    except ValueError:
        return False


_PORT = r"([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_IP = r"(ip4/[0-9]{1,3}(\.[0-9]{1,3}){3}|ip6/[0-9A-Fa-f:.]{2,45})"
_PEER = r"(/p2p/[A-Za-z0-9]{40,64})?"
ADDRESS = Form(
    rf"/({_IP}|(dns|dns4|dns6)/[A-Za-z0-9.-]{{1,200}})/tcp/{_PORT}{_PEER}",
    "addresses such as /ip4/192.0.2.7/tcp/4001",
    _has_host,
)
LISTEN = Form(
    rf"/{_IP}/tcp/{_PORT}{_PEER}",
    "addresses of this machine such as /ip4/0.0.0.0/tcp/4001",
    _has_host,
)
PEER = Form(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{40,48}", "peer ids such as 12D3KooW...")
HOURS = Form(
    r"((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))? )?"
    r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-4]):[0-5][0-9]",
    "times such as `22:00-07:00` or `sat-sun 00:00-24:00`",
)


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """How much of this machine the models may take. Sizes are in MiB, of 1,048,576 bytes."""

    runners: int = key(1, "How many runners may compute at the same time.", low=1, high=256)
    threads: int = key(1, "How many threads a runner computes with.", low=1, high=256)
    memory_mib: int = key(4096, "How much memory all runners take together.", low=64, high=1 << 24)
    runner_memory_mib: int = key(
        1024, "How much memory a runner takes when its model does not say.", low=64, high=1 << 24
    )
    load_s: float = key(30.0, "How long a model may take to load.", low=1, high=3600)
    warm_s: float = key(
        300.0, "How long a runner that nobody uses is kept, with its memory.", low=0, high=86400
    )
    nice: int = key(10, "How far runners stand back for other programs.", low=0, high=19)
    providers: tuple[str, ...] = key(
        (),
        "What trusted work runs on, the best first, as `cuda`; the processor is always the last.",
    )


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """How this node meets others."""

    listen: tuple[str, ...] = key(
        ("/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"),
        "Where others may dial this node; port 0 is chosen once and then kept.",
        form=LISTEN,
    )
    announce: tuple[str, ...] = key(
        (), "Addresses to tell others besides those of this machine, as of a router.", form=ADDRESS
    )
    bootstrap: tuple[str, ...] = key(
        (), "Nodes to ask when no other is known; each ends in /p2p/ and its peer id.", form=ADDRESS
    )
    mdns: bool = key(True, "Find nodes of the same network in the house, and be found.")
    connections: int = key(256, "How many nodes may be connected at a time.", low=8, high=4096)
    connections_per_range: int = key(
        32,
        "How many of them from one /24 (IPv4) or /48 (IPv6); this house is not counted.",
        low=1,
        high=4096,
    )
    streams_per_peer: int = key(
        64, "How many streams one node may have open here at a time.", low=4, high=1024
    )
    allow: tuple[str, ...] = key((), "If there are any, only these nodes are met.", form=PEER)
    deny: tuple[str, ...] = key((), "These nodes are never met.", form=PEER)
    trusted: tuple[str, ...] = key(
        (), "Nodes of people whom you trust with your data and your credit.", form=PEER
    )


@dataclass(frozen=True, slots=True)
class GovernorConfig:
    """When this machine may work for others, and what it keeps for its owner."""

    hours: tuple[str, ...] = key(
        (), "When work is allowed, in local time; always, if there is none.", form=HOURS
    )
    only_idle: bool = key(False, "Work only while nobody uses keyboard or mouse.")
    idle_s: float = key(
        300.0, "For how long nobody must have used them, for only_idle.", low=10, high=86400
    )
    on_battery: bool = key(False, "Work on battery, too.")
    others_percent: int = key(
        60,
        "Stand back when other programs use more of the processors than this.",
        low=1,
        high=100,
    )
    memory_free_mib: int = key(
        512, "Stand back when less memory than this is left for others.", low=0, high=1 << 24
    )
    disk_free_mib: int = key(
        2048, "Fetch and keep nothing when less disk than this is left.", low=0, high=1 << 30
    )
    disk_mib: int = key(
        20480, "How much disk models and results may take together.", low=64, high=1 << 30
    )
    recover_s: float = key(
        30.0, "For how long all must be well before work begins again.", low=1, high=3600
    )
    drain_s: float = key(
        20.0,
        "How long running work may take to end when this machine stands back.",
        low=0,
        high=600,
    )
    upload_kib_s: int = key(
        0, "How much may be sent in a second, in KiB; 0 sets no limit.", low=0, high=1 << 24
    )
    download_kib_s: int = key(
        0, "How much may be received in a second, in KiB; 0 sets no limit.", low=0, high=1 << 24
    )
    models_mib_day: int = key(
        500,
        "How much of models is fetched in a day because strangers want them run.",
        low=0,
        high=1 << 30,
    )
    blobs_mib_day: int = key(
        5000, "How much of models is sent to others in a day.", low=0, high=1 << 30
    )
    evidence_cu_day: int = key(
        60_000_000,
        "How much is computed in a day to check what others accuse each other of.",
        low=0,
        high=10**15,
    )


@dataclass(frozen=True, slots=True)
class CreditConfig:
    """What this node lends, gives and asks for."""

    budget_cu: int = key(
        0,
        "Credit lent to everybody together; 0 means a quarter of a day of this machine's work.",
        low=0,
        high=10**15,
    )
    rate_min: int = key(
        0, "The least credit per second of work for which this machine works.", low=0, high=10**9
    )
    gift: str = key(
        "members",
        "Who gets idle time as a gift, after all paid work.",
        choices=("none", "members", "anyone"),
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the daemon says about itself, on stderr."""

    level: str = key(
        "info",
        "The least important events that are written.",
        choices=("debug", "info", "warning", "error"),
    )
    format: str = key(
        "auto",
        "Lines for people, or JSON; by itself, JSON where stderr is no terminal.",
        choices=("auto", "console", "json"),
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All that the owner has chosen."""

    mesh: MeshConfig = field(default_factory=MeshConfig)
    governor: GovernorConfig = field(default_factory=GovernorConfig)
    credit: CreditConfig = field(default_factory=CreditConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    log: LogConfig = field(default_factory=LogConfig)


SECTIONS: dict[str, Any] = {
    "mesh": MeshConfig,
    "governor": GovernorConfig,
    "credit": CreditConfig,
    "executor": ExecutorConfig,
    "log": LogConfig,
}
"""Name and class of each section, as the fields of Config have them."""


def _keys_of(section: str) -> list[Key]:
    declared = [(each.name, each.metadata) for each in fields(SECTIONS[section])]
    return [Key(section, name, about["default"], about["rule"]) for name, about in declared]


KEYS: dict[str, Key] = {key.full: key for section in SECTIONS for key in _keys_of(section)}
"""Every key by its full name, in the order of the documentation."""


def value_of(config: Config, name: str) -> Value:
    """Give the value of a key by its full name."""
    value: Value = getattr(getattr(config, KEYS[name].section), KEYS[name].name)
    return value


def made_from(values: Mapping[str, Value]) -> Config:
    """Make a config from values by their full names; the defaults fill the rest."""
    parts: dict[str, dict[str, Value]] = {section: {} for section in SECTIONS}
    for full, value in values.items():
        parts[KEYS[full].section][KEYS[full].name] = value
    return Config(**{section: SECTIONS[section](**part) for section, part in parts.items()})


def to_toml(config: Config, notes: Mapping[str, str] | None = None) -> str:
    """Write a config as a file that reads back to the same one; notes become comments."""
    lines: list[str] = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for found in KEYS.values():
            if found.section == section:
                note = f"  # {notes[found.full]}" if notes else ""
                lines.append(f"{found.name} = {as_toml(value_of(config, found.full))}{note}")
    return "\n".join(lines[1:])
