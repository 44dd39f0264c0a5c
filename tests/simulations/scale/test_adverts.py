# SPDX-License-Identifier: MIT
"""Made-up adverts weigh what real ones weigh, and so do the messages about them."""

import pytest

from protocol.advert import Advert
from protocol.canon import decode, encode
from protocol.errors import RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.frames import DocumentFrame, StatementFrame
from protocol.frames import encode as encode_frame
from protocol.keys import SIGNATURE_BYTES
from protocol.query import Query
from simulations.scale.adverts import Adverts, frame_bytes, key_of

NODES = [key_of("weights", number) for number in range(48)]
KNOWN = [Adverts({}).write(key, number, 127, 5e6) for number, key in enumerate(NODES)]


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 6, 7, 15, 16, 48])
def test_a_summary_is_weighed_as_it_would_be_written(rows: int) -> None:
    summary = Summary(tuple(known.digests[1] for known in KNOWN[:rows]))
    assert frame_bytes(summary) == _written(DocumentFrame(encode(summary)))


@pytest.mark.parametrize("rows", [1, 7, 8, 15, 16, 32])
def test_wishes_are_weighed_as_they_would_be_written(rows: int) -> None:
    wanted = Wanted(tuple(sorted(NODES[:rows])))
    assert frame_bytes(wanted) == _written(DocumentFrame(encode(wanted)))


def test_queries_and_adverts_weigh_what_they_are() -> None:
    query = Query(bytes(16), bytes(32), "", 0, 0, 0, 1)
    assert frame_bytes(query) == _written(DocumentFrame(encode(query)))
    assert frame_bytes(KNOWN[0].wire) == _written(StatementFrame(KNOWN[0].wire))


def test_an_advert_is_a_real_one_but_for_its_signature() -> None:
    wire = KNOWN[3].wire
    assert decode(wire[SIGNATURE_BYTES:], Advert) == KNOWN[3].advert
    assert KNOWN[3].range


def test_what_nobody_has_written_is_forged() -> None:
    book = Adverts({})
    known = book.write(NODES[0], 0, 1, 5e6)
    assert book.verify(known.wire) is known
    with pytest.raises(RemoteProtocolError, match="nobody has written this"):
        book.verify(known.wire[:-1] + b"?")


def _written(frame: DocumentFrame | StatementFrame) -> int:
    return sum(len(bytes(part)) for part in encode_frame(frame))
