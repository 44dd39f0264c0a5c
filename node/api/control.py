# SPDX-License-Identifier: MIT
"""The control API: what the owner's programs can ask of his running node, over its Unix socket.

Each endpoint reads its request, asks the node and answers one document, or lines. What they
look like is in docs/design/control-api.md, where each example is tested. Who may ask is in
`guard`; how a request is worked on, in `requests`; what is read of it, in `bodies`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.api import bodies
from node.api.bodies import Field, Form, optional, read_body, read_query
from node.api.documents import as_document, documents
from node.api.failures import failure
from node.api.guard import Guard
from node.api.limits import accepted
from node.api.node import Node
from node.api.requests import Lines, answer, endpoint, failed
from node.api.streams import tell_events, tell_try
from node.host.host import App
from node.log import Log
from protocol.limits import NAME_BYTES_MAX, PASTED_CHARACTERS_MAX
from protocol.reasons import Reason

DAY_S = 86_400
YEAR_S = 366 * DAY_S

#: One order by hand is a try, not a job.
TRY_ITEMS_MAX = 1_000

_NUMBERS_MAX = 2**53
_A_NETWORK = bodies.text(NAME_BYTES_MAX * 2)

Parts = Mapping[str, object]
Ask = Callable[[Node, dict[str, Any]], Awaitable[Parts]]


def control_app(node: Node, log: Log) -> App:
    """Make the application that answers for this node."""
    plain = [
        Route(
            f"/v1/{name}",
            endpoint(log, partial(_ask, node, form, ask)),
            methods=[method],
        )
        for (method, name), (form, ask) in PLAIN.items()
    ]
    lines = [
        Route("/v1/events", endpoint(log, partial(_events, node, log)), methods=["GET"]),
        Route("/v1/try", endpoint(log, partial(_try, node, log)), methods=["POST"]),
    ]
    return Guard(Starlette(routes=[*plain, *lines], exception_handlers={HTTPException: _not_here}))


async def _ask(node: Node, form: Form, ask: Ask, request: Request) -> Response:
    """Answer with what the node says to this."""
    if request.method == "POST":
        read_query(request, {})
        fields = await read_body(request, form)
    else:
        fields = read_query(request, form)
    return await answer(request, partial(ask, node, fields))


async def _events(node: Node, log: Log, request: Request) -> Response:
    fields = read_query(request, EVENTS)
    return Lines(partial(tell_events, node.happenings, **fields), log)


async def _try(node: Node, log: Log, request: Request) -> Response:
    read_query(request, {})
    fields = await read_body(request, TRY)
    return Lines(partial(tell_try, node, **fields), log)


async def _status(node: Node, _: dict[str, Any]) -> Parts:
    return as_document(await node.status())


async def _doctor(node: Node, _: dict[str, Any]) -> Parts:
    return {"findings": documents(await node.doctor())}


async def _peers(node: Node, fields: dict[str, Any]) -> Parts:
    told: dict[str, object] = {"peers": documents(await node.peers())}
    if fields["all"]:
        told["adverts"] = documents(await node.adverts())
        told["bans"] = documents(await node.bans())
    return told


async def _ban(node: Node, fields: dict[str, Any]) -> Parts:
    return {"ban": as_document(await node.ban(**fields))}


async def _unban(node: Node, fields: dict[str, Any]) -> Parts:
    await node.unban(**fields)
    return {}


async def _networks(node: Node, _: dict[str, Any]) -> Parts:
    return {"networks": documents(await node.networks())}


async def _invite(node: Node, fields: dict[str, Any]) -> Parts:
    return as_document(await node.invite(**fields))


def _one_network(verb: str) -> Ask:
    """Ask for something that ends with one network."""

    async def ask(node: Node, fields: dict[str, Any]) -> Parts:
        return {"network": as_document(await getattr(node, verb)(**fields))}

    return ask


async def _pause(node: Node, fields: dict[str, Any]) -> Parts:
    return {"standing": as_document(await node.pause(**fields))}


async def _resume(node: Node, _: dict[str, Any]) -> Parts:
    return {"standing": as_document(await node.resume())}


async def _limits(node: Node, _: dict[str, Any]) -> Parts:
    return {"limits": dict(await node.limits())}


async def _set_limits(node: Node, fields: dict[str, Any]) -> Parts:
    changes = accepted(fields["changes"], await node.limits())
    return {"limits": dict(await node.set_limits(changes))}


async def _stop(node: Node, _: dict[str, Any]) -> Parts:
    node.stop()
    return {}


async def _not_here(request: Request, error: Exception) -> Response:
    """Answer where there is no endpoint, or none for this method."""
    assert isinstance(error, HTTPException)
    there = ", ".join(sorted({f"{method} /v1/{name}" for method, name in ENDPOINTS}))
    detail = f"there is no {request.method} {request.url.path[:80]}"
    return failed(failure(error.status_code, Reason.NOT_FOUND, detail, f"There are: {there}."))


EVENTS: Form = {
    "since": optional(bodies.whole(0, _NUMBERS_MAX), 0),
    "follow": optional(bodies.flag, False),
}
TRY: Form = {
    "peer": Field(bodies.peer),
    "model": Field(bodies.path),
    "items": optional(bodies.whole(1, TRY_ITEMS_MAX), 1),
    "sizes": optional(bodies.sizes(64, 1 << 31), {}),
}
PLAIN: dict[tuple[str, str], tuple[Form, Ask]] = {
    ("GET", "status"): ({}, _status),
    ("GET", "peers"): ({"all": optional(bodies.flag, False)}, _peers),
    ("POST", "ban"): (
        {
            "peer": Field(bodies.peer),
            "for_s": optional(bodies.number(1, YEAR_S), float(DAY_S)),
            "detail": optional(bodies.text(200, 0), ""),
        },
        _ban,
    ),
    ("POST", "unban"): ({"peer": Field(bodies.peer)}, _unban),
    ("GET", "network"): ({}, _networks),
    ("POST", "invite"): ({"for_s": optional(bodies.number(60, YEAR_S), 7.0 * DAY_S)}, _invite),
    ("POST", "join"): ({"text": Field(bodies.text(PASTED_CHARACTERS_MAX))}, _one_network("join")),
    ("POST", "leave"): (
        {"network": optional(bodies.text(NAME_BYTES_MAX * 2, 0), "")},
        _one_network("leave"),
    ),
    ("POST", "found"): (
        {"name": Field(bodies.text(NAME_BYTES_MAX)), "private": optional(bodies.flag, False)},
        _one_network("found"),
    ),
    ("POST", "use"): ({"network": Field(_A_NETWORK)}, _one_network("use")),
    ("POST", "rotate"): ({}, _one_network("rotate")),
    ("POST", "retire"): ({"version": Field(bodies.whole(0, 1 << 32))}, _one_network("retire")),
    ("POST", "pause"): ({"for_s": optional(bodies.number(1, YEAR_S))}, _pause),
    ("POST", "resume"): ({}, _resume),
    ("GET", "limits"): ({}, _limits),
    ("POST", "limits"): ({"changes": Field(bodies.changes)}, _set_limits),
    ("GET", "doctor"): ({}, _doctor),
    ("POST", "stop"): ({}, _stop),
}
"""What is answered with one document: what its request may say, and what the node is asked."""

ENDPOINTS = [*PLAIN, ("GET", "events"), ("POST", "try")]
