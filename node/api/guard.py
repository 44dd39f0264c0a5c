# SPDX-License-Identifier: MIT
"""Who may speak to the control API at all. The socket is open to its owner alone; this is more.

A page in the owner's browser may talk to local servers through some bridge, under a name that
resolves to this machine. No command line sends Origin or Referer, and ours says which host it
means; so whatever sends them, or means another host, is refused.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from node.api.failures import failure
from node.api.requests import failed
from protocol.reasons import Reason

HOSTS = frozenset({b"commons", b"localhost"})

#: A person's commands and a few that watch; more is a loop that went wrong.
AT_ONCE_MAX = 64


class Guard:
    """Lets only the owner's programs through, and not too many of them at once."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before this application."""
        self._app = app
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = _refusal(scope)
        if refused is None and self._inside >= AT_ONCE_MAX:
            refused = failure(
                503, Reason.BUSY, f"{AT_ONCE_MAX} requests are under way", "Try again soon."
            )
        if refused is not None:
            await failed(refused)(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1


def _refusal(scope: Scope) -> tuple[int, dict[str, object]] | None:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name in (b"origin", b"referer"):
        if any(key.lower() == name for key, _ in headers):
            return _not_for_pages(f"the request has the header {name.decode()}")
    hosts = [value for key, value in headers if key.lower() == b"host"]
    if len(hosts) != 1 or hosts[0].lower() not in HOSTS:
        return _not_for_pages("the request does not mean this host")
    return None


def _not_for_pages(detail: str) -> tuple[int, dict[str, object]]:
    return failure(
        403,
        Reason.WRONG_PARTY,
        detail,
        "Use `commons`, or send `Host: commons` and neither Origin nor Referer.",
    )
