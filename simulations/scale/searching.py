# SPDX-License-Identifier: MIT
"""One search in the scale tier: what it found, and what it cost the mesh."""

from typing import TYPE_CHECKING

from protocol.actions import Found, SearchEnded
from protocol.query import Answer, Query
from simulations.scale.links import End

if TYPE_CHECKING:
    from simulations.scale.node import ScaleNode


class Searched:
    """What a search has come to so far.

    `hops` is how far away the first find was: 0 when the asker had the advert, 1 when a node had
    it that the asker knew, 2 when a node had it that such a one has named, and so on.
    """

    def __init__(self, node: "ScaleNode") -> None:
        """Begin with nothing found."""
        self.found: list[bytes] = []
        self.asked = 0
        self.messages = 0
        self.bytes = 0
        self.hops: int | None = None
        self.is_over = False
        self._verify = node.world.adverts.verify
        self._hops_to = dict.fromkeys(
            (*node.view.neighbours.linked, *node.view.directory.entries), 1
        )

    def on_said(self, end: End, what: Query | Answer, size_bytes: int) -> None:
        """Count what is said; an answer also says who is one hop farther away."""
        self.messages += 1
        self.bytes += size_bytes
        if isinstance(what, Answer):
            hops = self._hops_to.get(end.node.key, 1)
            if what.adverts and self.hops is None:
                self.hops = hops
            for wire in what.others:
                self._hops_to.setdefault(self._verify(wire).node, hops + 1)

    def take(self, news: Found | SearchEnded) -> None:
        """Note what the view says."""
        if isinstance(news, Found):
            self.found += [known.node for known in news.adverts]
            self.hops = self.hops or 0
        else:
            self.asked = news.asked
            self.is_over = True
