# SPDX-License-Identifier: MIT
"""What is done aside is done in a thread; in a made world it is done at once, in the loop."""

import threading

import trio

from node.executor.aside import aside, at_once, glance
from tests.node.executor.virtual_time import in_virtual_time


async def test_work_is_done_in_another_thread() -> None:
    here = threading.get_ident()
    assert await aside(threading.get_ident) != here
    assert await glance(threading.get_ident) != here


@in_virtual_time
async def test_a_made_world_has_no_threads_nor_have_its_tasks() -> None:
    here = threading.get_ident()
    found: list[int] = []

    async def task() -> None:
        found.append(await aside(threading.get_ident))
        found.append(await glance(threading.get_ident))

    async with trio.open_nursery() as outside:
        with at_once():
            await task()
            outside.start_soon(task)  # what is started here stays so
        await trio.sleep(1)
    assert found == [here] * 4


async def test_behind_the_block_threads_are_used_again() -> None:
    with at_once():
        pass
    assert await aside(threading.get_ident) != threading.get_ident()
