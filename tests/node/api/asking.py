# SPDX-License-Identifier: MIT
"""Asks an ASGI application without any server: what a client sends, and what it gets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from node.host.host import App

HEADERS = {"host": "commons", "content-type": "application/json"}


@dataclass
class Answer:
    """What came back, as far as it has come."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Asking:
    """One request. The client is there until `leave` is called."""

    def __init__(
        self,
        app: App,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: dict[str, str] | Sequence[tuple[str, str]] = HEADERS,
        pieces: Sequence[bytes] | None = None,
    ) -> None:
        path, _, query = target.partition("?")
        pairs = headers.items() if isinstance(headers, dict) else headers
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in pairs],
            "client": None,
            "server": ("control.sock", None),
        }
        if pieces is None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            pieces = [] if body is None else [data]
        self._pieces = list(pieces) or [b""]
        self._left = trio.Event()
        self.answer = Answer()
        self.changed = trio.Event()

    def leave(self) -> None:
        """Close the client's end."""
        self._left.set()

    async def run(self) -> Answer:
        """Send it all, and take what comes until the application is done."""
        await self._app(self._scope, self._receive, self._send)
        return self.answer

    async def _receive(self) -> dict[str, Any]:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = {
                name.decode(): value.decode() for name, value in message["headers"]
            }
        else:
            self.answer.body += message.get("body", b"")
            self.answer.ended = not message.get("more_body", False)
        self.changed.set()
        self.changed = trio.Event()


async def ask(app: App, method: str, target: str, body: object = None, **more: Any) -> Answer:
    """Ask, stay until the end, and give the answer."""
    with trio.fail_after(20):
        return await Asking(app, method, target, body, **more).run()
