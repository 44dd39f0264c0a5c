# SPDX-License-Identifier: MIT
"""What two nodes sign about work. What they sign about money is in `cheque`.

When each statement may come is said in `order`. The first field of a statement is its
signer, the second the node that it is meant for.
`incarnation` is eight bytes that are new at each start of the signer's process: after a
crash or a restored backup a node may say something else than before, and that must never
look like fraud.
"""

from typing import Annotated

from protocol.canon import (
    BytesCodec,
    Code,
    Digest,
    Flag,
    Incarnation,
    Key,
    Nonce,
    OptionalDigest,
    TextCodec,
    Uint,
    UintCodec,
    message,
)
from protocol.limits import (
    CALLS_PER_WINDOW_MAX,
    ITEMS_PER_ORDER_MAX,
    MERKLE_DEPTH_MAX,
    NAME_BYTES_MAX,
    PRICE_MAX,
    STAGES_MAX,
    TOLERANCE_MAX,
    TTL_S_MAX,
)
from protocol.sealed import PairStatement

Price = Annotated[int, UintCodec(1, PRICE_MAX)]
PriceOrGift = Annotated[int, UintCodec(0, PRICE_MAX)]
Items = Annotated[int, UintCodec(1, ITEMS_PER_ORDER_MAX)]
ItemIndex = Annotated[int, UintCodec(0, ITEMS_PER_ORDER_MAX - 1)]
Stage = Annotated[int, UintCodec(0, STAGES_MAX)]
Comparator = Annotated[int, UintCodec(0, 3)]
Tolerance = Annotated[int, UintCodec(0, TOLERANCE_MAX)]
TtlS = Annotated[int, UintCodec(1, TTL_S_MAX)]
Environment = Annotated[str, TextCodec(NAME_BYTES_MAX)]
MerklePath = Annotated[bytes, BytesCodec(0, 32 * MERKLE_DEPTH_MAX)]


@message("order")
class Order(PairStatement):
    """A requester asks a worker to run one model on a batch of items.

    `input_root` is the salted Merkle root over the items, `shape_root` the root of the
    table of item shapes, which fixes the price before anything is sent. `stage` 0 is the
    whole model, k its k-th stage. `public` says that single inputs may be shown to others
    as evidence.
    """

    requester: Key
    worker: Key
    incarnation: Incarnation
    nonce: Nonce
    model: Digest
    stage: Stage
    adapter: OptionalDigest
    input_root: Digest
    shape_root: Digest
    items: Items
    price: Price
    price_version: Uint
    comparator: Comparator
    tolerance: Tolerance
    ttl_s: TtlS
    placed_at_s: Uint
    public: Flag


@message("session")
class SessionOrder(PairStatement):
    """A requester asks a worker to keep state and answer a stream of calls.

    `shape_root` names the table of call shapes, largest first; `window` calls cost at most
    `window_price` at their largest shapes, and that much is held before each window.
    `memory_bytes` of state are rented at `rent_per_s` CU a second.
    """

    requester: Key
    worker: Key
    incarnation: Incarnation
    nonce: Nonce
    model: Digest
    stage: Stage
    adapter: OptionalDigest
    shape_root: Digest
    window: Annotated[int, UintCodec(1, CALLS_PER_WINDOW_MAX)]
    window_price: Price
    memory_bytes: Uint
    rent_per_s: PriceOrGift
    price_version: Uint
    comparator: Comparator
    tolerance: Tolerance
    ttl_s: TtlS
    placed_at_s: Uint
    public: Flag


@message("accept")
class Accept(PairStatement):
    """A worker takes an order and holds credit for it, or gives it as a gift at price 0.

    For a batch, `items` and `price` repeat the order, so that the accept alone proves later
    what the whole order costs. A session has `items` 0: its results say what was used.
    """

    worker: Key
    requester: Key
    incarnation: Incarnation
    order: Digest
    items: Annotated[int, UintCodec(0, ITEMS_PER_ORDER_MAX)]
    price: PriceOrGift
    hold_s: TtlS
    accepted_at_s: Uint


@message("refuse")
class Refuse(PairStatement):
    """A worker does not take an order, and says why and when asking again makes sense."""

    worker: Key
    requester: Key
    incarnation: Incarnation
    order: Digest
    reason: Code
    retry_s: Annotated[int, UintCodec(0, TTL_S_MAX)]


@message("result")
class Result(PairStatement):
    """A worker binds itself to the outputs that it sent, and names what they cost.

    It covers the items (or calls) from `first` up to, not including, `through`. `due` is
    the price of everything from the start of the order through there: the point of the
    price curve that a cheque may pay to. A result is therefore also the invoice.
    """

    worker: Key
    requester: Key
    incarnation: Incarnation
    order: Digest
    first: Uint
    through: Uint
    due: PriceOrGift
    output_root: Digest
    environment: Environment
    last: Flag
    issued_at_s: Uint

    def broken_rule(self) -> str:
        """A result covers at least one item, in order."""
        if self.first >= self.through:
            return f"covers {self.first} up to {self.through}: nothing"
        return PairStatement.broken_rule(self)


@message("cancel")
class Cancel(PairStatement):
    """Either side ends an order early; `delivered` items are payable all the same."""

    sender: Key
    peer: Key
    incarnation: Incarnation
    order: Digest
    delivered: Uint
    reason: Code


@message("dispute")
class Dispute(PairStatement):
    """A requester tells a worker that an item of its result is wrong, and what it found instead."""

    requester: Key
    worker: Key
    incarnation: Incarnation
    order: Digest
    result: Digest
    item: ItemIndex
    found: Digest
    error: Tolerance
    reason: Code


@message("evidence")
class Evidence(PairStatement):
    """Proof for third parties that a worker signed a wrong item: they re-execute, then believe.

    `order`, `accept` and `result` are the sealed statements; the two paths lead from the
    item to `input_root` and `output_root`. The salts belong to this one item, so nothing
    about the other items of the order can be guessed from it.
    """

    accuser: Key
    accused: Key
    incarnation: Incarnation
    order: Annotated[bytes, BytesCodec(65, 1024)]
    accept: Annotated[bytes, BytesCodec(65, 512)]
    result: Annotated[bytes, BytesCodec(65, 512)]
    item: ItemIndex
    input: Digest
    input_salt: Digest
    input_path: MerklePath
    output: Digest
    output_salt: Digest
    output_path: MerklePath
    error: Tolerance

    def broken_rule(self) -> str:
        """Paths are whole digests, and nobody accuses himself."""
        if len(self.input_path) % 32 or len(self.output_path) % 32:
            return "a Merkle path is a row of 32-byte digests"
        return PairStatement.broken_rule(self)
