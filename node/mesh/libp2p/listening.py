# SPDX-License-Identifier: MIT
"""Where callers come in: sockets, and the defences before a caller has proven who it is.

Section 2 of the facts: the library says nothing when a port is taken, and shares it with others
of its kind (SO_REUSEPORT). Here the system's OSError EADDRINUSE comes out.
"""

import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

import trio

from node.log import Log
from node.mesh.address import Address, parse_address
from node.mesh.libp2p.addresses import of_socket
from node.mesh.libp2p.limits import HANDSHAKE_S, HANDSHAKES_MAX

_BACKLOG = 128
_PAUSE_S = 0.2  # when the system has no descriptor left

log = Log()


_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - looked for, and listened on where the owner says so

_NOT_SPOKEN = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


async def bind(listen: Sequence[str]) -> list[trio.SocketListener]:
    """Listen on each of these; all or none.

    All addresses of a family that this machine does not speak are none: many containers have no
    IPv6, and who wants to listen everywhere there means what there is.
    """
    missing: OSError | None = None
    with ExitStack() as undo:
        listeners = []
        for text in listen:
            address, _ = parse_address(text)
            try:
                sock = _socket_for(address)
                undo.callback(sock.close)
                await sock.bind((address.host, address.port))
                sock.listen(_BACKLOG)
            except OSError as error:
                failed = OSError(error.errno, f"cannot listen on {text}: {error.strerror}")
                if address.host in _EVERYWHERE and error.errno in _NOT_SPOKEN:
                    missing = failed
                    continue
                raise failed from None
            listeners.append(trio.SocketListener(sock))
        if missing and not listeners:
            raise missing
        undo.pop_all()
        return listeners


def _socket_for(address: Address) -> trio.socket.SocketType:
    if address.kind not in {"ip4", "ip6"}:
        raise ValueError(f"cannot listen on the name {address.host}: give an address")
    family = socket.AF_INET if address.kind == "ip4" else socket.AF_INET6
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart, at once
    if family == socket.AF_INET6:  # IPv4 has a socket of its own, if it is wanted
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


class Handshakes:
    """Who is proving a key just now. Too many: the oldest of the busiest range gives way.

    An honest caller is done in a fraction of a second, so whoever holds many open and says
    nothing loses his own, and nobody else's.
    """

    def __init__(self, most: int = HANDSHAKES_MAX) -> None:
        """Begin with nobody."""
        self._most = most
        self._scopes: dict[str, list[trio.CancelScope]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return sum(len(each) for each in self._scopes.values())

    async def attend(self, remote: Address, prove: Callable[[], Awaitable[None]]) -> None:
        """Let one caller prove its key, within the deadline, unless it has to give way."""
        key = range_of(remote)
        if len(self) >= self._most:
            busiest = max(self._scopes.values(), key=len)
            busiest.pop(0).cancel()
        scope = trio.CancelScope()
        self._scopes.setdefault(key, []).append(scope)
        try:
            with scope, trio.move_on_after(HANDSHAKE_S):
                await prove()
        finally:
            left = self._scopes.get(key, [])
            if scope in left:
                left.remove(scope)
            if not left:
                self._scopes.pop(key, None)


def range_of(remote: Address) -> str:
    """Name whom one person usually has: an IPv4 address, or a /64 of IPv6."""
    address = ipaddress.ip_address(remote.host)
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


async def accept_for_ever(
    listener: trio.SocketListener,
    may_come: Callable[[str], bool],
    come: Callable[[trio.SocketStream, Address], Awaitable[None]],
    nursery: trio.Nursery,
) -> None:
    """Take each caller, ask before its first byte whether it may come, and go on."""
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                raise
            log.warning("no_more_callers", reason=error.strerror)
            await trio.sleep(_PAUSE_S)
            continue
        try:
            remote = of_socket(stream.socket.getpeername())
            welcome = may_come(str(remote))
        except OSError:  # it has left again
            await trio.aclose_forcefully(stream)
            continue
        except Exception:  # a gate that fails is shut, and the next caller asks again
            log.exception("gate_failed")
            await trio.aclose_forcefully(stream)
            continue
        if welcome:
            nursery.start_soon(come, stream, remote)
        else:
            await trio.aclose_forcefully(stream)
