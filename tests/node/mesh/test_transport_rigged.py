# SPDX-License-Identifier: MIT
"""A made network that breaks a promise is noticed, each promise in its turn."""

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

import pytest
import trio

from node.mesh.address import Address, parse_address
from node.mesh.transport import Connection, Service, TransportError, Unreachable
from protocol.keys import Keypair
from protocol.tensors import Buffer
from simulations.call import Call
from simulations.connection import SimulatedConnection
from simulations.network import Way
from simulations.stream import SimulatedStream
from simulations.transport import SimulatedEndpoint, SimulatedTransport
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh import ending_promises as endings
from tests.node.mesh import leaving_promises as leaving
from tests.node.mesh import meeting_promises as meeting
from tests.node.mesh import parting_promises as parting
from tests.node.mesh import stream_promises as streams
from tests.node.mesh.memory_scene import MemoryScene
from tests.node.mesh.scene import OpenGate
from tests.node.mesh.transport_promises import Promise, kept

STREAM, CONNECTION = "simulations.stream", "simulations.connection"
STREAMS, CONNECTIONS = f"{STREAM}.SimulatedStream", f"{CONNECTION}.SimulatedConnection"
NET = "simulations.transport"
ENDPOINTS = f"{NET}.SimulatedEndpoint"

_arrive, _end, _finish, _start = (
    SimulatedStream.arrive,
    SimulatedStream.end,
    SimulatedStream._finish,
    SimulatedConnection.start,
)
_open, _called, _held = SimulatedTransport.open, Call.__init__, Way.hold


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def loses_a_byte(stream: SimulatedStream, data: bytes) -> None:
    _arrive(stream, data[1:] if len(data) == 65_000 else data)


def swaps_two_writes(stream: SimulatedStream, data: bytes) -> None:
    stream._arrived[:0] = data
    stream._readers.unpark_all()


def finishes_both_directions(stream: SimulatedStream) -> None:
    _finish(stream)
    stream.arrive_no_more()


def ends_unless(word: str) -> Callable[[SimulatedStream, str], None]:
    return lambda stream, why: None if word in why else _end(stream, why)


async def takes_before_it_waits(stream: SimulatedStream) -> bytes:
    while not stream._arrived and not stream._cannot_arrive:
        await stream._readers.park()
    data = bytes(stream._arrived)
    stream._arrived.clear()
    await trio.lowlevel.checkpoint()
    return data


async def resets_when_it_may(stream: SimulatedStream) -> None:
    await trio.lowlevel.checkpoint()
    stream.end("it was reset here")


async def sends_another_time(_: SimulatedStream, *__: Buffer) -> None:
    await trio.lowlevel.checkpoint()


def takes_whatever_is_asked(stream: SimulatedStream, *, is_taken: bool) -> None:
    stream._is_taken = is_taken or True
    stream._look_again()


async def contains_nothing(work: Callable[[Any], Awaitable[None]], given: Any, _: str) -> bool:
    await work(given)
    return True


def numbers_like_the_other(connection: SimulatedConnection) -> None:
    connection._next_number = 1
    _start(connection)


def starts_twice(connection: SimulatedConnection) -> None:
    _start(connection)
    _start(connection)


def has_always_dialled(connection: SimulatedConnection) -> None:
    connection.inbound = False
    _start(connection)


async def tells_nobody(connection: SimulatedConnection) -> None:
    connection._go()
    await trio.lowlevel.checkpoint()


def asks_no_gate(transport: Any, keypair: Keypair, seed: bytes, listen: Any, given: Service) -> Any:
    return _open(transport, keypair, seed, listen, Service(given.meet, given.handlers, OpenGate()))


def believes_any_key(
    call: Call, net: Any, caller: SimulatedEndpoint, place: Address, _: bytes
) -> None:
    listener = net.listening.get(place)
    _called(call, net, caller, place, listener.key if listener else b"")


async def gives_up_at_once(call: Call) -> Connection | None:
    raise Unreachable(f"{call._place} was the first")


async def dials_anything(
    endpoint: SimulatedEndpoint, peer: bytes, addresses: Sequence[str]
) -> Connection:
    for each in addresses:
        call = Call(endpoint._net, endpoint, parse_address(each)[0], peer)
        if connection := await call.made():
            return connection
    raise Unreachable(" ".join(addresses))


def listens_without_looking(endpoint: SimulatedEndpoint, addresses: Sequence[str]) -> None:
    endpoint._places = [parse_address(each)[0] for each in addresses]


def loses_what_it_holds(way: Way, *, is_held: bool) -> None:
    way.drop()
    _held(way, is_held=is_held)


# What is broken: where, and what stands there instead; then a promise that no longer holds.
RIGGED: dict[str, tuple[str, object, Promise]] = {
    "a byte is lost": (f"{STREAMS}.arrive", loses_a_byte, streams.bytes_arrive_in_order_and_whole),
    "writes are swapped": (
        *(f"{STREAMS}.arrive", swaps_two_writes),
        streams.pieces_arrive_in_their_order,
    ),
    "an end is forgotten": (
        *(f"{STREAMS}.arrive_no_more", nothing),
        streams.bytes_arrive_in_order_and_whole,
    ),
    "an end is one of both": (
        *(f"{STREAMS}._finish", finishes_both_directions),
        endings.finishing_leaves_the_other_direction_open,
    ),
    "words wait for more": (
        f"{STREAMS}.send",
        sends_another_time,
        streams.an_answer_comes_without_an_end,
    ),
    "nobody is held back": (
        *(f"{STREAM}.WINDOW_BYTES", 1 << 30),
        streams.a_writer_is_held_back_by_a_reader_that_does_not_read,
    ),
    "nobody is let on": (f"{STREAMS}.widen", nothing, streams.a_slow_reader_gets_everything),
    "numbers are used twice": (
        *(f"{CONNECTIONS}.start", numbers_like_the_other),
        streams.streams_do_not_mix,
    ),
    "streams are kept": (
        *(f"{CONNECTIONS}._forget", nothing),
        streams.streams_do_not_mix,
    ),
    "a reset is not told": (
        *(f"{STREAMS}.end", SimulatedStream.lose),
        endings.a_reset_ends_both_directions_for_both,
    ),
    "a reset can be cancelled": (
        *(f"{STREAMS}.reset", resets_when_it_may),
        endings.resetting_never_raises,
    ),
    "handlers may fail everything": (
        *(f"{CONNECTION}.contained", contains_nothing),
        endings.whatever_a_handler_raises_ends_its_stream_only,
    ),
    "who returns has not finished": (
        *(f"{STREAMS}.let_go", nothing),
        endings.a_handler_that_returns_has_finished,
    ),
    "anything is spoken": (
        *(f"{STREAMS}.answer", takes_whatever_is_asked),
        endings.a_protocol_that_nobody_speaks_is_refused,
    ),
    "an end is not heard": (
        *(f"{CONNECTIONS}.be_left", nothing),
        parting.a_killed_peer_is_noticed_by_whoever_talks_to_it,
    ),
    "an end is not told": (
        *(f"{CONNECTIONS}.close", tells_nobody),
        parting.a_closed_connection_ends_for_both,
    ),
    "who leaves stays": (
        f"{ENDPOINTS}.end",
        nothing,
        parting.whoever_leaves_closes_every_connection,
    ),
    "what is held is lost": (
        f"{NET}.Way.hold",
        loses_what_it_holds,
        parting.a_peer_that_stands_still_for_a_while_goes_on,
    ),
    "opening takes for ever": (
        *(f"{CONNECTION}.OPEN_S_MAX", inf),
        parting.a_peer_that_stands_still_is_given_up_in_time,
    ),
    "dialling takes for ever": (
        *("simulations.call.OPEN_S_MAX", inf),
        parting.a_peer_that_stands_still_is_given_up_in_time,
    ),
    "half a send is none": (
        *(f"{STREAMS}.end", ends_unless("sender")),
        leaving.leaving_while_sending_loses_the_stream_alone,
    ),
    "half an opening stays": (
        *(f"{STREAMS}.end", ends_unless("given up")),
        leaving.leaving_while_a_stream_is_opened_leaves_nothing,
    ),
    "half a dial stays": (
        *(f"{CONNECTIONS}.end", nothing),
        leaving.leaving_while_dialling_leaves_no_connection,
    ),
    "who leaves takes bytes along": (
        *(f"{STREAMS}.receive", takes_before_it_waits),
        leaving.leaving_while_receiving_loses_nothing,
    ),
    "all meet twice": (
        *(f"{CONNECTIONS}.start", starts_twice),
        meeting.both_sides_meet_each_connection_once,
    ),
    "all have dialled": (
        *(f"{CONNECTIONS}.start", has_always_dialled),
        meeting.both_sides_meet_each_connection_once,
    ),
    "one address is enough": (
        f"{NET}.Call.made",
        gives_up_at_once,
        meeting.a_dead_address_is_passed_over,
    ),
    "keys are not proven": (
        *(f"{NET}.Call.__init__", believes_any_key),
        meeting.nobody_passes_for_somebody_else,
    ),
    "everybody is somebody else": (
        f"{ENDPOINTS}.dial",
        dials_anything,
        meeting.nobody_dials_itself,
    ),
    "the gate is open": (
        *(f"{NET}.SimulatedTransport.open", asks_no_gate),
        meeting.whoever_may_not_come_or_stay_is_met_by_nobody,
    ),
    "the gate is open to streams": (
        *(f"{NET}.SimulatedTransport.open", asks_no_gate),
        meeting.the_gate_says_how_many_streams_a_peer_may_have,
    ),
    "a port is for many": (
        f"{ENDPOINTS}.listen",
        listens_without_looking,
        meeting.a_taken_port_is_said_so,
    ),
    "a wildcard is an address": (
        *(f"{ENDPOINTS}.listen", listens_without_looking),
        meeting.addresses_are_where_one_can_be_dialled,
    ),
}


@pytest.mark.parametrize("what", RIGGED)
def test_a_transport_that_breaks_a_promise_is_noticed(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promise that no transport can break would hold the real one to nothing."""
    where, instead, promise = RIGGED[what]
    monkeypatch.setattr(where, instead)
    broken = (AssertionError, TransportError, trio.TooSlowError, BaseExceptionGroup)
    with pytest.raises((*broken, trio.Cancelled, pytest.fail.Exception)):
        in_virtual_time(kept)(promise, MemoryScene())
