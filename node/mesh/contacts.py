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


class Contacts:
    """The nodes that were dialled for the view, and the neighbours that it let go."""

    def __init__(self, mesh: Mesh) -> None:
        """Begin with none."""
        self.brought: dict[bytes, float] = {}
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

    def note(self, key: bytes) -> None:
        """Look after this connection from now on."""
        self.brought[key] = trio.current_time()

    async def sweep(self, needed: Container[bytes]) -> None:
        """Close what is neither `needed` for the view nor used by anybody else."""
        idle_s = trio.current_time() - IDLE_S
        for key, since_s in list(self.brought.items()):
            peer = self._mesh.peers.get(key)
            if peer is None or key in needed:
                del self.brought[key]
            elif max(since_s, peer.used_s) < idle_s and not (peer.is_held or peer.trusted):
                del self.brought[key]
                await self._mesh.part(key, Reason.IDLE)
