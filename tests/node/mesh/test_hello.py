# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.hello`: who is let in, and what a stranger can learn and cost."""

import re
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from node.mesh.framed import Framed, running
from node.mesh.hello import HELLO, Greeter
from node.mesh.transport import TransportError
from node.networks import Network
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import StatementFrame
from protocol.hello import DIALER, Hello, membership_proof
from protocol.reasons import Reason
from protocol.sealed import unseal
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import (
    PRIVATE,
    PUBLIC,
    Introducing,
    Node,
    VirtualClock,
    make,
    on,
    raw,
)
from tests.node.mesh.knocking import signed
from tests.tree import ROOT

NEW = replace(PRIVATE, secrets={1: b"\x01" * 32, 2: b"\x02" * 32})
ROTATED = replace(PRIVATE, secrets={2: b"\x02" * 32})
WRONG = replace(PRIVATE, secrets={1: b"\x09" * 32})
ELSEWHERE = Network("elsewhere", b"a salt of tests.")


async def tries(one: Node, other: Node) -> BaseException | None:
    """Let one dial the other; give what came of it."""
    try:
        await one.meets(other)
    except (RemoteProtocolError, Refused, TransportError) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("dialer", "listener"),
    [(PRIVATE, PRIVATE), (NEW, PRIVATE), (PRIVATE, NEW), (NEW, ROTATED), (ROTATED, NEW)],
    ids=["1-1", "12-1", "1-12", "12-2", "2-12"],
)
@in_virtual_time
async def test_members_meet_with_the_newest_secret_that_both_have(
    dialer: Network, listener: Network
) -> None:
    a, b = make(1, network=dialer), make(2, network=listener)
    async with on(Net(), a, b):
        peer = await a.meets(b)
        assert peer.member
        await trio.sleep(0.1)
        assert peer.hello.secret_version == b.mesh.peers[a.key].hello.secret_version
        assert peer.hello.secret_version == max(dialer.secrets.keys() & listener.secrets.keys())


@pytest.mark.parametrize(
    ("dialer", "listener", "reason"),
    [
        (PRIVATE, ROTATED, None),  # the listener does not even say which of its secrets it was
        (ROTATED, PRIVATE, Reason.NOT_A_MEMBER),
        (WRONG, PRIVATE, None),
        (PUBLIC, PRIVATE, Reason.NOT_A_MEMBER),
        (PRIVATE, PUBLIC, Reason.NOT_A_MEMBER),
        (PUBLIC, ELSEWHERE, Reason.OTHER_NETWORK),
    ],
    ids=["retired", "too new", "wrong secret", "stranger", "not private there", "elsewhere"],
)
@in_virtual_time
async def test_who_is_no_member_is_not_let_in(
    dialer: Network, listener: Network, reason: Reason | None
) -> None:
    a, b = make(1, network=dialer), make(2, network=listener)
    async with on(Net(), a, b):
        error = await tries(a, b)
        await trio.sleep(1)
        assert error is not None
        if reason is None:
            assert isinstance(error, TransportError)
        else:
            assert isinstance(error, RemoteProtocolError | Refused)
            assert error.reason is reason
        assert a.met == b.met == []


@in_virtual_time
async def test_a_secret_is_rotated_while_all_stay_connected() -> None:
    a, b, c = (make(number, network=PRIVATE) for number in (1, 2, 3))
    async with on(Net(), a, b, c):
        await a.meets(b)
        for stage in (NEW, ROTATED):
            for node in (a, b):
                node.mesh.network = stage
            await trio.sleep(60)
        assert a.left == b.left == []
        assert await tries(c, a) is not None
        c.mesh.network = NEW
        assert await tries(c, a) is None


@in_virtual_time
async def test_a_mesh_does_not_become_another_or_an_open_one() -> None:
    a = make(1, network=PRIVATE)
    for other in (PUBLIC, replace(PRIVATE, name="another")):
        with pytest.raises(ValueError, match="another mesh"):
            a.mesh.network = other


@in_virtual_time
async def test_clocks_that_are_too_far_apart_are_said() -> None:
    a, b, c = make(1), make(2, ahead_s=700), make(3, ahead_s=500)
    async with on(Net(), a, b, c):
        error = await tries(a, b)
        assert isinstance(error, RemoteProtocolError | Refused)
        assert error.reason is Reason.CLOCK_SKEW
        assert (await a.meets(c)).offset_s == pytest.approx(500, abs=1)
        assert a.mesh.behaviour.score(b.key) == 0  # a wrong clock is no bad will


def test_the_exchange_in_the_docs_is_what_is_said() -> None:
    text = (ROOT / "docs" / "design" / "mesh.md").read_text(encoding="utf-8")
    shown = [bytes.fromhex(each) for each in re.findall(r"^    ([0-9a-f ]+)$", text, re.MULTILINE)]
    documented = b"".join(shown)
    assert documented == b"".join(trio.run(_exchange, clock=MockClock(autojump_threshold=0)))


async def _exchange() -> list[bytes]:
    """Give the four messages of a private hello between nodes whose every byte is fixed."""
    net = Net()
    said: list[bytes] = []
    a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
    async with on(net, b), raw(net, 9, (HELLO,)) as _, raw(net, 1, ()) as dialer:
        stream = await (await dialer.dials(b)).open(HELLO)
        async with running(Framed(stream)) as wire:
            one = Greeter(VirtualClock(1), dialer.keypair, PRIVATE, Introducing(sealed=b""))
            mine = one.first(b.key, DIALER)
            said.append(signed(dialer, PRIVATE, mine).wire)
            await wire.send(StatementFrame(said[0]))
            said.append(await wire.take_statement())
            theirs = unseal(said[1], PRIVATE.id, Hello).value
            full = replace(one.full(mine), answers=theirs.nonce)
            proof = membership_proof(PRIVATE.secrets[1], full, theirs.nonce)
            said.append(signed(dialer, PRIVATE, replace(full, proof=proof)).wire)
            await wire.send(StatementFrame(said[2]))
            said.append(await wire.take_statement())
    assert a.key == dialer.key
    return said
