# SPDX-License-Identifier: MIT
"""multistream-select: how two ends agree on a protocol. Which ones are spoken is not decided here.

A line is its length, its text and a newline. The library's own reader takes any length that a
stranger claims and any number of proposals; this one is bounded, and proposes in one packet.
"""

from collections.abc import Container

from node.mesh.libp2p.bytes_in import Source
from node.mesh.libp2p.limits import LINE_BYTES_MAX, PROPOSALS_MAX
from node.mesh.transport import Lost

_SEVEN_BITS = 0x7F
_NO = "na"


def line(text: str) -> bytes:
    """Write a line."""
    data = text.encode() + b"\n"
    length = len(data)
    if length > LINE_BYTES_MAX:
        raise ValueError(f"{text[:40]!r}... is too long for the name of a protocol")
    if length <= _SEVEN_BITS:
        return bytes((length,)) + data
    return bytes((length & _SEVEN_BITS | 0x80, length >> 7)) + data


HELLO_TEXT = "/multistream/1.0.0"
HELLO = line(HELLO_TEXT)


async def propose(source: Source, protocol: str) -> bool:
    """Ask for a protocol, and give whether the peer speaks it."""
    await source.put(HELLO + line(protocol))
    await _expect_hello(source)
    answer = await _read_line(source)
    if answer not in {protocol, _NO}:
        raise Lost(f"the peer was asked for {protocol} and answered {answer[:40]!r}")
    return answer == protocol


async def answer(source: Source, spoken: Container[str]) -> str | None:
    """Give the first proposal that is spoken here; None when the peer has no such one."""
    await source.put(HELLO)
    await _expect_hello(source)
    for _ in range(PROPOSALS_MAX):
        proposal = await _read_line(source)
        if proposal in spoken:
            await source.put(line(proposal))
            return proposal
        await source.put(line(_NO))
    return None


async def _expect_hello(source: Source) -> None:
    hello = await _read_line(source)
    if hello != HELLO_TEXT:
        raise Lost(f"the peer does not speak {HELLO_TEXT}, it said {hello[:40]!r}")


async def _read_line(source: Source) -> str:
    (length,) = await source.take(1)
    if length > _SEVEN_BITS:
        (high,) = await source.take(1)
        length = length & _SEVEN_BITS | high << 7
    if not 0 < length <= LINE_BYTES_MAX:
        raise Lost(f"the peer announced a line of {length} bytes")
    data = await source.take(length)
    if data[-1:] != b"\n":
        raise Lost("the peer sent a line without an end")
    try:
        return data[:-1].decode("ascii")
    except UnicodeDecodeError:
        raise Lost(f"the peer proposed {data[:40]!r}") from None
