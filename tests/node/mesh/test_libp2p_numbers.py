# SPDX-License-Identifier: MIT
"""What a stream's number may do to another stream: nothing. Windows and rules are `session`'s."""

import pytest
from trio.testing import wait_all_tasks_blocked

from node.mesh.libp2p.yamux import Flag, Kind, header
from node.mesh.transport import Lost
from tests.node.mesh.raw_peer import accepted, alone


async def test_letting_go_of_a_stream_leaves_the_next_one_of_its_number_alone() -> None:
    """Orphaned, it would hear nothing any more, not even that the connection has ended."""
    async with alone() as scene:
        first = await accepted(scene)
        said = header(Kind.WINDOW, Flag.RST, 2, 0) + header(Kind.WINDOW, Flag.SYN, 2, 0)
        await scene.peer.send(said)
        await scene.peer.hear()
        second = scene.arrived[1]
        await first.reset()
        await scene.peer.data(2, b"hello")
        assert await second.receive() == b"hello"
        scene.session.end("enough")
        with pytest.raises(Lost, match="enough"):
            await second.receive()


async def test_a_stream_that_was_reset_here_never_ends_well() -> None:
    """The peer's last frame was under way: its end of data stands behind what was given up."""
    async with alone() as scene:
        stream = await accepted(scene)
        await scene.peer.send(header(Kind.DATA, Flag.FIN, 2, 10) + b"half")
        await wait_all_tasks_blocked()
        await stream.reset()
        await scene.peer.send(b" of it")
        await wait_all_tasks_blocked()
        with pytest.raises(Lost, match="reset here"):
            await stream.receive()
