# SPDX-License-Identifier: MIT
"""Adverts of made-up nodes, and what their messages weigh on a wire.

Nobody signs here and nobody checks a signature: keys are hashes of numbers, and the 64 bytes of
a signature are made up too. What counts as genuine is what this book has written. All else of an
advert is what it would be, in the bytes that it would be.
"""

from hashlib import sha256, sha512

from node.work.description import TTL_S
from protocol.advert import GIFT_ANYONE, REACH_DIRECT, Advert, ModelAtHand
from protocol.canon import Message, encode
from protocol.errors import RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.frames import HEADER_BYTES
from protocol.known import Held, Known, known_from
from protocol.reasons import Reason

#: When a made world begins, on the clock on its wall. Its numbers take five bytes, as today's do.
EPOCH_S = 1_800_000_000

#: With more renewals than this a row of a summary would be longer than what is counted for it.
SEQUENCE_MAX = 127

_SOMEBODY = Held(bytes(32), EPOCH_S, 1, 0)
_OTHER = Held(bytes(31) + b"\1", EPOCH_S, 1, 0)
_EMPTY_SUMMARY_BYTES = len(encode(Summary(())))
_ROW_BYTES = len(encode(Summary((_SOMEBODY, _OTHER)))) - len(encode(Summary((_SOMEBODY,))))
_KEY_BYTES = len(encode(Wanted((bytes(32), _OTHER.node)))) - len(encode(Wanted((bytes(32),))))
_EMPTY_WANTED_BYTES = len(encode(Wanted((bytes(32),)))) - _KEY_BYTES


def frame_bytes(what: Message | bytes) -> int:
    """Tell how many bytes the frame of a message or of a sealed advert has.

    Summaries and wishes are weighed and not written: there are millions of them.
    """
    if isinstance(what, bytes):
        return HEADER_BYTES + len(what)
    if isinstance(what, Summary):
        return HEADER_BYTES + _list_bytes(_EMPTY_SUMMARY_BYTES, len(what.held), _ROW_BYTES, 4)
    if isinstance(what, Wanted):
        return HEADER_BYTES + _list_bytes(_EMPTY_WANTED_BYTES, len(what.nodes), _KEY_BYTES, 1)
    return HEADER_BYTES + len(encode(what))


def _list_bytes(empty_bytes: int, rows: int, row_bytes: int, cells: int) -> int:
    """Weigh a message that is one list: from some length on its heads take more bytes."""
    in_list = rows * row_bytes + 1 + 2 * (rows * cells > 15)
    return empty_bytes + in_list - 1 + (in_list > 0xFF) + 2 * (in_list > 0xFFFF)


def key_of(seed: str, number: int) -> bytes:
    """Make up the key of a node; nobody can sign with it."""
    return sha256(f"{seed} key {number}".encode()).digest()


def salt_of(seed: str, number: int) -> bytes:
    """Make up the secret salt of a node's view."""
    return sha256(f"{seed} salt {number}".encode()).digest()


def address_of(number: int) -> str:
    """Give a node a public address in a range of its own."""
    return f"/ip4/{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7/tcp/4001"


class Adverts:
    """All adverts that were ever written in this world, by their bytes."""

    def __init__(self, models: dict[bytes, tuple[bytes, ...]]) -> None:
        """`models` says what a node has, by its key; it is read when an advert is written."""
        self._models = models
        self._genuine: dict[bytes, Known] = {}

    def write(self, key: bytes, number: int, sequence: int, now_s: float) -> Known:
        """Write the advert of a node as it is now."""
        assert 0 < sequence <= SEQUENCE_MAX, "this world has lasted for days: weigh its rows anew"
        advert = Advert(
            node=key,
            incarnation=key[:8],
            sequence=sequence,
            issued_at_s=int(now_s),
            ttl_s=TTL_S,
            cores=4,
            memory_mib=8192,
            disk_mib=16_384,
            accelerator="",
            accelerator_mib=0,
            fp32_mflops=40_000,
            int8_mops=80_000,
            memory_mbps=10_000,
            price_version=1,
            rate_min=0,
            gift=GIFT_ANYONE,
            reach=REACH_DIRECT,
            addresses=(address_of(number),),
            models=tuple(ModelAtHand(each, 0) for each in sorted(self._models.get(key, ()))),
            extension=b"",
        )
        body = encode(advert)
        known = known_from(sha512(body).digest() + body, advert)
        self._genuine[known.wire] = known
        return known

    def verify(self, wire: bytes) -> Known:
        """Give what was written; all else is forged."""
        known = self._genuine.get(wire)
        if known is None:
            raise RemoteProtocolError(Reason.BAD_SIGNATURE, "nobody has written this")
        return known
