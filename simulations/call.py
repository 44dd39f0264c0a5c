# SPDX-License-Identifier: MIT
"""A dial in a made network: knocking, proving who one is, and how it can fail."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from node.mesh.address import Address
from node.mesh.transport import OPEN_S_MAX
from protocol.keys import peer_id
from simulations.connection import SimulatedConnection
from simulations.network import Arrive, family_of

if TYPE_CHECKING:
    from simulations.transport import Net, SimulatedEndpoint

#: What a handshake weighs in one direction: TCP's, Noise's and Yamux's, roughly.
HANDSHAKE_BYTES = 300

#: How often a dial goes there and back: TCP; a proposal of Noise; the first two messages of Noise;
#: its third one, with a proposal of Yamux. Only then the listener knows whom it has.
DIAL_ROUNDS = 4


class Call:
    """One try to reach somebody. What is said goes over the link that is then the connection's."""

    def __init__(
        self, net: "Net", caller: "SimulatedEndpoint", place: Address, peer: bytes
    ) -> None:
        """Lay the link."""
        self.refused = f"no answer within {OPEN_S_MAX:g} s"
        self._net = net
        self._caller = caller
        self._place = place
        self._peer = peer
        self._remote = ""
        self._rounds = DIAL_ROUNDS if net.wire else 1  # at once is at once, however often
        self._round_bytes = HANDSHAKE_BYTES // self._rounds
        self._link = net.link(caller.host, place.host)
        self._link.ends.append(partial(self._refuse, "the connection was reset"))
        self._answered = trio.Event()
        self._made: SimulatedConnection | None = None

    async def made(self) -> SimulatedConnection | None:
        """Give the connection, if there is one in time."""
        is_answered = False
        try:
            self._say(self._knock)
            with trio.move_on_after(OPEN_S_MAX):
                await self._answered.wait()
                is_answered = True
        finally:
            self._link.ends[:1] = []
            if not is_answered and self._made:
                self._made.end("the dial was given up")
            elif not self._made:
                self._net.unlink(self._link)
        if self._made and not self._made.is_gone:
            return self._made
        self._net.traffic(self._caller.host).in_vain[self._place.host] += 1
        self._net.note("refused", self._net.between(*self._link.hosts), self.refused)
        return None

    # --- at the other host ----------------------------------------------------------------------

    def _knock(self) -> None:
        """Ask for whoever listens there."""
        host = self._caller.host
        if not self._net.answers(host, self._place.host):
            return None  # as if it was lost on the way
        self._remote = str(Address(family_of(host), host, self._net.port(host)))
        listener = self._net.listening.get(self._place)
        if not listener:
            return self._answer("nobody listens there")
        if not listener.service.gate.may_come(self._remote):
            return self._answer("the peer does not let this node in")
        return self._next_round()

    def _next_round(self) -> None:
        self._rounds -= 1
        if self._rounds:
            self._answer_with(partial(self._say, self._next_round))
        else:
            self._prove()

    def _prove(self) -> None:
        """Who listens has shown its key, and now the caller does."""
        caller, link = self._caller, self._link
        listener = self._net.listening.get(self._place)
        if not listener:
            return self._answer("nobody listens there any more")
        if listener.key != self._peer:
            return self._answer(f"who listens there has proven to be {peer_id(listener.key)}")
        if not listener.service.gate.may_stay(caller.key, self._remote):
            return self._answer("the peer does not let this node stay")
        theirs = listener.connection(link.back, caller.key, self._remote, link, inbound=True)
        ours = caller.connection(link.there, self._peer, str(self._place), link, inbound=False)
        theirs.far, ours.far = ours, theirs
        self._made = ours
        self._answer("")
        listener.take(theirs)
        return None

    def _answer(self, refused: str) -> None:
        self._answer_with(partial(self._refuse, refused))

    # --- at both --------------------------------------------------------------------------------

    def _say(self, arrive: Arrive) -> None:
        if self._caller.ended:
            self._refuse(self._caller.ended)
        else:
            self._link.there.post(self._round_bytes, arrive, "knock")

    def _answer_with(self, arrive: Arrive) -> None:
        self._link.back.post(self._round_bytes, arrive, "welcome")

    def _refuse(self, why: str) -> None:
        """Tell the caller how it went; no words are good news."""
        self.refused = why or self._caller.ended or "the connection ended at once"
        if self._made and self._caller.ended:
            self._made.end(self._caller.ended)
        elif self._made and not self._made.is_gone and not why:
            self._caller.take(self._made)
        self._answered.set()
