# SPDX-License-Identifier: MIT
"""What was said and heard is counted, by protocol and the same on both sides."""

from node.mesh.hello import HELLO
from protocol.frames import DocumentFrame
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import ECHO, make, on, settled


@in_virtual_time
async def test_what_one_has_sent_the_other_has_received() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        async with a.mesh.wire(b.key, ECHO, b.addresses) as wire:
            for number in range(3):
                await wire.send(DocumentFrame(b"%d" % number))
                assert await wire.take_document() == b"%d" % number
        await settled()
        for one, other in ((a, b), (b, a)):
            assert one.mesh.tallies[ECHO].sent_frames == 3
            for protocol in (HELLO, ECHO):
                sent, received = one.mesh.tallies[protocol], other.mesh.tallies[protocol]
                assert sent.sent_frames == received.received_frames
                assert sent.sent_bytes == received.received_bytes > 0
