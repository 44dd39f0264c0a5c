# SPDX-License-Identifier: MIT
"""Money and budget under a stateful adversary, which would notice any missing rule."""

import inspect
import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from protocol import account, books, budget, keys, lending, settle
from tests.protocol.books_machine import BooksMachine

_SETTINGS = partial(settings, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_money_is_conserved_and_bounded_whatever_the_adversary_does() -> None:
    """The small profile of every run: the invariants of the ledger after each of many steps."""
    run_state_machine_as_test(
        BooksMachine,
        settings=_SETTINGS(max_examples=120, stateful_step_count=50, derandomize=True),
    )


@pytest.mark.soak
def test_money_is_conserved_over_two_hundred_thousand_steps() -> None:
    """The long profile."""
    run_state_machine_as_test(
        BooksMachine,
        settings=_SETTINGS(max_examples=2000, stateful_step_count=100, derandomize=False),
    )


# Each row removes one rule: (module, the rule's text, what stands there instead).
MUTATIONS: dict[str, tuple[ModuleType, str, str]] = {
    "the amount of a line is exact": (settle, "if line.amount != due - before.due:", "if False:"),
    "the rise is the sum of what is newly paid": (
        settle,
        "    if total != rise:\n",
        "    if False:\n",
    ),
    "what is settled is remembered": (
        settle,
        "settled = account.settled.get(line.order, Paid(0, 0))",
        "settled = Paid(0, 0)",
    ),
    "a line twice in a cheque counts once": (
        settle,
        "before = reached.get(line.order, Progress(line.order, settled.through, settled.due))",
        "before = Progress(line.order, settled.through, settled.due)",
    ),
    "a citation is my own signature": (settle, "if statement.worker != self._me or", "if"),
    "a citation was made for this peer": (
        settle,
        "if statement.worker != self._me or statement.requester != self._peer:",
        "if statement.worker != self._me:",
    ),
    "an order needs a claim or a citation": (
        settle,
        "        if due is None:\n            raise",
        "        if due is None:\n            return 5\n            raise",
    ),
    "a refund needs a payment": (
        settle,
        "    if not best.due:\n",
        "    best = best if best.due else Paid(1, 99)\n    if False:\n",
    ),
    "a refund is no higher than what was paid": (settle, "if refunded > before.due:", "if False:"),
    "refund lines sum to the rise": (settle, "    if left:\n", "    if False:\n"),
    "a cheque between others is not mine": (
        books,
        "if (value.debtor, value.creditor) != (peer, self.me):",
        "if False:",
    ),
    "a total that does not rise changes nothing": (
        books,
        "if value.total <= account.held_total:",
        "if False:",
    ),
    "an ack belongs to its cheque": (
        books,
        "if ack is not None and (",
        "if ack is not None and False and (",
    ),
    "an ack is the creditor's own": (books, "or ack.value.creditor != value.creditor", ""),
    "an order is accepted once": (lending, "if order_id in self.seen:", "if False:"),
    "nothing is signed before hello": (books, "if peer not in self.greeted:", "if False:"),
    "hello compares totals": (books, "if held_total <= account.signed_total:", "if True:"),
    "cheques and refunds wait for each other": (
        books,
        "if account.lines and account.lines_are_refunds is not refunds:",
        "if False:",
    ),
    "lending takes tokens": (budget, "self.tokens - rise)", "self.tokens - min(0, rise))"),
    "tokens are needed": (budget, "if bucket.tokens < need:", "if False:"),
    "the bucket has a size": (
        budget,
        "self.tokens = min(self.rules.size_cu, self.tokens + earned // 1000)",
        "self.tokens += earned // 1000",
    ),
    "a refund takes back the right to redeem": (
        account,
        "self.uncharged = self.net - min(lent + rise, max(lent, 0))",
        "self.uncharged = self.net - lent",
    ),
    "what a restored node owes draws on its budget": (
        account,
        "self.uncharged = min(self.uncharged, self.net)",
        "pass",
    ),
    "signatures are checked": (keys, "_load(public).verify(signature, data)", "_load(public)"),
}


def take_out(monkeypatch: pytest.MonkeyPatch, module: ModuleType, rule: str, instead: str) -> None:
    """Put the code of a module, with one rule taken out, in the place of the true code."""
    source = inspect.getsource(module)
    assert rule in source, f"the rule {rule!r} is no longer in {module.__name__}"
    names: dict[str, Any] = dict(vars(module))
    exec(compile(source.replace(rule, instead), module.__name__, "exec"), names)
    users = [user for name, user in sys.modules.items() if name.startswith("protocol.")]
    for name, true in list(vars(module).items()):
        changed = names[name]
        if inspect.isfunction(true):
            for user in users:
                if true.__module__ == module.__name__ and getattr(user, name, None) is true:
                    monkeypatch.setattr(user, name, changed)
            continue
        if inspect.isclass(true) and true.__module__ == module.__name__:
            for method, value in list(vars(changed).items()):
                if inspect.isfunction(value) and value.__code__.co_filename == module.__name__:
                    monkeypatch.setattr(true, method, value)
        names[name] = true  # the changed code goes on with the true classes and constants


#: What breaks without these is rare: most dice need minutes to find it, and some do not.
LUCKY = {"an order is accepted once": 2}


@pytest.mark.parametrize("rule", MUTATIONS)
def test_the_machine_fails_without(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one acceptance rule away: the invariants must break."""
    take_out(monkeypatch, *MUTATIONS[rule])
    machine = type("BooksMachineOfOneRule", (BooksMachine,), {})
    if rule in LUCKY:
        seed(LUCKY[rule])(machine)
    # An invariant breaks, or an honest node stumbles over what it let in.
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(
            machine,
            settings=_SETTINGS(
                max_examples=1000,
                stateful_step_count=50,
                derandomize=True,
                phases=[Phase.generate],
                report_multiple_bugs=False,
            ),
        )
