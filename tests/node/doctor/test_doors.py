# SPDX-License-Identifier: MIT
"""Ports that are free or taken, nodes that answer or do not; all on this machine's loopback."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.doctor import doors
from protocol.keys import peer_id
from tests.node.doctor.scenes import PEER, database_at, only, scene_at, states

NAME = peer_id(PEER)


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something accepts."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port on which nothing accepts."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def test_addresses_that_are_free_pass_and_are_let_go(tmp_path: Path, closed: int) -> None:
    scene = scene_at(tmp_path, f"mesh.listen=/ip4/127.0.0.1/tcp/{closed}")
    assert only(doors.see_ports(scene)).state == "pass"
    assert only(doors.see_ports(scene)).state == "pass"


def test_a_chosen_port_that_is_taken_fails(tmp_path: Path, port: int) -> None:
    found = only(doors.see_ports(scene_at(tmp_path, f"mesh.listen=/ip4/127.0.0.1/tcp/{port}")))
    assert found.state == "fail"
    assert f"sport = {port}" in found.next_step


def test_a_drawn_port_that_is_taken_is_warned_of(tmp_path: Path, port: int) -> None:
    scene = scene_at(tmp_path, "mesh.listen=/ip4/127.0.0.1/tcp/0")
    assert only(doors.see_ports(scene)).state == "pass"
    database_at(scene, ("port", str(port)))
    found = only(doors.see_ports(scene))
    assert (found.state, str(port) in found.sentence) == ("warn", True)


def test_an_address_of_another_machine_fails(tmp_path: Path) -> None:
    found = only(doors.see_ports(scene_at(tmp_path, "mesh.listen=/ip4/192.0.2.1/tcp/0")))
    assert (found.state, "ip address" in found.next_step) == ("fail", True)


@pytest.mark.parametrize(
    ("address", "number", "said"),
    [
        ("/ip6/::/tcp/0", errno.EAFNOSUPPORT, "mesh.listen=/ip4/0.0.0.0/tcp/0"),
        ("/ip4/0.0.0.0/tcp/80", errno.EACCES, "below 1024"),
    ],
)
def test_what_the_system_refuses_fails_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, number: int, said: str
) -> None:
    monkeypatch.setattr(doors, "_bound", lambda *_: OSError(number, "no"))
    found = only(doors.see_ports(scene_at(tmp_path, f"mesh.listen={address}")))
    assert (found.state, said in found.next_step) == ("fail", True)


def test_ports_are_not_tried_while_a_node_has_them(tmp_path: Path, port: int) -> None:
    scene = scene_at(tmp_path, f"mesh.listen=/ip4/127.0.0.1/tcp/{port}", told={})
    assert doors.see_ports(scene) == []


async def test_a_node_that_listens_accepts(tmp_path: Path, port: int, closed: int) -> None:
    good, bad = f"/ip4/127.0.0.1/tcp/{port}", f"/ip4/127.0.0.1/tcp/{closed}"
    assert await doors.see_listening(scene_at(tmp_path)) == []
    found = only(await doors.see_listening(scene_at(tmp_path, told={"addresses": [good]})))
    assert found.state == "pass"
    found = only(await doors.see_listening(scene_at(tmp_path, told={"addresses": [good, bad]})))
    assert (found.state, bad in found.sentence, good in found.sentence) == ("warn", True, False)


async def test_an_address_of_the_router_is_not_tried_from_inside(
    tmp_path: Path, closed: int
) -> None:
    announced = f"/ip4/127.0.0.1/tcp/{closed}"
    scene = scene_at(tmp_path, f"mesh.announce={announced}", told={"addresses": [announced]})
    assert states(await doors.see_listening(scene)) == ["pass"]


async def test_each_bootstrap_address_is_dialled(tmp_path: Path, port: int, closed: int) -> None:
    good = f"/ip4/127.0.0.1/tcp/{port}/p2p/{NAME}"
    bad = f"/ip4/127.0.0.1/tcp/{closed}/p2p/{NAME}"
    found = await doors.see_bootstrap(scene_at(tmp_path, f"mesh.bootstrap={good},{bad}"))
    assert [(each.state, each.sentence.split()[0]) for each in found] == [
        ("pass", good),
        ("warn", bad),
    ]
    assert "Connection refused" in found[1].sentence


async def test_no_way_in_at_all_fails_and_with_a_running_node_warns(
    tmp_path: Path, closed: int
) -> None:
    flag = f"mesh.bootstrap=/ip4/127.0.0.1/tcp/{closed}/p2p/{NAME}"
    assert states(await doors.see_bootstrap(scene_at(tmp_path, flag))) == ["warn", "fail"]
    running = scene_at(tmp_path, flag, told={})
    assert states(await doors.see_bootstrap(running)) == ["warn", "warn"]


async def test_the_addresses_of_an_invite_are_dialled(tmp_path: Path, port: int) -> None:
    scene = scene_at(tmp_path)
    founder = scene_at(tmp_path / "founder")
    founder.networks().found("school", private=True)
    text = founder.networks().invite([f"/ip4/127.0.0.1/tcp/{port}/p2p/{NAME}"], 3600.0)
    from protocol.invite import parse_invite

    scene.networks().join(parse_invite(text, scene.clock.now().wall_s))
    found = only(await doors.see_bootstrap(scene))
    assert (found.state, str(port) in found.sentence) == ("pass", True)


async def test_who_knows_no_address_is_warned_unless_others_are_connected(tmp_path: Path) -> None:
    assert only(await doors.see_bootstrap(scene_at(tmp_path))).state == "warn"
    alone = scene_at(tmp_path, told={"peers": {"connected": 0}})
    assert only(await doors.see_bootstrap(alone)).state == "warn"
    founder = scene_at(tmp_path, told={"peers": {"connected": 3}})
    assert only(await doors.see_bootstrap(founder)).state == "pass"


async def test_who_does_not_answer_is_given_up_after_five_seconds(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    import trio

    async def never(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    del autojump_clock
    begin_s = trio.current_time()
    results = await doors.dialled([f"/ip4/192.0.2.{each}/tcp/4001" for each in range(1, 17)])
    assert set(results.values()) == {"no answer within 5 s"}
    assert trio.current_time() - begin_s == 10.0  # eight at a time


def test_a_machine_without_multicast_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is off" in only(doors.see_house(scene_at(tmp_path, "mesh.mdns=false"))).sentence

    class Deaf(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(socket, "socket", Deaf)
    found = only(doors.see_house(scene_at(tmp_path)))
    assert (found.state, "No such device" in found.sentence) == ("warn", True)
