# SPDX-License-Identifier: MIT
"""A loud word when trio has changed inside, where made worlds lean on it."""

import ast
import inspect
import re
from importlib import import_module

from simulations.determinism import seeded
from tests.tree import name_of, python_files

run = import_module("trio._core._run")


def test_trio_still_orders_a_batch_of_tasks_by_dice_that_can_be_seeded() -> None:
    """When this fails, read `_core/_run.py` of the new trio: how does it order a batch?"""
    assert vars(run)["_ALLOW_DETERMINISTIC_SCHEDULING"] in (True, False)
    assert hasattr(vars(run)["_r"], "random")
    source = inspect.getsource(run)
    assert "if _ALLOW_DETERMINISTIC_SCHEDULING:" in source
    assert "batch.sort(key=lambda t: t._counter)" in source
    assert "_r.shuffle(batch)" in source
    assert callable(vars(import_module("trio.testing"))["active_thread_count"])


def test_trio_still_keeps_the_next_step_of_a_task_and_the_scopes_that_it_is_in() -> None:
    """When this fails, read it again: how is a task's next step kept?"""
    loop = inspect.getsource(vars(run)["unrolled_run"])
    assert loop.index('"before_task_step"') < loop.index("next_send_fn = task._next_send_fn")
    assert "next_send = task._next_send\n" in loop
    again = inspect.getsource(vars(run)["Runner"].reschedule)
    assert "assert task._next_send_fn is None" in again
    status = vars(run)["CancelStatus"]
    for name in ("_scope", "_children", "effectively_cancelled"):
        assert name in {each.name for each in status.__attrs_attrs__}
    field = "    _cancel_status: CancelStatus | None = attrs.field(default=None, init=False)"
    assert field in inspect.getsource(run)


def test_what_was_before_comes_back_after_a_run() -> None:
    before = vars(run)["_ALLOW_DETERMINISTIC_SCHEDULING"], vars(run)["_r"]
    with seeded("1"), seeded("2"):
        assert vars(run)["_r"] is not before[1]
    assert (vars(run)["_ALLOW_DETERMINISTIC_SCHEDULING"], vars(run)["_r"]) == before


def test_no_other_file_of_the_program_touches_what_trio_keeps_to_itself() -> None:
    private = re.compile(r"_(core|run|r|next_send|next_send_fn|cancel_status|runner|counter)")
    for path in python_files("node", "protocol", "simulations"):
        if name_of(path) == "simulations/inside_trio.py":
            continue
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Attribute) and private.fullmatch(each.attr):
                is_own = isinstance(each.value, ast.Name) and each.value.id in {"self", "cls"}
                assert is_own, f"{name_of(path)}:{each.lineno} touches {each.attr}"
