# SPDX-License-Identifier: MIT
"""Connections that exist for the view's sake: made when it asks, closed when nobody needs them.

Whoever dials closes. A connection that others use as well, or that a peer has opened, is theirs.
"""

from collections.abc import Container

import trio

from node.mesh.mesh import Mesh
from node.mesh.peer import Peer
from node.mesh.transport import TransportError
from protocol.errors import Refused, RemoteProtocolError
from protocol.reasons import Reason

#: A connection to a node that is no neighbour, with nothing going on, is closed after this time.
IDLE_S = 60.0

#: After this time when the view has let the node go, or has been let go by it: a door at which a
#: crowd knocks needs the places of those who were sent on.
LET_GO_S = 5.0


class Contacts:
    """The nodes that were dialled for the view, and the neighbours that it let go."""

    def __init__(self, mesh: Mesh) -> None:
        """Begin with none."""
        self.brought: dict[bytes, tuple[float, float]] = {}
        self._mesh = mesh

    async def meet(self, key: bytes, addresses: tuple[str, ...], deadline_s: float) -> Peer | None:
        """Be connected with a node, or None: why not is in the log of the mesh."""
        known = self._mesh.peers.get(key)
        if known is not None:
            return known
        with trio.move_on_after(deadline_s):
            try:
                peer = await self._mesh.meet(key, addresses)
            except (TransportError, Refused, RemoteProtocolError):
                return None
            self.note(key)
            return peer
        return None

    def note(self, key: bytes, idle_s: float = IDLE_S) -> None:
        """Look after this connection from now on; it may be idle for so long."""
        self.brought[key] = trio.current_time(), idle_s

    async def sweep(self, needed: Container[bytes]) -> None:
        """Close what is neither `needed` for the view nor used by anybody else."""
        now_s = trio.current_time()
        for key, (since_s, idle_s) in list(self.brought.items()):
            peer = self._mesh.peers.get(key)
            if peer is None or key in needed:
                del self.brought[key]
            elif max(since_s, peer.used_s) < now_s - idle_s and not (peer.is_held or peer.trusted):
                del self.brought[key]
                await self._mesh.part(key, Reason.IDLE)
