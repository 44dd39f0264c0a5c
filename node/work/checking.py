# SPDX-License-Identifier: MIT
"""Checks what a worker delivered, by computing some of it again. How much is in protocol/check.

Before anything is paid: a worker with a small history is checked whole, later ones by lot.
"""

from functools import partial

from node.clock import Clock
from node.executor.aside import aside
from node.executor.executor import Executor, Group
from node.work.accounts import Accounts
from node.work.computing import compute
from node.work.placed import Ordered
from protocol.check import plan_check
from protocol.compare import judge_item
from protocol.tensors import item_digest

#: The owner's own work: it shares its runners with nobody.
OWN = Group("the owner of this machine", trusted=True)

# Comparing takes a microsecond for each value; more than this many bytes are compared aside.
_ASIDE_BYTES = 1 << 16


class Checking:
    """Computes again on the own executor."""

    def __init__(self, accounts: Accounts, executor: Executor, clock: Clock) -> None:
        """The accounts know each worker's history."""
        self._accounts = accounts
        self._executor = executor
        self._clock = clock

    async def check(self, ordered: Ordered) -> bool:
        """Check a delivered order, once, and note in it what was found. True: it is wrong."""
        if ordered.is_checked:
            return ordered.wrong is not None
        table, manifest = ordered.table, ordered.model.manifest
        prices = [row.price for row in table.shapes.rows for _ in range(row.count)]
        history = self._accounts.history(ordered.worker)
        chosen = plan_check(history, prices, self._clock.secret_bytes(32))
        again = await compute(
            self._executor, ordered.model.model(), OWN, [ordered.items[each] for each in chosen]
        )
        for number, reference in zip(chosen, again, strict=True):
            got = ordered.outputs[number]
            judge = partial(judge_item, manifest.comparator, manifest.tolerance, got, reference)
            large = sum(len(each.data) for each in got) > _ASIDE_BYTES
            wrong = await aside(judge) if large else judge()
            ordered.checked += 1
            if wrong:
                ordered.wrong, ordered.wrong_item = wrong, number
                ordered.found = item_digest(reference)
                break
        ordered.is_checked = True
        return ordered.wrong is not None
