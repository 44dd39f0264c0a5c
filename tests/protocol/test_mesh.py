# SPDX-License-Identifier: MIT
from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from protocol.actions import Misbehaved
from protocol.view import View
from tests.protocol.mesh import Flood, Mesh, an_advert, key_of


def grown(nodes: int, seed: int = 0, gap_s: float = 0.25, *, on_the_wire: bool = False) -> Mesh:
    """A mesh in which everybody joined through the same two nodes."""
    mesh = Mesh(seed, on_the_wire=on_the_wire)
    for number in range(nodes):
        join(mesh, number)
        mesh.run(gap_s)
    return mesh


def join(mesh: Mesh, number: int) -> View:
    address = f"/ip4/{50 + number // 250}.{number % 250}.1.1/tcp/4001"
    boots = (key_of("node 0"), key_of("node 1"))
    return mesh.join(f"node {number}", *boots, addresses=(address,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_sixty_nodes_that_join_through_two_all_know_each_other_within_a_minute(seed: int) -> None:
    mesh = grown(60, seed)
    mesh.run(60 - mesh.now)
    assert mesh.coverage() >= 0.95
    assert mesh.components() == 1
    assert all(len(view.neighbours.outbound()) >= 3 for view in mesh.views.values())
    assert not [action for _, action in mesh.log if isinstance(action, Misbehaved)]


@pytest.mark.soak
def test_two_hundred_and_fifty_nodes_all_know_each_other_within_three_minutes() -> None:
    mesh = grown(250)
    mesh.run(180 - mesh.now)
    assert mesh.coverage() >= 0.95
    assert mesh.components() == 1


def crowd(nodes: int) -> Mesh:
    """All come in the same instant, through one node."""
    mesh = Mesh(on_the_wire=True)
    for number in range(nodes):
        address = f"/ip4/{50 + number // 250}.{number % 250}.1.1/tcp/4001"
        mesh.join(f"node {number}", *[key_of("node 0")][:number], addresses=(address,))
    return mesh


def mutual(mesh: Mesh) -> list[int]:
    """Count for each node the neighbours that hold it for one, too: it is nobody's guest there."""
    return [
        sum(view.me in mesh.views[key].neighbours.linked for key in view.neighbours.linked)
        for view in mesh.views.values()
    ]


@pytest.mark.slow
def test_a_crowd_that_comes_at_once_through_one_node_is_in_the_mesh_within_seconds() -> None:
    """The one node had eight guests at a time for ten seconds each, and sent the rest away."""
    mesh = crowd(100)
    mesh.run(10)
    assert mesh.coverage() >= 0.95
    assert mesh.components() == 1
    assert min(mutual(mesh)) >= 3
    mesh.run(20)
    assert mesh.coverage() == 1
    assert min(mutual(mesh)) >= 5
    # Each advert comes to each node once or nearly so, however many neighbours offer it.
    assert sum(mesh.sent.values()) / 100 < 4 * 100
    assert mesh.bytes_sent / 100 < 120_000
    assert not [action for _, action in mesh.log if isinstance(action, Misbehaved)]


@pytest.mark.soak
def test_a_crowd_of_three_hundred_is_one_mesh_within_half_a_minute() -> None:
    mesh = crowd(300)
    mesh.run(30)
    assert mesh.components() == 1
    assert mesh.coverage() >= 0.95
    assert min(mutual(mesh)) >= 3


@pytest.mark.slow
def test_a_quiet_mesh_is_nearly_silent() -> None:
    mesh = grown(30, on_the_wire=True)
    mesh.run(240)
    before, sent = mesh.bytes_sent, sum(mesh.sent.values())
    mesh.run(120)
    assert (sum(mesh.sent.values()) - sent) / 30 / 2 < 20
    assert (mesh.bytes_sent - before) / 30 / 120 < 300


@pytest.mark.slow
def test_a_mesh_that_loses_a_third_of_its_nodes_at_once_grows_together_again() -> None:
    mesh = grown(50)
    mesh.run(90)
    for number in range(0, 45, 3):
        mesh.kill(key_of(f"node {number + 2}"))
    mesh.run(60)
    assert len(mesh.views) == 35
    assert mesh.components() == 1
    assert all(len(view.neighbours.outbound()) >= 4 for view in mesh.views.values())


def test_the_advert_of_a_dead_node_is_gone_everywhere_when_its_time_is_over() -> None:
    mesh = grown(20)
    ghost = mesh.join("ghost", key_of("node 0"), ttl_s=120, addresses=("/ip4/9.1.1.1/tcp/1",)).me
    mesh.run(60)
    assert sum(ghost in view.directory for view in mesh.views.values()) >= 19
    mesh.kill(ghost)
    mesh.run(30)
    assert sum(ghost in view.directory for view in mesh.views.values()) >= 19
    mesh.run(60)
    for view in mesh.views.values():
        assert all(known.node != ghost for known in view.adverts(mesh.now_s))


def test_a_renewed_advert_reaches_everybody() -> None:
    mesh = grown(30)
    mesh.run(300)
    one = mesh.views[key_of("node 9")]
    renewed = an_advert(
        one.me, sequence=2, issued_at_s=int(mesh.now_s), addresses=("/ip4/50.9.1.1/tcp/4001",)
    )
    one.describe(mesh.registry.add(renewed).wire, mesh.now)
    mesh.wake(one.me, mesh.now)
    mesh.run(240)
    versions = [
        view.directory.entries[one.me].known.advert.sequence
        for view in mesh.views.values()
        if one.me in view.directory
    ]
    assert len(versions) >= 28
    assert all(version == 2 for version in versions)


def test_the_same_seed_gives_the_same_mesh() -> None:
    shapes = [
        [list(view.neighbours.linked) for view in grown(15, 5).views.values()] for _ in range(2)
    ]
    assert shapes[0] == shapes[1]


def hostile_share(view: View, mesh: Mesh) -> tuple[int, int]:
    linked = list(view.neighbours.linked)
    return sum(key in mesh.views for key in linked), len(linked)


def floods() -> Iterator[ParameterSet]:
    soak = pytest.mark.soak
    yield pytest.param(10, 10_000, 300, 200, id="many ranges")
    yield pytest.param(10, 4, 300, 200, id="few ranges")
    yield pytest.param(10, 10_000, 60, 200, id="before the mesh has settled")
    yield pytest.param(24, 10_000, 600, 3600, marks=soak, id="an hour, many ranges")
    yield pytest.param(24, 4, 600, 3600, marks=soak, id="an hour, few ranges")


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "ranges", "quiet_s", "attack_s"), [*floods()])
def test_twenty_hostile_adverts_for_each_honest_one_leave_half_of_the_view_honest(
    nodes: int, ranges: int, quiet_s: int, attack_s: int
) -> None:
    mesh = grown(nodes)
    mesh.run(quiet_s)
    flood = Flood(mesh, 20 * nodes, ranges=ranges, period_s=20.0)
    flood.attack(nodes, sorted(mesh.views))
    mesh.run(attack_s)
    shares = [hostile_share(view, mesh) for view in mesh.views.values()]
    honest, places = (sum(column) for column in zip(*shares, strict=True))
    assert places >= 9 * nodes
    assert honest / places >= 0.5
    # A node may lose its inbound half to a patient flood; few do, and none loses its own choices.
    assert sum(2 * good >= all_ for good, all_ in shares) >= 0.8 * nodes
    for view in mesh.views.values():
        chosen = [one.key for one in view.neighbours.outbound()]
        assert sum(key in mesh.views for key in chosen) >= 3
        known = sum(node in view.directory for node in mesh.views)
        assert known >= (nodes - 1) / 2
        assert len(view.directory) <= view.directory.room
    assert mesh.components() == 1


def test_a_newcomer_whose_bootstrap_list_is_half_hostile_still_meets_honest_nodes() -> None:
    mesh = grown(12)
    mesh.run(120)
    flood = Flood(mesh, 100, ranges=10_000, period_s=10.0)
    boots = (key_of("hostile 0"), key_of("hostile 1"), key_of("node 3"), key_of("node 4"))
    newcomer = mesh.join("newcomer", *boots, addresses=("/ip4/99.1.1.1/tcp/1",))
    mesh.run(200)
    assert len(flood.shown) == 100
    honest, places = hostile_share(newcomer, mesh)
    assert places >= 4
    assert honest >= 1
    assert sum(node in newcomer.directory for node in mesh.views) >= 6
