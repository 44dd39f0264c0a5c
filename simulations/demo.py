# SPDX-License-Identifier: MIT
"""The demo: a job on three nodes, a liar among them, a flood of strangers, and the account."""

import os
import sys
from random import Random

from protocol.books import Books
from protocol.budget import BudgetRules, OrderClass
from protocol.errors import Refused
from protocol.hello import network_id
from protocol.keys import peer_id
from protocol.reasons import Reason
from protocol.shapes import ShapeTable, shapes_of
from protocol.tensors import Tensor
from simulations.tabletop import ITEM_PRICE, NOW, TableNode, Verdict, Wire, make_item

SHARDS = 60
ITEMS = 20
RULES = BudgetRules(size_cu=20_000, refill_cu_per_s=10, stranger_line_cu=200)
NETWORK = network_id("a table", b"three friends...")
STRANGERS = 500


def colour(text: str, code: int) -> str:
    """Colour a text for a terminal that wants it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{code}m{text}\033[0m"


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n{colour(text, 1)}\n")


def meet() -> tuple[TableNode, TableNode, TableNode]:
    """Make the three nodes; from her fourth shard, eve returns a stale result now and then."""
    done = 0
    stale: list[Tensor] = []

    def fake(number: int, true: Tensor) -> Tensor:
        nonlocal done
        done += 1
        stale[:] = stale or [true]
        return stale[0] if done > 3 * ITEMS and number % 10 == 7 else true

    ann, bob = (TableNode(name, NETWORK, RULES) for name in ("ann", "bob"))
    eve = TableNode("eve", NETWORK, RULES, fake)
    for one in (ann, bob, eve):
        for other in (ann, bob, eve):
            if one is not other:
                one.greet(other)
    return ann, bob, eve


def show_progress(shard: int, note: str) -> None:
    """Draw a bar on a terminal; say nothing to a pipe."""
    if sys.stdout.isatty():
        full = 30 * shard // SHARDS
        print(f"\r  {'█' * full}{'░' * (30 - full)}  {shard}/{SHARDS} shards{note}", end="")


def run_job(ann: TableNode, workers: list[TableNode]) -> dict[str, list[Verdict]]:
    """Give the shards to the workers in turn, until one of them is caught."""
    dice = Random("the job")
    wires = {worker.name: Wire() for worker in workers}
    verdicts: dict[str, list[Verdict]] = {worker.name: [] for worker in workers}
    caught = ""
    shard = 0
    while shard < SHARDS:
        items = [make_item(dice) for _ in range(ITEMS)]
        worker = workers[shard % len(workers)]
        verdict = ann.ask(worker, items, wires[worker.name])
        verdicts[worker.name].append(verdict)
        if verdict.wrong is None:
            shard += 1
        else:
            workers = [each for each in workers if each is not worker]
            caught = f"   {worker.name} caught lying"
        show_progress(shard, colour(caught, 31))
    if sys.stdout.isatty():
        print()
    carried = sum(wire.carried_bytes for wire in wires.values())
    print(f"  {SHARDS * ITEMS:,} items computed, {carried:,} bytes in frames between them")
    return verdicts


def tell_workers(verdicts: dict[str, list[Verdict]]) -> None:
    """Say who did what, and what was checked."""
    for name, each in verdicts.items():
        paid = [verdict for verdict in each if verdict.wrong is None]
        checked = sum(verdict.checked for verdict in each)
        items = sum(verdict.items for verdict in each)
        earned = sum(verdict.price for verdict in paid)
        print(
            f"  {name}   {items:5,} items delivered   {checked:4} computed again   "
            f"{earned:5,} CU earned"
        )
        for number, verdict in enumerate(each, 1):
            if verdict.wrong is not None:
                print(
                    colour(f"         shard {number}, item {verdict.wrong_item}: ", 31)
                    + f"{verdict.wrong.sentence}\n         Not paid, and the account is frozen."
                )


def flood(bob: TableNode) -> None:
    """Ask for work with fresh keys, never pay, and see how far it goes."""
    dice = Random("strangers")
    taken = 0
    refusals: dict[Reason, int] = {}
    for number in range(STRANGERS):
        stranger = TableNode(f"stranger {number}", NETWORK, RULES)
        table = ShapeTable(shapes_of([(ITEM_PRICE, ((1, 64),))] * ITEMS))
        order = stranger.order(bob, table, dice.randbytes(32))
        try:
            bob.keep(bob.books.accept(order, NOW)[1])
            bob.keep(bob.books.begin(stranger.key.public, order.id, NOW))
            taken += table.price
        except Refused as refused:
            refusals[refused.reason] = refusals.get(refused.reason, 0) + 1
    half = RULES.size_cu // 2
    print(f"  {STRANGERS} fresh keys took {taken:,} CU of work and paid nothing.")
    print(f"  The bound is {half:,} CU, however many they are: half of one budget.")
    for reason, count in refusals.items():
        print(f"  {count} were refused: {reason.sentence}")


def main() -> None:
    """Tell the story."""
    ann, bob, eve = meet()
    title("Three nodes on one table. Every byte below is the real protocol, carried by hand.")
    for node in (ann, bob, eve):
        print(f"  {node.name}   {peer_id(node.key.public)}")

    title(f"ann has a job: {SHARDS * ITEMS:,} items, {ITEM_PRICE} CU each. bob and eve take turns.")
    verdicts = run_job(ann, [bob, eve])
    print()
    tell_workers(verdicts)

    title("bob spends what he earned: five shards, computed by ann.")
    dice = Random("bob's job")
    wire = Wire()
    classes = [
        bob.ask(ann, [make_item(dice) for _ in range(ITEMS)], wire).order_class for _ in range(5)
    ]
    assert set(classes) == {OrderClass.REDEEMS}
    print("  Served first, and nothing lent: she owed him.")

    title(f"{STRANGERS} strangers with fresh keys ask bob for work, and will not pay.")
    flood(bob)

    title("The account: two integers for each pair, the same on both sides.")
    for one, other in ((ann, bob), (ann, eve), (bob, eve)):
        mine, theirs = one.books.account(other.key.public), other.books.account(one.key.public)
        assert (mine.held_total, mine.signed_total) == (theirs.signed_total, theirs.held_total)
        frozen = "   frozen by ann" if mine.frozen else ""
        print(
            f"  {one.name} owes {other.name} {mine.signed_total:6,} CU   "
            f"{other.name} owes {one.name} {mine.held_total:6,} CU{frozen}"
        )
    balances = {
        node.name: sum(each.held_total - each.signed_total for each in node.books.accounts.values())
        for node in (ann, bob, eve)
    }
    words = ", ".join(f"{name} {balance:+,}" for name, balance in balances.items())
    print(f"  balances: {words}. Their sum is {sum(balances.values())}: nothing was minted.")

    title("ann's machine loses power. Her journal is read again.")
    again = Books(ann.key, NETWORK, RULES)
    for event in ann.journal:
        again.apply(event)
    assert again.accounts == ann.books.accounts
    assert again.bucket.tokens == ann.books.bucket.tokens
    print(f"  {len(ann.journal):,} events later the books are the same to the last integer.\n")


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever read along has seen enough
        sys.stderr.close()
        sys.exit(1)
