# SPDX-License-Identifier: MIT
"""The control stream of a link after hello: is the peer there, and does it say why it leaves.

A ping at most `PING_S` after the last sign of life, and `PONG_S` to answer it: whoever is frozen
is known to be within the sum of both, whatever the line below believes. A ping of the peer is a
sign of life, too, so the two sides take turns. Nothing else is said here but the word of leaving.
"""

from collections.abc import Callable

import trio

from node.mesh.hello import refusal
from node.mesh.peer import Link
from node.mesh.transport import TransportError
from protocol.channel import NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import CancelFrame
from protocol.reasons import Reason

#: Often enough that a closed lid is noticed before a person wonders; 256 peers cost 17 a second.
PING_S = 15.0

#: Whoever has asked waits this long for the peer to ask, the one that has dialled a little less:
#: both ask at the beginning, and would go on doing so at the same time.
DIALER_PING_S = 14.0

#: After a ping of the peer it is our turn, a little before the peer would ask again.
TURN_S = 13.0

#: However often the peer asks, our own round trip is measured once in this time.
MEASURE_S = 2 * PING_S

#: A line that takes longer than this is of no use for work.
PONG_S = 10.0

#: How fast a new round trip takes the place of the old ones.
_WEIGHT = 0.25

OnRtt = Callable[[Link, float], None]


async def keep(link: Link, on_rtt: OnRtt) -> Reason:
    """Watch over a link until it is over; give the reason why.

    RemoteProtocolError when the peer said what has no place here.
    """
    over: list[Reason | RemoteProtocolError] = []
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            try:
                over.append(await _heard(link))
            except TransportError:
                over.append(Reason.UNREACHABLE)
            except RemoteProtocolError as error:
                over.append(error)
            nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        try:
            while True:
                on_rtt(link, await measured(link, PONG_S))
                await _until_due(link)
        except TransportError:
            over.append(Reason.UNREACHABLE)
        except RemoteProtocolError as error:
            over.append(error)
        nursery.cancel_scope.cancel()
    if isinstance(over[0], RemoteProtocolError):
        raise over[0]
    return over[0]


async def _until_due(link: Link) -> None:
    """Wait until the next ping is ours to say; what was heard meanwhile puts it off."""
    answered_s = trio.current_time()
    due_s = answered_s + (PING_S if link.inbound else DIALER_PING_S)
    while trio.current_time() < due_s:
        await trio.sleep_until(due_s)
        if (asked_s := link.control.asked_s) > answered_s:
            link.answered_s = max(link.answered_s, asked_s)
            due_s = min(asked_s + TURN_S, answered_s + MEASURE_S)


async def measured(link: Link, deadline_s: float) -> float:
    """Ping once, and take note of the answer; Lost when there is none."""
    rtt_s = await link.control.ping(deadline_s)
    link.answered_s = trio.current_time()
    link.rtt_s = rtt_s if link.rtt_s is None else link.rtt_s + _WEIGHT * (rtt_s - link.rtt_s)
    return rtt_s


async def _heard(link: Link) -> Reason:
    frame = await link.control.receive()
    if frame is NoFrame.CLOSED:
        return Reason.SHUTTING_DOWN
    if frame is NoFrame.LOST:
        return Reason.UNREACHABLE
    if isinstance(frame, CancelFrame):
        return refusal(frame.reason).reason
    detail = f"{type(frame).__name__} on a control stream after hello"
    raise RemoteProtocolError(Reason.UNEXPECTED, detail)
