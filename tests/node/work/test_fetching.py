# SPDX-License-Identifier: MIT
"""Which models are fetched at a time, and for whom. How one is fetched is `models`' own."""

from typing import cast

import pytest
import trio

from node.models.library import Library
from node.work import fetching
from node.work.fetching import Fetching
from node.work.wires import Wires
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.work.pair import Seen, may_all

A_STRANGER, ANOTHER, A_FRIEND = Seen(b"s"), Seen(b"a"), Seen(b"f", trusted=True)


async def never(*_: object) -> None:
    await trio.sleep_forever()


async def test_a_stranger_that_takes_its_time_keeps_no_friend_from_being_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "fetch", never)
    async with trio.open_nursery() as nursery:
        nobody = cast("Library", None), cast("Wires", type("W", (), {"wire": None}))
        made = Fetching(nursery, *nobody, may_all, lambda *_, **__: None)
        made.want(A_STRANGER, b"one")
        made.want(ANOTHER, b"one")
        with pytest.raises(Refused) as refused:
            made.want(ANOTHER, b"two")
        assert refused.value.reason is Reason.BUSY
        made.want(A_FRIEND, b"three")
        with pytest.raises(Refused):
            made.want(A_FRIEND, b"four")
        nursery.cancel_scope.cancel()
