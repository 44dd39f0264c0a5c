# SPDX-License-Identifier: MIT
"""The control stream of a link after hello: is the peer there, and does it say why it leaves.

A ping every `PING_S`, and `PONG_S` to answer it: whoever is frozen is known to be within the sum
of both, whatever the line below believes. Nothing else is said here but the word of leaving.
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
                await trio.sleep(PING_S)
        except TransportError:
            over.append(Reason.UNREACHABLE)
        except RemoteProtocolError as error:
            over.append(error)
        nursery.cancel_scope.cancel()
    if isinstance(over[0], RemoteProtocolError):
        raise over[0]
    return over[0]


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
