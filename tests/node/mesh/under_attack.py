# SPDX-License-Identifier: MIT
"""A node of the real transport that somebody attacks, and that serves others afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.host import Libp2pEndpoint
from node.mesh.transport import Lost
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.scene import (
    Node,
    OpenGate,
    echoed,
    joined,
)


@asynccontextmanager
async def bob(gate: OpenGate | None = None) -> AsyncIterator[Node]:
    """Have a node that is attacked; afterwards it has to serve others as before."""
    scene = Libp2pScene()
    async with joined(scene, "bob", gate=gate) as node, joined(scene, "alice") as alice:
        yield node
        assert await echoed(await alice.dial(node), b"still there") == b"still there"


def inside(node: Node) -> Libp2pEndpoint:
    """Look behind the seam."""
    assert isinstance(node.endpoint, Libp2pEndpoint)
    return node.endpoint


async def is_cut_off(wire: Wire) -> bool:
    """Tell whether the other end hangs up."""
    with trio.move_on_after(5):
        try:
            while True:
                await wire.more()
        except Lost:
            return True
    return False
