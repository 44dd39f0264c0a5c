# SPDX-License-Identifier: MIT
"""What the control API needs of a running node, declared here and satisfied by node/main.py.

Everything that does work is a coroutine, and may be cancelled at any await: its client has
left. What goes wrong is raised: `Refused` for a wish that is not granted, `RemoteProtocolError`
for what a peer broke, `NotFound` and `ConfigError` (node/errors.py) for what the owner named or
gave, `TransportError` for what lies between here and a peer, `OSError` with a file name for
files. Anything else is a mistake of ours, and is told as such.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from node.api.documents import (
    AdvertInfo,
    BanInfo,
    Finding,
    Invited,
    Limits,
    NetworkInfo,
    PeerInfo,
    Progress,
    Standing,
    Status,
    Tried,
)
from node.config_key import Value
from node.happenings import Happenings


class Seen(Protocol):
    """What a node shows of itself."""

    @property
    def happenings(self) -> Happenings:
        """What happens here."""
        ...

    async def status(self) -> Status:
        """Say how it is, on one page."""
        ...

    async def doctor(self) -> Sequence[Finding]:
        """Look for what is wrong."""
        ...


class Meshed(Protocol):
    """The others."""

    async def peers(self) -> Sequence[PeerInfo]:
        """Tell who is connected."""
        ...

    async def adverts(self) -> Sequence[AdvertInfo]:
        """Tell who is known, as they describe themselves."""
        ...

    async def bans(self) -> Sequence[BanInfo]:
        """Tell who is not met."""
        ...

    async def ban(self, peer: bytes, for_s: float, detail: str) -> BanInfo:
        """Meet this node no more for so long, and end its connection."""
        ...

    async def unban(self, peer: bytes) -> None:
        """Meet it again; NotFound when it is not banned."""
        ...


class Joined(Protocol):
    """The networks. One is active; a node that knows none has none active."""

    async def networks(self) -> Sequence[NetworkInfo]:
        """Tell which are known."""
        ...

    async def invite(self, for_s: float) -> Invited:
        """Invite to the active network; the text works for so long."""
        ...

    async def join(self, text: str) -> NetworkInfo:
        """Learn the network of an invite, and make it the active one."""
        ...

    async def leave(self, network: str) -> NetworkInfo:
        """Forget a network, by its name or id; empty is the active one. Give the one used then."""
        ...

    async def found(self, name: str, private: bool) -> NetworkInfo:
        """Begin a new network, and make it the active one."""
        ...

    async def use(self, network: str) -> NetworkInfo:
        """Make a known network the active one, by its name or id."""
        ...

    async def rotate(self) -> NetworkInfo:
        """Add a newer version of the active network's secret."""
        ...

    async def retire(self, version: int) -> NetworkInfo:
        """Drop an older version of the active network's secret."""
        ...


class Governed(Protocol):
    """When it works, and how much it may take."""

    async def pause(self, for_s: float | None) -> Standing:
        """Work for nobody, for so long or until `resume`."""
        ...

    async def resume(self) -> Standing:
        """End the owner's pause."""
        ...

    async def limits(self) -> Limits:
        """Give the keys that can be changed while it runs, with what holds now."""
        ...

    async def set_limits(self, changes: Mapping[str, Value]) -> Limits:
        """Change some of them until the node ends; each value has passed its key's rule.

        ConfigError when the values do not fit together; then none is changed.
        """
        ...


class Tries(Protocol):
    """One order, by hand."""

    async def try_model(
        self,
        peer: bytes,
        model: Path,
        items: int,
        sizes: Mapping[str, int],
        tell: Callable[[Progress], None],
    ) -> Tried:
        """Place an order of made-up inputs with this worker, and settle it. `tell` never waits."""
        ...


class Node(Seen, Meshed, Joined, Governed, Tries, Protocol):
    """All of it, and its end."""

    def stop(self) -> None:
        """Begin to end, as SIGTERM does; the caller does not wait for it."""
        ...
