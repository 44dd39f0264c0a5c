# SPDX-License-Identifier: MIT
"""A view at a desk: tests hand it what happens, one thing at a time."""

from dataclasses import dataclass

from protocol.actions import Action, Misbehaved, Send
from protocol.exchange import Summary, Wanted
from protocol.known import Known
from protocol.reasons import Reason
from protocol.view import View
from tests.protocol.mesh import EPOCH_S, Registry, an_advert, key_of

ME, PEER, OTHER = key_of("me"), key_of("peer"), key_of("other")


@dataclass
class Desk:
    """A view with one neighbour, at time 0."""

    registry: Registry
    view: View

    def known(self, name: str, **changes: object) -> Known:
        number = len(self.registry.known)
        changes.setdefault("addresses", (f"/ip4/{40 + number // 250}.{number % 250}.1.1/tcp/1",))
        return self.registry.add(an_advert(key_of(name), **changes))

    def hear(self, what: Summary | Wanted, now: float = 0.0, key: bytes = PEER) -> list[Action]:
        return self.view.on_message(key, what, now, EPOCH_S + now)

    def get(self, known: Known, now: float = 0.0) -> list[Action]:
        return self.view.on_advert(PEER, known.wire, now, EPOCH_S + now)

    def said(self, now: float) -> list[Summary]:
        actions = self.view.tick(now, EPOCH_S + now)
        return [
            action.what
            for action in actions
            if isinstance(action, Send) and isinstance(action.what, Summary)
        ]


def a_desk() -> Desk:
    registry = Registry()
    view = View(ME, bytes(32), registry.verify)
    desk = Desk(registry, view)
    view.describe(desk.known("me").wire, 0.0)
    view.on_connected(PEER, 0.0, EPOCH_S, inbound=False, advert=desk.known("peer").wire)
    return desk


def summary(*known: Known) -> Summary:
    return Summary(tuple(one.digests[0] for one in known))


def misbehaved(actions: list[Action]) -> list[Reason]:
    return [action.reason for action in actions if isinstance(action, Misbehaved)]
