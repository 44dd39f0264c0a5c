# SPDX-License-Identifier: MIT
"""How a command talks to the running node, over its Unix socket. What it asks is its own affair.

Nothing but the standard library is needed for that: `commons status` must answer before
a person notices, and the daemon's libraries alone take a second to import.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.arguments import paths_of
from node.cli.failures import Failed
from node.exits import ExitCode

if TYPE_CHECKING:
    import socket
    from http.client import HTTPResponse

API_VERSION = 1

#: The socket is on this machine; a node that takes longer to accept is stuck.
CONNECT_S = 5.0

#: Longer than the node lets any work take that it answers with one document.
ANSWER_S = 75.0

#: The directory of a node that knows hundreds of others has some hundred KiB.
ANSWER_BYTES_MAX = 16 << 20
LINE_BYTES_MAX = 1 << 20

NOT_RUNNING = "the node is not running; `commons run` starts it."
NO_ANSWER = "the node does not answer; `commons log` may say why, else stop it and start it anew."
ENDED = "the node ended, or was stopped, before it had answered."
STRANGE = "the node answered something strange; it may be of another version: start it anew."

# What a status of HTTP means to the shell; any other is a plain failure.
CODES = {404: ExitCode.NOT_FOUND, 409: ExitCode.REFUSED, 422: ExitCode.CONFIG}


def get(target: str) -> dict[str, Any]:
    """Ask the node for a document."""
    return _ask("GET", target, None)


def post(target: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Ask the node to do something, and give what it says about it."""
    return _ask("POST", target, body or {})


@contextmanager
def lines(
    method: str, target: str, body: Mapping[str, object] | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    """Give documents as they come, inside the block; leaving it tells the node to stop."""
    with _answer(method, target, body) as (connected, response):
        connected.settimeout(None)  # the next one may well take an hour
        yield _documents(response)


@contextmanager
def understood() -> Iterator[None]:
    """Say it in a sentence when a field is missing: the node is of before an update."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError):
        raise Failed(ExitCode.FAILED, STRANGE) from None


def is_running() -> bool:
    """Whether a node serves this user's socket."""
    try:
        _connect(_socket()).close()
    except Failed as failed:
        if failed.code is ExitCode.NOT_RUNNING:
            return False
        raise
    return True


def _ask(method: str, target: str, body: Mapping[str, object] | None) -> dict[str, Any]:
    with _answer(method, target, body) as (_, response), _mishaps():
        data = response.read(ANSWER_BYTES_MAX + 1)
        if len(data) > ANSWER_BYTES_MAX:
            raise Failed(ExitCode.FAILED, STRANGE)
        if response.length:  # http.client does not mind that some is missing
            raise Failed(ExitCode.FAILED, ENDED)
        return _read(data)


@contextmanager
def _answer(
    method: str, target: str, body: Mapping[str, object] | None
) -> Iterator[tuple["socket.socket", "HTTPResponse"]]:
    from http.client import HTTPConnection

    connection = HTTPConnection("commons")
    connection.auto_open = 0  # a host named `commons` is not what was meant
    connected = connection.sock = _connect(_socket())
    response: HTTPResponse | None = None
    try:
        with _mishaps():
            connected.settimeout(ANSWER_S)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/v1/{target}", data, headers)
            response = connection.getresponse()
            if response.status != 200:
                _fail(response)
        yield connected, response
    finally:
        if response is not None:
            response.close()
        connection.close()


def _documents(response: "HTTPResponse") -> Iterator[dict[str, Any]]:
    while True:
        with _mishaps():
            line = response.readline(LINE_BYTES_MAX)
        if not line:
            return
        if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            raise Failed(ExitCode.FAILED, ENDED)
        document = _read(line)
        if "error" in document:
            raise _failed(document["error"])
        yield document


def _fail(response: "HTTPResponse") -> None:
    document = _read(response.read(LINE_BYTES_MAX))
    if "error" not in document:
        raise Failed(ExitCode.FAILED, STRANGE)
    raise _failed(document["error"])


def _failed(error: Any) -> Failed:  # noqa: ANN401 - what another version of the node may have sent
    if not isinstance(error, dict):
        return Failed(ExitCode.FAILED, STRANGE)
    reason, detail, status = (error.get(name, "") for name in ("reason", "detail", "status"))
    code = CODES.get(status, ExitCode.FAILED) if isinstance(status, int) else ExitCode.FAILED
    return Failed(code, f"{reason}: {detail}", str(error.get("next", "")))


def _read(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError:
        raise Failed(ExitCode.FAILED, STRANGE) from None
    if not isinstance(document, dict) or document.pop("v", None) != API_VERSION:
        raise Failed(ExitCode.FAILED, STRANGE)
    return document


def _socket() -> Path:
    from node.paths import usable_socket

    return usable_socket(paths_of().control_socket)


def _connect(path: Path) -> "socket.socket":
    import socket

    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connecting.settimeout(CONNECT_S)
    try:
        connecting.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connecting.close()
        raise Failed(ExitCode.NOT_RUNNING, NOT_RUNNING) from None
    except (TimeoutError, BlockingIOError):
        connecting.close()
        raise Failed(ExitCode.FAILED, NO_ANSWER) from None
    except OSError as error:
        connecting.close()
        raise Failed(ExitCode.FAILED, f"{path}: {error.strerror or error}.") from None
    return connecting


@contextmanager
def _mishaps() -> Iterator[None]:
    """Say what becomes of a conversation that breaks."""
    from http.client import HTTPException, RemoteDisconnected

    try:
        yield
    except TimeoutError:
        raise Failed(ExitCode.FAILED, NO_ANSWER) from None
    except (RemoteDisconnected, ConnectionError):
        raise Failed(ExitCode.FAILED, ENDED) from None
    except HTTPException as error:
        told = ENDED if type(error).__name__ == "IncompleteRead" else STRANGE
        raise Failed(ExitCode.FAILED, told) from None
