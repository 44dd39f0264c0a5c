# SPDX-License-Identifier: MIT
"""A private network of real nodes: a stranger gets nothing, and its secret is changed in use."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.e2e.books import credit, meet, try_once
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, cluster, everybody, known_to, nodes, peers_of, until
from tests.models_in_code import mlp

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, spawner: Spawner) -> Iterator[list[Node]]:
    folder = tmp_path_factory.mktemp("private")
    with cluster(folder, 3, spawner=spawner, COMMONS_CREDIT_GIFT="none") as made:
        until(lambda: all(is_whole(made, node) for node in made), "all know all")
        yield made


def is_whole(made: list[Node], node: Node) -> bool:
    """Whether a node is connected with all others of a few, and knows what they say."""
    others = everybody(made) - {node.peer}
    return peers_of(node) == known_to(node) == others


def network_of(node: Node) -> dict[str, Any]:
    """Give the network that a node is in."""
    network: dict[str, Any] = node.get("/v1/status")["network"]
    return network


def dialled(node: Node) -> int:
    """Count how often somebody was refused at a node's door, as its log has it."""
    return node.log.read_text().count('"peer_blamed"')


def test_a_stranger_gets_nothing_not_even_adverts(
    three: list[Node], tmp_path: Path, spawner: Spawner
) -> None:
    """One is in the open network, one in another private one, one has the id and a wrong secret."""
    target = three[0]
    with nodes(tmp_path, 3, spawner=spawner, COMMONS_MESH_BOOTSTRAP=target.address) as strangers:
        _, other, guessing = strangers
        other.commons("network", "new", "cluster", "--private")
        (path,) = (target.home / "state" / "networks").glob("*.json")
        folder = guessing.home / "state" / "networks"
        shutil.copytree(path.parent, folder)
        copy = folder / path.name
        secret = json.loads(copy.read_text())["secrets"]["1"]
        copy.write_text(copy.read_text().replace(secret, bytes(32).hex()))
        before = dialled(target)
        for each in strangers:
            each.fork()
        for each in strangers:
            each.wait_ready()
        until(lambda: dialled(target) >= before + 6, "they knock again and again")
        for each in strangers:
            assert not peers_of(each)
            assert not known_to(each)
        for each in three:
            assert is_whole(three, each)


def test_the_secret_is_rotated_and_retired_and_nobody_and_nothing_is_lost(
    three: list[Node], tmp_path: Path
) -> None:
    """Who was away meanwhile is told why nobody lets it in, and comes back with a new invite."""
    founder, second, late = three
    path = tmp_path / "little.onnx"
    onnx.save(mlp(), path)
    try_once(second, founder, path)
    before = [credit(each) for each in three]
    versions = network_of(founder)["secret_versions"]
    links = [link(founder, second), link(second, founder)]
    assert late.stop() == 0

    assert "is the newest secret" in founder.commons("network", "rotate")
    second.commons("join", founder.commons("invite").strip())
    founder.commons("network", "retire", str(versions[0]))
    second.commons("network", "retire", str(versions[0]))
    for node in three[:2]:
        assert network_of(node)["secret_versions"] == [versions[-1] + 1]
    assert [link(founder, second), link(second, founder)] == links, "somebody was parted"

    late.fork().wait_ready()
    until(
        lambda: "newer secret" in late.commons("status"),
        f"it is told why: {late.tail()}",
    )
    assert not peers_of(late)
    assert "commons join" in late.commons("status")
    assert "newer secret" in late.commons("doctor", check=False)
    late.commons("join", founder.commons("invite").strip())
    until(
        lambda: all(is_whole(three, node) for node in three),
        f"it is back: {late.tail()}",
    )
    until(
        lambda: "newer secret" not in late.commons("status"),
        "nothing is wrong any more",
    )
    meet(founder, second)
    assert [credit(each) for each in three] == before
    try_once(second, founder, path)
    until(lambda: credit(founder)[0] == credit(second)[1], "the books agree")


def link(node: Node, other: Node) -> list[str]:
    """Give how a node is connected with another one; one made anew has another port or way."""
    told = node.get("/v1/peers")["peers"]
    return [f"{each['direction']} {each['address']}" for each in told if each["peer"] == other.peer]
