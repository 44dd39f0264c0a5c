# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.behaviour`: what faults cost, how they fade, and what outlives a restart."""

import pytest
import trio

from node.mesh import behaviour as module
from node.mesh.behaviour import BAN_S_MAX, BAN_S_MIN, FADE_S, OWNERS_BAN_S_MAX, Behaviour
from node.store.store import Database
from node.store.tables import NETWORK
from protocol.reasons import Reason
from simulations.store import SimulatedStore
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import VirtualClock
from tests.tree import ROOT

KEY = b"k" * 32


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@in_virtual_time
async def test_three_breaches_soon_after_each_other_ban() -> None:
    known = Behaviour(VirtualClock())
    assert known.blame(KEY, Reason.UNEXPECTED, "one") is None
    assert known.blame(KEY, Reason.MALFORMED, "two") is None
    ban = known.blame(KEY, Reason.TOO_LARGE, "three")
    assert ban is not None
    assert known.ban(KEY) == ban
    assert (ban.reason, ban.detail) == ("too_large", "three")


@in_virtual_time
async def test_the_same_breaches_a_day_apart_do_not() -> None:
    known = Behaviour(VirtualClock())
    for _ in range(20):
        assert known.blame(KEY, Reason.UNEXPECTED, "now and then") is None
        await trio.sleep(86_400)
    assert known.score(KEY) < 1


@in_virtual_time
async def test_half_of_a_score_fades_in_an_hour() -> None:
    known = Behaviour(VirtualClock())
    known.blame(KEY, Reason.UNEXPECTED, "")
    before = known.score(KEY)
    await trio.sleep(FADE_S)
    assert known.score(KEY) == pytest.approx(before / 2)


@pytest.mark.parametrize("reason", [Reason.BAD_SIGNATURE, Reason.BAD_PROOF, Reason.WEAK_KEY])
@in_virtual_time
async def test_a_forgery_bans_at_once(reason: Reason) -> None:
    assert Behaviour(VirtualClock()).blame(KEY, reason, "") is not None


@pytest.mark.parametrize(
    "reason",
    [Reason.OTHER_NETWORK, Reason.CLOCK_SKEW, Reason.UNKNOWN_VERSION, Reason.UNREACHABLE],
)
@in_virtual_time
async def test_what_honest_nodes_do_to_each_other_costs_nothing(reason: Reason) -> None:
    known = Behaviour(VirtualClock())
    for _ in range(100):
        assert known.blame(KEY, reason, "") is None
    assert known.score(KEY) == 0
    assert known.of(KEY) is None


@in_virtual_time
async def test_bans_double_up_to_a_week_and_end() -> None:
    known = Behaviour(VirtualClock())
    lengths = []
    for _ in range(12):
        ban = known.blame(KEY, Reason.BAD_SIGNATURE, "")
        assert ban is not None
        lengths.append(ban.until_s - known._clock.now().wall_s)
        await trio.sleep(lengths[-1] - 1)
        assert known.ban(KEY) is not None
        await trio.sleep(1)
        assert known.ban(KEY) is None
    assert lengths[:3] == pytest.approx([BAN_S_MIN, 2 * BAN_S_MIN, 4 * BAN_S_MIN])
    assert lengths[-1] == pytest.approx(BAN_S_MAX)
    await trio.sleep(module.BANS_FORGOTTEN_S)
    ban = known.blame(KEY, Reason.BAD_SIGNATURE, "")
    assert ban is not None
    assert ban.until_s - known._clock.now().wall_s == pytest.approx(BAN_S_MIN)


@in_virtual_time
async def test_no_number_of_keys_takes_more_memory_or_pushes_out_who_was_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NODES_MAX", 20)
    monkeypatch.setattr(module, "BANS_MAX", 10)
    known = Behaviour(VirtualClock())
    for number in range(19):
        known.note_met(key(number))
    for number in range(100, 400):
        known.blame(key(number), Reason.BAD_SIGNATURE, "another key")
    assert len(known._records) == 20
    assert all(known.of(key(number)) for number in range(19))
    assert len(known.bans()) == 10


@in_virtual_time
async def test_measurements_are_mixed_and_what_is_nothing_is_not_measured() -> None:
    known = Behaviour(VirtualClock())
    known.note_failed_dial(KEY)
    assert known.of(KEY) is None
    known.note_met(KEY)
    known.note_rtt(KEY, 0.1)
    known.note_rtt(KEY, 0.2)
    known.note_moved(KEY, up_bytes=1000, down_bytes=0, took_s=2)
    known.note_moved(KEY, up_bytes=0, down_bytes=0, took_s=0)
    known.note_order(KEY, well=False)
    record = known.of(KEY)
    assert record is not None
    assert record.rtt_s == pytest.approx(0.125)
    assert (record.up_bytes_s, record.down_bytes_s) == (500, None)
    assert (record.orders, record.failed_orders) == (1, 1)


@in_virtual_time
async def test_bans_are_written_at_once_and_the_rest_in_time() -> None:
    store = SimulatedStore(ROOT / "tests")
    async with store.open("network", NETWORK) as database, trio.open_nursery() as nursery:
        known = Behaviour(VirtualClock(), database)
        nursery.start_soon(known.keep)
        known.note_met(key(1))
        known.note_rtt(key(1), 0.5)
        known.blame(KEY, Reason.BAD_SIGNATURE, "forged")
        await trio.sleep(0.1)
        again = Behaviour(VirtualClock(), database)
        assert again.bans() == known.bans() != {}
        known.lift(KEY)
        known.note_met(key(2))
        await trio.sleep(module.SAVE_S + 1)
        again = Behaviour(VirtualClock(), database)
        assert again.bans() == {}
        for each in (key(1), key(2), KEY):
            assert again.of(each) == known.of(each) is not None
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    store = SimulatedStore(ROOT / "tests")
    async with store.open("network", NETWORK) as database:
        for number, body in enumerate(
            [b'{"first_s":1.0,"last_s":2.0,"met":3,"new":4}', b"[]", b"{", b"{}"]
        ):
            row = (key(number), 1.0, 2.0, body)
            await database.write([("INSERT INTO peers VALUES (?, ?, ?, ?)", row)])
        known = Behaviour(VirtualClock(), database)
        record = known.of(key(0))
        assert record is not None
        assert record.met == 3
        assert [known.of(key(number)) for number in (1, 2, 3)] == [None] * 3


@pytest.mark.parametrize("restarted", [False, True])
@in_virtual_time
async def test_a_clock_that_is_set_back_makes_no_ban_longer_than_the_longest(
    restarted: bool,
) -> None:
    store, ahead = SimulatedStore(ROOT / "tests"), VirtualClock(ahead_s=2 * 366 * 86_400.0)
    async with store.open("network", NETWORK) as database:
        known = Behaviour(ahead, database)
        known.blame(KEY, Reason.BAD_SIGNATURE, "forged")
        known.set_ban(key(2), 3600.0, Reason.BANNED, "the owner's word")
        await known.save()
        now = VirtualClock()
        if restarted:
            known = Behaviour(now, database)
        else:
            known._clock = now
        now_s = now.now().wall_s
        lengths = [each.until_s - now_s for each in (known.ban(KEY), known.ban(key(2))) if each]
        assert lengths == [BAN_S_MAX, OWNERS_BAN_S_MAX]
        await known.save()
        again = Behaviour(now, database)
        assert again._bans == known._bans


class FullDisk:
    """A database that takes nothing until there is room again."""

    def __init__(self, database: Database) -> None:
        self.full = True
        self.read = database.read
        self._database = database

    async def write(self, statements: object) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        await self._database.write(statements)  # type: ignore[arg-type]  # passed on as it came


@in_virtual_time
async def test_a_full_disk_loses_nothing_for_later() -> None:
    store = SimulatedStore(ROOT / "tests")
    async with store.open("network", NETWORK) as database, trio.open_nursery() as nursery:
        disk = FullDisk(database)
        known = Behaviour(VirtualClock(), disk)
        nursery.start_soon(known.keep)
        known.blame(KEY, Reason.BAD_SIGNATURE, "forged")
        await trio.sleep(1)
        assert Behaviour(VirtualClock(), database).bans() == {}
        disk.full = False
        await trio.sleep(3 * module.SAVE_S)
        assert Behaviour(VirtualClock(), database).bans() == known.bans()
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_what_is_written_is_in_the_order_of_the_keys_whatever_the_process_hashes() -> None:
    """The rows of two runs of one seed came to the disk in two orders."""
    store = SimulatedStore(ROOT / "tests")
    async with store.open("network", NETWORK) as database:
        known = Behaviour(VirtualClock(), database)
        for number in range(20, 0, -1):
            known.note_met(key(number))
        await known.save()
        rows = database.read("SELECT key FROM peers ORDER BY rowid", ())
    assert [row[0] for row in rows] == sorted(key(number) for number in range(1, 21))
