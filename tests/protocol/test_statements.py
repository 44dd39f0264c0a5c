# SPDX-License-Identifier: MIT
"""What two nodes sign about work: which values a statement may have, and which it may not."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.canon import decode, encode
from protocol.errors import LocalProtocolError
from protocol.limits import (
    CALLS_PER_WINDOW_MAX,
    ITEMS_PER_ORDER_MAX,
    MERKLE_DEPTH_MAX,
    PRICE_MAX,
    TOLERANCE_MAX,
    TTL_S_MAX,
)
from protocol.sealed import Statement
from protocol.statements import (
    Accept,
    Cancel,
    Dispute,
    Evidence,
    Order,
    Refuse,
    Result,
    SessionOrder,
)

R, W, INC, D = b"r" * 32, b"w" * 32, b"i" * 8, b"d" * 32
ORDER = Order(R, W, INC, D, D, 0, b"", D, D, 8, 100, 1, 1, 10_000, 60, 1_700_000_000, 0)
SESSION = SessionOrder(R, W, INC, D, D, 0, b"", D, 16, 100, 1 << 20, 0, 1, 1, 10_000, 60, 1_700, 1)
ACCEPT = Accept(W, R, INC, D, 8, 100, 60, 1_700_000_000)
REFUSE = Refuse(W, R, INC, D, "busy", 60)
RESULT = Result(W, R, INC, D, 0, 8, 100, D, "cpu", 1, 1_700_000_000)
CANCEL = Cancel(R, W, INC, D, 3, "requester_cancelled")
DISPUTE = Dispute(R, W, INC, D, D, 3, D, 400_000, "result_wrong")
EVIDENCE = Evidence(R, W, INC, bytes(300), bytes(200), bytes(250), 3, D, D, D * 3, D, D, D * 3, 1)
EXAMPLES = [ORDER, SESSION, ACCEPT, REFUSE, RESULT, CANCEL, DISPUTE, EVIDENCE]


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: value.KIND)
def test_an_example_of_each_kind_is_valid_and_signed_by_who_says_it(value: Statement) -> None:
    assert decode(encode(value), type(value)) == value
    assert value.signer == (W if isinstance(value, Accept | Refuse | Result) else R)


@pytest.mark.parametrize(
    ("value", "other"),
    [(ORDER, "worker"), (SESSION, "worker"), (ACCEPT, "requester"), (EVIDENCE, "accused")],
    ids=lambda value: getattr(value, "KIND", value),
)
def test_nobody_makes_a_statement_to_itself(value: Any, other: str) -> None:
    broken = replace(value, **{other: value.signer})
    assert broken.broken_rule() == "both parties are the same node"
    with pytest.raises(LocalProtocolError, match="both parties are the same node"):
        encode(broken)


@pytest.mark.parametrize(
    ("value", "field", "least", "most"),
    [
        (ORDER, "items", 1, ITEMS_PER_ORDER_MAX),
        (ORDER, "price", 1, PRICE_MAX),
        (ORDER, "tolerance", 0, TOLERANCE_MAX),
        (ORDER, "ttl_s", 1, TTL_S_MAX),
        (ORDER, "comparator", 0, 3),
        (ORDER, "public", 0, 1),
        (SESSION, "window", 1, CALLS_PER_WINDOW_MAX),
        (SESSION, "window_price", 1, PRICE_MAX),
        (SESSION, "rent_per_s", 0, PRICE_MAX),
        (ACCEPT, "items", 0, ITEMS_PER_ORDER_MAX),
        (ACCEPT, "price", 0, PRICE_MAX),
        (ACCEPT, "hold_s", 1, TTL_S_MAX),
        (REFUSE, "retry_s", 0, TTL_S_MAX),
        (RESULT, "due", 0, PRICE_MAX),
        (RESULT, "last", 0, 1),
        (DISPUTE, "item", 0, ITEMS_PER_ORDER_MAX - 1),
        (DISPUTE, "error", 0, TOLERANCE_MAX),
        (EVIDENCE, "item", 0, ITEMS_PER_ORDER_MAX - 1),
    ],
    ids=lambda value: getattr(value, "KIND", value),
)
def test_a_number_stays_within_its_range(value: Any, field: str, least: int, most: int) -> None:
    for fine in (least, most):
        encode(replace(value, **{field: fine}))
    for wrong in (least - 1, most + 1):
        with pytest.raises(LocalProtocolError, match=f"{wrong} is not within {least}..{most}"):
            encode(replace(value, **{field: wrong}))


@pytest.mark.parametrize(("first", "through", "fine"), [(0, 1, True), (4, 4, False), (5, 4, False)])
def test_a_result_covers_at_least_one_item(first: int, through: int, fine: bool) -> None:
    rule = replace(RESULT, first=first, through=through).broken_rule()
    assert rule == ("" if fine else f"covers {first} up to {through}: nothing")


def test_an_adapter_is_a_digest_or_none() -> None:
    encode(replace(ORDER, adapter=D))
    with pytest.raises(LocalProtocolError, match="31 bytes"):
        encode(replace(ORDER, adapter=bytes(31)))


@pytest.mark.parametrize("value", [REFUSE, CANCEL, DISPUTE], ids=lambda value: value.KIND)
def test_a_reason_may_be_coined_by_a_newer_node_but_is_a_code(value: Any) -> None:
    assert decode(encode(replace(value, reason="coined_later")), type(value))
    with pytest.raises(LocalProtocolError, match="not of the form"):
        encode(replace(value, reason="Two words"))


@pytest.mark.parametrize("path", ["input_path", "output_path"])
@pytest.mark.parametrize(("size", "fine"), [(0, True), (31, False), (32, True), (512, True)])
def test_a_merkle_path_is_a_row_of_whole_digests(path: str, size: int, fine: bool) -> None:
    changed: dict[str, Any] = {path: bytes(size)}
    rule = replace(EVIDENCE, **changed).broken_rule()
    assert rule == ("" if fine else "a Merkle path is a row of 32-byte digests")


@pytest.mark.parametrize("path", ["input_path", "output_path"])
def test_a_merkle_path_is_no_deeper_than_the_tree_of_the_largest_order(path: str) -> None:
    deepest: dict[str, Any] = {path: D * MERKLE_DEPTH_MAX}
    encode(replace(EVIDENCE, **deepest))
    deeper: dict[str, Any] = {path: D * (MERKLE_DEPTH_MAX + 1)}
    with pytest.raises(LocalProtocolError, match="bytes are not within"):
        encode(replace(EVIDENCE, **deeper))
