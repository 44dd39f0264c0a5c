# SPDX-License-Identifier: MIT
"""A runner: confines itself, loads one model, and answers calls until its socket ends.

It is forked from the zygote, or started by itself for providers that cannot be forked. From
the first byte of the model on, this process may be an enemy's: everything that it could do
harm with was given up before, and the daemon believes nothing that it says without looking.
"""

import array
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.executor.child.graph import Graph, Loading, Value
from node.executor.child.values import all_finite, map_room, unmap_room
from node.executor.executor import Layer
from node.executor.sandbox.confine import (
    Confinement,
    close_files,
    confine,
    holds_strangers,
)
from node.executor.sandbox.identity import die_with
from node.executor.task import Task
from node.executor.wire import (
    FINITE,
    HEAD,
    INLINE_BYTES_MAX,
    Head,
    Op,
    Place,
    Placed,
    failure_table,
    head_bytes,
    layout,
    parse_head,
    parse_table,
    table_bytes,
)
from protocol.errors import CommonsError, Refused
from protocol.limits import RANK_MAX
from protocol.reasons import Reason

GRAPH = "graph.onnx"
_FD_BYTES = socket.CMSG_SPACE(4)


class Leave(Exception):
    """The daemon has closed the socket: there is nobody left to answer."""


@dataclass
class Kept:
    """What a runner holds between calls: rooms in shared memory, sessions, an answer too big."""

    room_in: memoryview = field(default_factory=lambda: memoryview(b""))
    room_out: memoryview = field(default_factory=lambda: memoryview(b""))
    sessions: dict[int, list[Value]] = field(default_factory=dict)
    waiting: tuple[Head, list[Value], int] | None = None


def serve(link: socket.socket, task: Task, parent_pid: int) -> None:
    """Load and answer; returns when the daemon has left. Dies with its parent."""
    layers: list[Layer] = []
    try:
        # A provider that cannot be forked needs its driver's files and devices: it is for
        # trusted work alone, and the daemon sees to that.
        folder = task.folder
        if task.forked:
            wanted = Confinement(
                folder=task.folder,
                memory_bytes=task.memory_bytes,
                parent_pid=parent_pid,
                keep_open={0, 1, 2, link.fileno()},
            )
            confined = confine(wanted)
            layers += confined.layers
            folder = confined.folder
            _check_contained(task, layers)
        graph = load(os.path.join(folder, GRAPH), task)  # noqa: PTH118 - a path inside the sandbox
        if task.forked:
            layers.append(close_files())
            _check_contained(task, layers)
    except CommonsError as error:
        link.sendall(head_bytes(Op.FAILED, _told(error, task)))
        return
    link.sendall(head_bytes(Op.READY, _described(graph, layers)))
    kept = Kept()
    try:
        while True:
            answer(link, graph, task, kept)
    except (Leave, ConnectionError):
        return


def _check_contained(task: Task, layers: Sequence[Layer]) -> None:
    """What held when it was tried may fail now: memory and namespaces can run out."""
    if task.contained and not holds_strangers(layers):
        off = ", ".join(f"{each.name} ({each.detail})" for each in layers if not each.on)
        raise Refused(Reason.NOT_CONTAINED, f"off: {off}")


def load(path: str, task: Task) -> Graph:
    """Load the model: the first moment at which its bytes are read here."""
    return Graph(
        Loading(
            path=path,
            inputs=task.inputs,
            outputs=task.outputs,
            provider=task.provider,
            threads=task.threads,
            optimise=task.optimise,
            entries=task.entries,
        )
    )


def answer(link: socket.socket, graph: Graph, task: Task, kept: Kept) -> None:
    """Read one message and answer it."""
    head, fd = _receive_head(link)
    table = _receive(link, head.table_bytes)
    inline = memoryview(_receive(link, head.inline_bytes))
    try:
        if head.op in (Op.ROOM_IN, Op.ROOM_OUT):
            _take_room(kept, head.op, fd)
        elif head.op == Op.AGAIN and kept.waiting:
            waiting, kept.waiting = kept.waiting, None
            _send_shared(link, kept, *waiting)
        elif head.op == Op.CLOSE:
            kept.sessions.pop(head.session, None)
        else:
            placed = parse_table(head, table, max(len(kept.room_in), len(kept.room_out)))
            _call(link, graph, task, kept, head, placed, inline)
    except CommonsError as error:
        link.sendall(head_bytes(Op.FAILED, _told(error, task), session=head.session))


def _call(
    link: socket.socket,
    graph: Graph,
    task: Task,
    kept: Kept,
    head: Head,
    placed: Sequence[Placed],
    inline: memoryview,
) -> None:
    """Answer what brings tensors, or takes them."""
    kept.waiting = None  # whoever asks for something else does not want it any more
    if head.op == Op.READ:
        _reply(link, kept, head, _state_of(kept, head.session), 0)
        return
    if head.op == Op.ADAPT:
        values = [_copied(each, inline, kept.room_in) for each in placed]
        graph.adapt(dict(zip(task.adapter, values, strict=True)))
        _reply(link, kept, head, [], 0)
        return
    if head.op == Op.OPEN:
        kept.sessions[head.session] = [_copied(each, inline, kept.room_in) for each in placed]
        _reply(link, kept, head, [], 0)
        return
    pairs = task.states if head.op == Op.STEP else ()
    stays_in, stays_out = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    ports_in = [port for place, port in enumerate(graph.inputs) if place not in stays_in]
    ports_out = [port for place, port in enumerate(graph.outputs) if place not in stays_out]
    given, wanted = placed[: len(ports_in)], placed[len(ports_in) :]
    feeds = {
        port.name: _value(each, inline, kept.room_in)
        for port, each in zip(ports_in, given, strict=True)
    }
    if head.op == Op.STEP:
        state = _state_of(kept, head.session)
        names = [graph.inputs[pair[0]].name for pair in pairs]
        feeds |= dict(zip(names, state, strict=True))
    into = {
        port.name: _value(each, inline, kept.room_out)
        for port, each in zip(ports_out, wanted, strict=bool(wanted))
    }
    begin_s = time.perf_counter()
    got = graph.run(feeds, into)
    busy_us = int((time.perf_counter() - begin_s) * 1e6)
    if head.op == Op.STEP:
        kept.sessions[head.session] = [got[pair[1]] for pair in pairs]
    outputs = [each for place, each in enumerate(got) if place not in stays_out]
    _reply(link, kept, head, outputs, busy_us, there=list(wanted))


def _reply(
    link: socket.socket,
    kept: Kept,
    head: Head,
    values: list[Value],
    busy_us: int,
    there: list[Placed] | None = None,
) -> None:
    """Send outputs: in the message, in the places that were named, or by asking for room."""
    if any(len(each.header.dims) > RANK_MAX for each in values):
        raise Refused(Reason.WRONG_FORM, f"an output of more than {RANK_MAX} dimensions")
    if there:
        _send(link, head, there, [], values, busy_us)
        return
    total = sum(len(each.data) for each in values)
    if total <= INLINE_BYTES_MAX:
        placed = [Placed(Place.INLINE, each.header, 0) for each in values]
        _send(link, head, placed, [each.data for each in values], values, busy_us)
        return
    _, needed = layout(each.header for each in values)
    kept.waiting = (head, values, busy_us)
    if needed <= len(kept.room_out):
        kept.waiting = None
        _send_shared(link, kept, head, values, busy_us)
    else:
        link.sendall(head_bytes(Op.NEEDS, str(needed).encode(), session=head.session))


def _send_shared(
    link: socket.socket, kept: Kept, head: Head, values: list[Value], busy_us: int
) -> None:
    placed, needed = layout(each.header for each in values)
    if needed > len(kept.room_out):
        raise Refused(Reason.RUN_FAILED, "there is no room for the outputs")
    for place, each in zip(placed, values, strict=True):
        kept.room_out[place.offset : place.end] = each.data
    _send(link, head, placed, [], values, busy_us)


def _send(
    link: socket.socket,
    head: Head,
    placed: list[Placed],
    inline: list[memoryview],
    values: list[Value],
    busy_us: int,
) -> None:
    finite = head.flags & FINITE and all(
        all_finite(each.header.element, each.data) for each in values
    )
    first = head_bytes(
        Op.DONE,
        table_bytes(placed),
        count=len(placed),
        inline_bytes=sum(map(len, inline)),
        session=head.session,
        flags=FINITE if finite else 0,
        busy_us=busy_us,
    )
    link.sendall(b"".join((first, *inline)))


def _told(error: CommonsError, task: Task) -> bytes:
    """Say what went wrong; where our folders are is nobody's business but ours."""
    return failure_table(error.reason, error.detail.replace(task.folder, "the model's folder"))


def _state_of(kept: Kept, session: int) -> list[Value]:
    if session not in kept.sessions:
        raise Refused(Reason.IDLE, f"session {session} is not open")
    return kept.sessions[session]


def _value(placed: Placed, inline: memoryview, room: memoryview) -> Value:
    source = inline if placed.place == Place.INLINE else room
    return Value(placed.header, source[placed.offset : placed.end])


def _copied(placed: Placed, inline: memoryview, room: memoryview) -> Value:
    """Take a tensor that outlives its message: the room it came in is used again."""
    value = _value(placed, inline, room)
    return Value(value.header, memoryview(bytearray(value.data)))


def _take_room(kept: Kept, op: int, fd: int) -> None:
    """Map the memory that the daemon sent, in the place of what was there."""
    room = map_room(fd, writable=op == Op.ROOM_OUT)
    os.close(fd)
    old = kept.room_out
    if op == Op.ROOM_IN:
        old, kept.room_in = kept.room_in, room
    else:
        kept.room_out = room
    unmap_room(old)


def _described(graph: Graph, layers: Sequence[Layer]) -> bytes:
    """Say what was loaded, and behind which layers."""
    ports = {
        side: [[port.name, int(port.element), port.dims] for port in ports]
        for side, ports in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }
    layer_rows = [[each.name, each.on, each.detail] for each in layers]
    return json.dumps({**ports, "layers": layer_rows}).encode()


def _receive_head(link: socket.socket) -> tuple[Head, int]:
    """Read a head, and the descriptor that may come with its first byte."""
    data, ancillary, _, _ = link.recvmsg(HEAD.size, _FD_BYTES)
    fd = -1
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fd = array.array("i", content[:4])[0]
    if len(data) < HEAD.size:
        data += _receive(link, HEAD.size - len(data)) if data else b""
    if not data:
        raise Leave
    return parse_head(data), fd


def _receive(link: socket.socket, size_bytes: int) -> bytearray:
    data = bytearray(size_bytes)
    view = memoryview(data)
    at = 0
    while at < size_bytes:
        got = link.recv_into(view[at:])
        if not got:
            raise Leave
        at += got
    return data


if __name__ == "__main__":
    zygote_pid = int(sys.argv[3])
    die_with(zygote_pid)
    serve(socket.socket(fileno=int(sys.argv[1])), Task.parse(sys.argv[2]), zygote_pid)
