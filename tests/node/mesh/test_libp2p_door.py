# SPDX-License-Identifier: MIT
"""What callers try before they have proven a key, and the gate that lets them in."""

import errno
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import cast

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from node.mesh.libp2p import host, listening, noise
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.choosing import HELLO, line
from node.mesh.libp2p.limits import HANDSHAKE_RECORD_BYTES_MAX, LINE_BYTES_MAX, PROPOSALS_MAX
from node.mesh.libp2p.listening import Handshakes, accept_for_ever
from node.mesh.libp2p.noise import NOISE
from node.mesh.transport import Connection, Lost
from tests.node.mesh.raw_peer import raw_peer_of, wire_to
from tests.node.mesh.scene import (
    OpenGate,
    key_of,
    until,
)
from tests.node.mesh.under_attack import bob, inside, is_cut_off


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x13/multistr",
        HELLO,
        HELLO + line(NOISE),
        HELLO + line(NOISE) + b"\x00\x20",
    ],
)
async def test_a_caller_that_does_not_go_on_is_hung_up_on(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_S", 0.05)
    async with bob() as node, wire_to(node.endpoint) as wire:
        await wire.put(said)
        assert await is_cut_off(wire)
        await until(lambda: len(inside(node)._handshakes) == 0)
        monkeypatch.undo()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n" + b"Host: a\r\n" * 9,
        b"\xff\xff\xff\xff\x7f" + b"x" * 100,
        b"\x00",
        bytes((LINE_BYTES_MAX & 0x7F | 0x80, (LINE_BYTES_MAX + 1) >> 7)) + b"\xfe" * 400,
        line("/multistream/2.0.0"),
        HELLO + b"\x03\xff\xfe\n",
        HELLO + b"\x03abc",
        HELLO + line("/a") * (PROPOSALS_MAX + 1),
        HELLO + line(NOISE) + (HANDSHAKE_RECORD_BYTES_MAX + 1).to_bytes(2, "big"),
        HELLO + line(NOISE) + b"\x00\x00",
        HELLO + line(NOISE) + b"\x00\x20" + b"\x00" * 32 + b"\x00\x40" + b"\x01" * 64,
    ],
)
async def test_a_caller_that_says_nonsense_is_hung_up_on(said: bytes) -> None:
    async with bob() as node, wire_to(node.endpoint) as wire:
        await wire.put(said)
        assert await is_cut_off(wire)
        assert node.met == []


async def test_ten_thousand_random_bytes_are_survived_many_times() -> None:
    rng = Random(4)
    async with bob() as node:
        for prefix in [b"", HELLO, HELLO + line(NOISE)] * 10:
            async with wire_to(node.endpoint) as wire:
                await wire.put(prefix + rng.randbytes(10_000))
                assert await is_cut_off(wire)
        assert node.met == []


async def test_a_caller_from_a_refused_address_is_hung_up_on_before_a_word() -> None:
    """The gate is asked right after TCP's accept: nothing was read or sent."""

    class Shut(OpenGate):
        shut = True

        def may_come(self, remote: str) -> bool:
            assert remote.startswith("/ip4/127.0.0.1/tcp/")
            return not self.shut

    gate = Shut()
    async with bob(gate) as node:
        async with wire_to(node.endpoint) as wire:
            assert await is_cut_off(wire)
            assert wire.rest() == b""
            assert len(inside(node)._handshakes) == 0
        gate.shut = False


async def test_who_opens_many_connections_and_says_nothing_loses_his_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slowloris: the door is full, and yet an honest caller comes in."""
    monkeypatch.setattr(host, "Handshakes", lambda: Handshakes(most=8))
    async with bob() as node:
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(wire_to(node.endpoint)) for _ in range(20)]
            await until(lambda: len(inside(node)._handshakes) == 8)
            async with raw_peer_of(node.endpoint, "bob"):
                await until(lambda: node.met)
            assert await is_cut_off(wires[0])
            assert len(inside(node)._handshakes) <= 8
        await until(lambda: len(inside(node)._handshakes) == 0)


async def test_a_key_that_may_not_stay_is_told_nothing_more() -> None:
    class Shut(OpenGate):
        def may_stay(self, peer: bytes, remote: str) -> bool:
            return peer != key_of("eve") and remote.startswith("/ip4/")

    async with bob(Shut()) as node:
        with pytest.raises(Lost):
            async with raw_peer_of(node.endpoint, "bob"):
                pass
        assert node.met == []


class Failing(OpenGate):
    """A gate with a mistake in it."""

    door = ""

    def may_come(self, remote: str) -> bool:
        return self._ask("come", super().may_come(remote))

    def may_stay(self, peer: bytes, remote: str) -> bool:
        return self._ask("stay", super().may_stay(peer, remote))

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        return self._ask("stream", super().may_stream(connection, open_now))

    def _ask(self, door: str, answer: bool) -> bool:
        if door == self.door:
            raise ValueError("a mistake")
        return answer


@pytest.mark.parametrize("door", ["come", "stay", "stream"])
async def test_a_gate_that_fails_is_shut_and_opens_again(door: str) -> None:
    """A mistake of ours costs callers, not the node."""
    gate = Failing()
    async with bob(gate) as node:
        gate.door = door
        with suppress(Lost):
            async with raw_peer_of(node.endpoint, "bob") as eve:
                await eve.opened(1)
                assert await eve.is_cut_off()
        gate.door = ""


async def test_a_node_without_descriptors_takes_callers_again_later(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    tried: list[float] = []

    class Listener:
        async def accept(self) -> trio.SocketStream:
            tried.append(trio.current_time())
            if len(tried) < 4:
                raise OSError(errno.EMFILE, "Too many open files")
            await trio.sleep_forever()
            raise AssertionError

    async with trio.open_nursery() as nursery:
        listener = cast("trio.SocketListener", Listener())
        nursery.start_soon(accept_for_ever, listener, bool, trio.sleep_forever, nursery)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert len(tried) == 4
    assert len(set(tried)) == 4, "it waited in between"


async def test_of_many_handshakes_one_step_is_computed_at_a_time() -> None:
    """Once forty handshakes in one turn of the node held up whoever was connected."""
    turn, passes, taken = trio.Lock(), 0, []

    async def step(number: int) -> None:
        here, there = memory_stream_pair()
        await there.send_all(b"x" * 32)
        await noise._Raw(Wire(cast("trio.SocketStream", here)), turn).read(32)
        taken.append((passes, number))

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(step, number)
        while len(taken) < 40:
            passes += 1
            await trio.lowlevel.checkpoint()
    assert len({at for at, _ in taken}) == 40
