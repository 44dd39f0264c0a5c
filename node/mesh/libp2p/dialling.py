# SPDX-License-Identifier: MIT
"""How a peer is reached: one address after the other, each with its own deadline.

Fact 5: the library's dial keeps one address of each kind, drops loopback, and refuses a peer for
a minute after a failure. Its race between addresses also waits 250 ms after it has won (fact of
section 2). So TCP is dialled here, and nothing is remembered: who retries when is the mesh's
affair.
"""

from collections.abc import Sequence

import trio

from node.leaves import innermost
from node.mesh.address import Address, parse_address
from node.mesh.libp2p.addresses import of_socket
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.limits import ADDRESSES_MAX, DIAL_S
from node.mesh.libp2p.noise import Identity, Records
from node.mesh.libp2p.upgrading import upgrade_outbound
from node.mesh.transport import TransportError, Unreachable
from protocol.keys import peer_id

_OURSELVES = (
    "that is this node's own key; if another machine has it too, one identity was copied to both: "
    "give one of them a new identity"
)


async def dial(identity: Identity, peer: bytes, addresses: Sequence[str]) -> tuple[Records, str]:
    """Give an agreed connection and the address it goes to; else Unreachable, with all reasons."""
    if peer == identity.public:
        raise Unreachable(f"{peer_id(peer)}: {_OURSELVES}")
    if not addresses:
        raise Unreachable(f"no address of {peer_id(peer)} is known")
    reasons = []
    for text in addresses[:ADDRESSES_MAX]:
        try:
            address = _address_of(text, peer)
            with trio.fail_after(DIAL_S):
                return await _dial_one(identity, peer, address)
        except trio.TooSlowError:
            reasons.append(f"{text}: no answer for {DIAL_S:.0f} s")
        except (OSError, ValueError, TransportError) as error:
            reasons.append(f"{text[:160]}: {_in_words(error)}")
    raise Unreachable(f"{peer_id(peer)} was not reached: {'; '.join(reasons)}")


def _address_of(text: str, peer: bytes) -> Address:
    address, named = parse_address(text)
    if named not in {None, peer}:
        raise ValueError("it names another peer")
    return address


async def _dial_one(identity: Identity, peer: bytes, address: Address) -> tuple[Records, str]:
    stream = await trio.open_tcp_stream(address.host, address.port)
    try:
        remote = str(of_socket(stream.socket.getpeername()))
        return await upgrade_outbound(Wire(stream), identity, peer), remote
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


def _in_words(error: Exception) -> str:
    """Say what the system said, without the group in which trio wraps several tries."""
    cause = innermost(error.__cause__ or error)
    if isinstance(error, OSError) and isinstance(cause, OSError):
        error = cause
    return (isinstance(error, OSError) and error.strerror) or str(error)
