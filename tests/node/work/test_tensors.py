# SPDX-License-Identifier: MIT
"""Tests of `node.work.tensors`: how items go over a stream. What may come back is in others."""

from unittest.mock import patch

import trio

from node.mesh.framed import Framed
from node.work.tensors import Form, Root, send_items, take_items
from protocol.frames import DocumentFrame
from protocol.merkle import INPUT
from protocol.reasons import Reason
from protocol.tensors import Buffer, ElementType, Tensor
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.pairs import pair

FORM = Form("x", ElementType.UINT8, (100,))


async def taken(wire: Framed, items: int) -> list[bytes]:
    root = Root(bytes(32), INPUT)
    got = await take_items(wire, lambda _: (FORM,), items, root, deviates=Reason.INPUT_DEVIATES)
    return [bytes(item[0].data) for item in got]


@in_virtual_time
async def test_small_items_share_their_writes_with_what_is_said_before_and_after() -> None:
    """Each write is a record of Noise and a wake of the other side: half of what an item cost."""
    items = [(Tensor(FORM.element, FORM.dims, bytes([each]) * 100),) for each in range(60)]
    writes = []
    async with pair() as (one, other), trio.open_nursery() as nursery:
        plain = one.stream.send

        async def counted(*buffers: Buffer) -> None:
            writes.append(sum(len(each) for each in buffers))
            await plain(*buffers)

        with patch.object(one.stream, "send", counted):
            before, after = [DocumentFrame(b"salt")], [DocumentFrame(b"result")]
            nursery.start_soon(lambda: send_items(one, items, before=before, after=after))
            assert await other.take_document() == b"salt"
            assert await taken(other, 60) == [bytes(item[0].data) for item in items]
            assert await other.take_document() == b"result"
        assert one.is_idle
    assert len(writes) < 10
