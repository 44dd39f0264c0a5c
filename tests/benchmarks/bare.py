# SPDX-License-Identifier: MIT
"""A program that is py-libp2p and nothing else: what a daemon is held against.

`python -m tests.benchmarks.bare COUNT [ADDRESS...]` runs so many hosts on loopback, dials the
addresses from the first one, prints one line of JSON with its own addresses when all is done, and
lives until its stdin ends. Nothing is imported that a host does not need.
"""

import json
import os
import sys
from contextlib import AsyncExitStack

import trio
from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_keys
from libp2p.custom_types import TProtocol
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped] # ships no types

LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")


def _host() -> IHost:
    keys = create_new_key_pair()
    return new_host(
        key_pair=keys,
        listen_addrs=[LOOPBACK],
        sec_opt={NOISE: Noise(keys, noise_privkey=new_noise_keys().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},
    )


async def main() -> None:
    """Run the hosts."""
    count, addresses = int(sys.argv[1]), sys.argv[2:]
    async with AsyncExitStack() as stack:
        hosts = [_host() for _ in range(count)]
        for host in hosts:
            await stack.enter_async_context(host.run(listen_addrs=[LOOPBACK]))
            while not host.get_addrs():  # noqa: ASYNC110 - it says nothing when it is ready
                await trio.sleep(0.001)
        for address in addresses:
            await hosts[0].connect(info_from_p2p_addr(Multiaddr(address)))
        sys.stdout.write(json.dumps([str(host.get_addrs()[0]) for host in hosts]) + "\n")
        sys.stdout.flush()
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            await stdin.receive_some()
        os._exit(0)  # its own way out takes seconds


if __name__ == "__main__":
    trio.run(main)
