# SPDX-License-Identifier: MIT
"""What a node tells the mesh about itself. Which adverts are kept and passed on is in `view`."""

from typing import Annotated

from protocol.canon import (
    BytesCodec,
    Digest,
    Flag,
    Incarnation,
    Key,
    Row,
    TextCodec,
    Uint,
    UintCodec,
    message,
    row,
    rows_of,
    values_of,
)
from protocol.limits import (
    ADDRESS_BYTES_MAX,
    ADDRESSES_MAX,
    ADVERT_TTL_S_MAX,
    EXTENSION_BYTES_MAX,
    MODELS_PER_ADVERT_MAX,
    NAME_BYTES_MAX,
)
from protocol.sealed import Statement

REACH_UNKNOWN, REACH_DIRECT, REACH_RELAYED, REACH_OUTBOUND = range(4)
GIFT_NONE, GIFT_MEMBERS, GIFT_ANYONE = range(3)

Name = Annotated[str, TextCodec(NAME_BYTES_MAX)]
Address = TextCodec(ADDRESS_BYTES_MAX, 1)
Extension = Annotated[bytes, BytesCodec(0, EXTENSION_BYTES_MAX)]


@row
class ModelAtHand(Row):
    """A model that the node can start at once; `warm` when it is loaded right now."""

    model: Digest
    warm: Flag


@message("advert")
class Advert(Statement):
    """A signed, expiring description of a node.

    Rates are measured on one thread: `fp32_mflops`, `int8_mops` and `memory_mbps`.
    `rate_min` is the price rate below which the owner declines work, in CU per second.
    Load is not said here: it changes too fast and is asked directly.
    """

    node: Key
    incarnation: Incarnation
    sequence: Uint
    issued_at_s: Uint
    ttl_s: Annotated[int, UintCodec(1, ADVERT_TTL_S_MAX)]
    cores: Annotated[int, UintCodec(1, 1 << 16)]
    memory_mib: Uint
    disk_mib: Uint
    accelerator: Name
    accelerator_mib: Uint
    fp32_mflops: Uint
    int8_mops: Uint
    memory_mbps: Uint
    price_version: Uint
    rate_min: Uint
    gift: Annotated[int, UintCodec(0, 2)]
    reach: Annotated[int, UintCodec(0, 3)]
    addresses: Annotated[tuple[str, ...], values_of(Address, 0, ADDRESSES_MAX)]
    models: Annotated[
        tuple[ModelAtHand, ...], rows_of(ModelAtHand, 0, MODELS_PER_ADVERT_MAX, ascending=True)
    ]
    extension: Extension

    def broken_rule(self) -> str:
        """Each model is listed once."""
        listed = [entry.model for entry in self.models]
        return "" if len(set(listed)) == len(listed) else "lists a model twice"

    def expires_at_s(self) -> int:
        """The wall time from which this advert is worth nothing."""
        return self.issued_at_s + self.ttl_s
