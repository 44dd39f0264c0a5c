# SPDX-License-Identifier: MIT
"""Whether a node of the scale tier takes a call: the counts of `node/mesh/defence.py`, and no more.

Callers here have each a place of their own and finish every handshake, so that what is counted by
place and by handshake never says no.
"""

from typing import TYPE_CHECKING

from node.config import MeshConfig
from node.mesh.defence import IDLE_S, OUTBOUND_SHARE

if TYPE_CHECKING:
    from simulations.scale.node import ScaleNode
    from simulations.scale.world import Scale

_MOST = MeshConfig().connections
_MOST_INBOUND = _MOST - max(1, _MOST // OUTBOUND_SHARE)


def lets_in(world: "Scale", node: "ScaleNode") -> bool:
    """Tell whether there is a place; who is idle and no neighbour gives way."""
    if len(node.ends) < _MOST_INBOUND:
        return True
    inbound = [end for end in node.ends.values() if end.inbound]
    if len(node.ends) < _MOST and len(inbound) < _MOST_INBOUND:
        return True
    idle_s = world.now - IDLE_S
    linked = node.view.neighbours.linked
    spare = [end for end in inbound if end.used_s <= idle_s and end.far.node.key not in linked]
    if not spare:
        return False
    world.part(min(spare, key=lambda end: end.used_s))
    return True
