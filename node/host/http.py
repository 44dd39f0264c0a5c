# SPDX-License-Identifier: MIT
"""Serves HTTP on a Unix socket that only this user can open. What is served is in `node/api/`.

hypercorn speaks HTTP; the accepting is done here, because it must not be able to harm the node:

- hypercorn sends under a shield, so that a client that reads nothing would hold up the end of
  the node for ever: here a send that makes no progress breaks, and at the end all sockets are
  closed under whoever still waits;
- an exception of one connection would end its whole server: here it ends that connection;
- it puts no bound on bodies and connections: here both have one, and a body tells its length.
"""

import fcntl
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from node.errors import ConfigError, TakenError
from node.host.host import App
from node.log import Log
from node.paths import make_private, usable_socket

HEADER_BYTES_MAX = 32 * 1024
#: What the owner's programs send: orders and settings, and the inputs of a model for a try.
BODY_BYTES_MAX = 64 << 20
CONNECTIONS_MAX = 256
KEEP_ALIVE_S = 30.0
#: A client that reads nothing for so long has gone.
STALL_S = 30.0
#: Requests that are being answered have so long to end when the node does.
GRACE_S = 2.0

_log = Log()
_Scope = MutableMapping[str, Any]


@asynccontextmanager
async def serve(app: App, path: Path, *, grace_s: float = GRACE_S) -> AsyncIterator[None]:
    """Serve inside the block. Who connects once it is entered is answered."""
    with _bound(path) as listening:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        server = _Server(app)
        async with trio.open_nursery() as connections:
            try:
                async with trio.open_nursery() as accepting:
                    accept = partial(trio.serve_listeners, handler_nursery=connections)
                    accepting.start_soon(accept, server.answer, [listener])
                    try:
                        yield
                    finally:
                        accepting.cancel_scope.cancel()
            finally:
                await server.end(grace_s)
                connections.cancel_scope.cancel()


class _Server:
    """The connections of one socket."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._config = _config()
        self._context = WorkerContext(max_requests=None)
        self._connections: set[_Connection] = set()
        self._all_gone = trio.Event()

    async def answer(self, stream: trio.SocketStream) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            _log.warning("too_many_local_connections", limit=CONNECTIONS_MAX)
            await trio.aclose_forcefully(stream)
            return
        connection = _Connection(stream)
        self._connections.add(connection)
        try:
            await TCPServer(
                self._call,  # type: ignore[arg-type]  # its hints know the two wrappers of its own
                self._config,
                self._context,
                ConnectionState({}),
                connection,  # type: ignore[arg-type]  # it uses four methods of a stream
            )
        except* Exception:  # noqa: BLE001 - whatever a client has caused ends with its connection
            _log.exception("local_connection_failed")
        finally:
            connection.abort()
            self._connections.discard(connection)
            if not self._connections:
                self._all_gone.set()

    async def end(self, grace_s: float) -> None:
        """Let requests end for a while; then take the sockets away."""
        await self._context.terminated.set()
        self._all_gone = trio.Event()
        if self._connections:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + grace_s):
                await self._all_gone.wait()
        for each in self._connections:
            each.abort()

    async def _call(
        self,
        scope: _Scope,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        *_threads: object,
    ) -> None:
        """Call the app, if it is a request of a kind and a size that we want."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        status = _refused(scope)
        if status:
            head = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": head})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


class _Connection:
    """What hypercorn uses of a stream, with an end to every send."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self.receive_some = stream.receive_some
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:  # in pieces: a slow reader of something long is fine
            with trio.move_on_after(STALL_S) as scope:
                await self._stream.send_all(view[:65536])
            if scope.cancelled_caught:
                self.abort()
                raise trio.BrokenResourceError(f"nothing was read for {STALL_S:g} s")
            view = view[65536:]

    def abort(self) -> None:
        """Close it under whoever waits for it."""
        self.socket.close()


def _refused(scope: _Scope) -> int:
    """Give the status for a request that is not passed on; 0 for one that is."""
    if scope["http_version"] not in {"1.0", "1.1"}:  # a body of HTTP/2 needs no length
        return 505
    headers = {name.lower(): value for name, value in scope["headers"]}
    if b"transfer-encoding" in headers:
        return 411
    length = headers.get(b"content-length", b"0")
    return 413 if not length.isdigit() or int(length[:20]) > BODY_BYTES_MAX else 0


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")  # goes where our log goes
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.include_server_header = False
    return config


# --- the socket -------------------------------------------------------------------------------


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """Listen at a path that is ours as long as the block lasts."""
    usable_socket(path)
    make_private(path.parent)
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            # held until the process ends, however it does: no other can bind in between
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _another(path) from error
        _clear(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            with suppress(OSError):  # Linux makes the file with these rights; others refuse
                os.fchmod(listening.fileno(), 0o600)
            listening.bind(os.fspath(path))
            path.chmod(0o600)
            made = path.stat()
            listening.listen(128)
            listening.setblocking(False)
            try:
                yield listening
            finally:
                with suppress(OSError):
                    if os.path.samestat(path.stat(), made):
                        path.unlink()
    finally:
        os.close(lock)


def _clear(path: Path) -> None:
    """Take away the socket of a node that is dead."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"{path} is in the place of the node's socket and is none: move it away.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # it is too busy to answer, so that it is there
            pass
    raise _another(path)


def _another(path: Path) -> TakenError:
    return TakenError(
        f"another node is running here: it serves {path}. `commons status` shows it; to run a "
        f"second one, give it a folder of its own with COMMONS_HOME."
    )
