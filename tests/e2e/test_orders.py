# SPDX-License-Identifier: MIT
"""Orders between two real nodes: what is paid is in both books, whoever is killed at whatever time.

The two share a network of their own, so what one has earned is what the other has spent.
"""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from tests.e2e.books import (
    SLOW_SIZE,
    Try,
    agree,
    credit,
    left_open,
    meet,
    settle,
    slow_model,
    try_once,
)
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, cluster, until
from tests.models_in_code import mlp

pytestmark = pytest.mark.slow

ITEMS = 30


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, spawner: Spawner) -> Iterator[list[Node]]:
    folder = tmp_path_factory.mktemp("orders")
    with cluster(folder, 2, spawner=spawner, COMMONS_CREDIT_GIFT="none") as made:
        meet(made[0], made[1])
        yield made


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, two: list[Node]) -> Path:
    """Give a model whose order takes a second or two, and that the worker has fetched."""
    worker, requester = two
    path = slow_model(tmp_path_factory.mktemp("slow"))
    try_once(requester, worker, path, 1, SLOW_SIZE)
    return path


def test_what_is_tried_is_priced_checked_and_paid_and_both_books_say_so(
    two: list[Node], tmp_path: Path
) -> None:
    worker, requester = two
    path = tmp_path / "little.onnx"
    onnx.save(mlp(), path)
    before = credit(requester)[1]
    first = try_once(requester, worker, path)
    assert first["price_cu"] == first["paid_cu"] > 0
    assert first["acked"]
    assert first["checked"] == first["items"]
    assert not first["wrong"]
    second = try_once(requester, worker, path)
    assert second["owed_before"] == first["owed_after"]
    assert credit(requester)[1] == before + first["paid_cu"] + second["paid_cu"]
    settle(worker, requester)
    shown = requester.commons("status")
    assert f"spent {credit(requester)[1]:,} CU" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_both_books_are_the_same_after_both_were_started_anew(
    two: list[Node], slow: Path, number: signal.Signals
) -> None:
    try_once(two[1], two[0], slow, 1, SLOW_SIZE)
    before = [credit(each) for each in two]
    for node in two:
        node.signal(number)
    statuses = [node.wait() for node in two]
    assert statuses == [0 if number is signal.SIGTERM else -signal.SIGKILL] * 2
    for node in two:
        node.fork()
    for node in two:
        node.wait_ready()
    meet(two[0], two[1])
    assert [credit(each) for each in two] == before
    try_once(two[1], two[0], slow, 1, SLOW_SIZE)
    settle(two[0], two[1])


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 66))]
)
def test_nothing_is_lost_or_paid_twice_when_one_is_killed_in_the_middle_of_an_order(
    two: list[Node], slow: Path, seed: int
) -> None:
    worker, requester = two
    dice = random.Random(seed)
    victim = two[seed % 2]
    spent_before = credit(requester)[1]
    trying = Try(requester, worker.peer, slow, ITEMS, SLOW_SIZE)
    time.sleep(dice.uniform(0.1, 2.5))  # the whole way of an order, and a little more
    victim.kill()
    victim.fork().wait_ready()
    status, tried, complaint = trying.result()
    settle(worker, requester)
    paid = credit(requester)[1] - spent_before
    again = try_once(requester, worker, slow, 1, SLOW_SIZE)
    price = again["price_cu"] * ITEMS
    assert paid in (0, price)
    if status == 0:
        assert tried["paid_cu"] == paid == price
    else:
        assert "Traceback" not in complaint
    assert credit(requester)[1] - spent_before == paid + again["paid_cu"]


def test_a_client_that_is_killed_takes_its_order_back(two: list[Node], slow: Path) -> None:
    worker, requester = two
    trying = Try(requester, worker.peer, slow, 30 * ITEMS, SLOW_SIZE)
    trying.until_step("work")
    trying.kill()
    until(
        lambda: not worker.get("/v1/status")["work"]["running"],
        "the worker is free again",
    )
    # What was begun stays a debt of the requester for a while, and nothing else is open.
    until(lambda: {state for _, state in left_open(worker)} <= {"owing"}, "it is over")
    try_once(requester, worker, slow, 1, SLOW_SIZE)
    assert agree(worker, requester)
    assert all(each.runs for each in two)
