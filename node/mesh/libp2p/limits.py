# SPDX-License-Identifier: MIT
"""Every bound of the real transport, with its reason. What uses them is beside it."""

#: From TCP accept to an agreed connection. A handshake takes about 50 ms of a slow machine.
HANDSHAKE_S = 10.0

#: So many callers may be in their handshake at once; the oldest of the busiest range gives way.
HANDSHAKES_MAX = 128

#: One message of the handshake: an Ed25519 key, its signature and js-libp2p's extensions take
#: 300 bytes; the keys of other kinds that fit into this cost a millisecond to check.
HANDSHAKE_RECORD_BYTES_MAX = 1024

#: A dial to one address, from SYN to an agreed connection.
DIAL_S = 8.0

#: Of a peer's addresses the first so many are tried.
ADDRESSES_MAX = 16

#: A line of multistream-select; the longest name of a protocol in use has about 60 bytes.
LINE_BYTES_MAX = 256

#: So many protocols may be proposed for one stream.
PROPOSALS_MAX = 8

#: What one `recv` asks the system for.
READ_BYTES = 1 << 18

#: What fits into one record of Noise, beside its tag of 16 bytes.
RECORD_BYTES_MAX = 65_535 - 16

#: A peer that takes nothing for so long is lost, and so is a stream that is not read.
STALL_S = 30.0

#: What a peer may send on one stream before it is read: 100 Mbit/s at a round trip of 80 ms.
WINDOW_BYTES = 1 << 20

#: What has arrived and was not read, of all streams of all connections: then the one that holds
#: most ends. The windows of sixty orders; in the memory of the process it is twice as much.
HELD_BYTES_MAX = 64 << 20

#: Data that waits to be encrypted, of all streams of a connection: two records.
QUEUE_BYTES = 1 << 17

#: After so many frames in one go the other connections have their turn: a record holds 5,000 that
#: open streams, which take 30 ms.
FRAMES_IN_ONE_GO = 128

#: Answers that wait for a peer which asks and does not read: 12 bytes each.
ANSWERS_MAX = 4096

#: Streams of a peer that are served at once, whatever the gate says.
STREAMS_MAX = 2048

#: What one `receive` gives at most.
RECEIVE_BYTES_MAX = 1 << 20

#: A handler has returned: so long may the peer take to say that it is done as well.
LINGER_S = 10.0

#: What is still queued may leave for so long when a connection is closed.
FAREWELL_S = 0.5
