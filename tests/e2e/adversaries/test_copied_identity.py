# SPDX-License-Identifier: MIT
"""One identity on two machines, and a stranger with a key before a private network."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from operator import le

import pytest
import trio

from node.mesh.hello import HELLO as HELLO_PROTOCOL
from node.mesh.libp2p.choosing import HELLO, line
from node.mesh.libp2p.yamux import Kind
from node.mesh.transport import TransportError
from node.mesh.viewing import PROTOCOL as VIEW
from node.models.serve import BLOB
from node.work.wires import BOOKS, WORK
from protocol.canon import decode
from protocol.frames import HEADER_BYTES
from protocol.hello import Hello
from protocol.keys import SIGNATURE_BYTES
from tests.e2e.adversaries.callers import ENDS, enough, fresh, member, place, proven
from tests.e2e.adversaries.victim import Victim, victim
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, known_to, nodes, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, spawner: Spawner) -> Iterator[Victim]:
    with victim(tmp_path_factory.mktemp("private"), spawner, private=True) as made:
        yield made


def test_a_stranger_hears_a_bare_hello_and_nothing_else(private: Victim) -> None:
    """It proves a key, opens every protocol, and says a hello without a secret."""
    with private.attacked("a stranger before a private network"):
        heard = trio.run(listened, private)
    statement = heard.pop(HELLO_PROTOCOL)
    hello = decode(statement[HEADER_BYTES + SIGNATURE_BYTES :], Hello)
    assert (hello.advert, hello.proof, hello.held_total, hello.signed_total) == (b"", b"", 0, 0)
    assert set(heard.values()) == {b""}


def test_a_stranger_with_a_wrong_secret_is_not_let_in(private: Victim) -> None:
    async def knock() -> None:
        wrong = replace(private.network, secrets={1: bytes(32)})
        bare = replace(private.network, secrets={})
        for network in (wrong, bare):
            async with member(private.target, network, here=place(5)) as eve:
                with suppress(*ENDS):
                    await eve.meets()
                assert not eve.mesh.peers

    before = known_to(private.node)
    with private.attacked("wrong secrets"):
        trio.run(knock)
    assert known_to(private.node) == before


async def listened(private: Victim) -> dict[str, bytes]:
    """Give what the node says on each protocol after it has agreed to speak it."""
    protocols = (HELLO_PROTOCOL, VIEW, WORK, BOOKS, BLOB)
    heard = {2 * number + 1: b"" for number in range(len(protocols))}
    async with proven(private.target, fresh(), place(4)) as eve:
        for stream, protocol in zip(heard, protocols, strict=True):
            await eve.opened(stream)
            await eve.data(stream, HELLO + line(protocol))
        agreed = [HELLO + line(protocol) for protocol in protocols]

        async def hear() -> None:
            with suppress(TransportError):
                while True:
                    frame = await eve.hear()
                    if frame.kind == Kind.DATA:
                        heard[frame.stream] += frame.data

        def is_agreed() -> bool:
            found = list(heard.values())
            return found[0] > agreed[0] and all(map(le, agreed, found))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            await enough(0.8, is_agreed)
            nursery.cancel_scope.cancel()
    return {
        protocol: data.removeprefix(start)
        for protocol, data, start in zip(protocols, heard.values(), agreed, strict=True)
    }


def test_two_machines_with_one_identity_both_say_so(private: Victim, spawner: Spawner) -> None:
    """They never meet each other; a third node that both meet lets each know."""
    twin_folder = private.node.home.parent / "elsewhere"
    with nodes(twin_folder, 1, spawner=spawner) as (twin,):
        (twin.home / "state").mkdir(mode=0o700)
        shutil.copy2(private.other.home / "state" / "identity.key", twin.home / "state")
        twin.enter(private.node.commons("invite").strip())
        twin.fork().wait_ready()
        assert twin.peer == private.other.peer
        for each in (private.other, twin):
            until(partial(says_so, each), "it says so")
            assert "with the key of this node" in str(each.get("/v1/doctor"))


def says_so(node: Node) -> bool:
    assert node.runs, node.tail()
    return '"identity_elsewhere"' in node.log.read_text()
