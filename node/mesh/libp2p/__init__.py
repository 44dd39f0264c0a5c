# SPDX-License-Identifier: MIT
"""The real transport: libp2p over TCP, Noise and Yamux. What is said on it is not here.

Only this package imports libp2p, and only what opens a real network imports this package:
libp2p takes a second to load.

From py-libp2p come the handshake, the keys and the messages of identify: what a mistake of ours
would make unsafe. The sockets, the choice of protocols and the streams are our own, since the
library's host could not be made safe by settings alone; `docs/design/transport.md` has each fact
that was found, and what answers it. In the order of a connection's life:

- `addresses`: multiaddrs as text, and which of this machine's addresses are real;
- `listening` and `dialling`: how a TCP connection comes about, and who is turned away;
- `bytes_in`, `choosing`, `noise`, `upgrading`: how it gets a proven key and is agreed upon;
- `yamux`, `session`, `streams`: many streams on one connection; `holding`: what all may hold;
- `connections`, `asked`, `host`: the seam's side of it all.
"""

from node.mesh.libp2p.host import Libp2p as Libp2p
