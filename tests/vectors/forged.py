# SPDX-License-Identifier: MIT
"""Signatures that prove nothing, and statements that belong somewhere else."""

from collections.abc import Iterator
from dataclasses import replace

from protocol.canon import Message, encode
from protocol.hello import membership_proof
from protocol.keys import _GROUP_ORDER, LOW_ORDER_KEYS
from protocol.shapes import Shapes, ShapeTable
from tests.vectors.people import REQUESTER, SECRET, digest
from tests.vectors.plain import Plain
from tests.vectors.said import (
    ACK,
    CALLS,
    CANCEL,
    CHEQUE,
    FIRST_HELLO,
    ORDER,
    SECOND_HELLO,
    SESSION,
    SHAPES,
    R,
    W,
    sealed,
)
from tests.vectors.spell import Raw, array, body_with, signed

OUT_OF_RANGE, BAD_SIGNATURE, WEAK_KEY = "out_of_range", "bad_signature", "weak_key"

# --- keys and signatures --------------------------------------------------------------------------

_PRIME = 2**255 - 19


def _key(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def signatures() -> Iterator[Plain]:
    """Signatures that prove nothing, or something else."""
    body = encode(ACK)
    good = bytes.fromhex(signed("", "", ACK, body)["bytes"])
    point, scalar = good[:32], int.from_bytes(good[32:64], "little")
    flipped = bytes([good[0] ^ 1]) + good[1:64]
    forged: dict[str, bytes] = {
        "s_plus_the_group_order": point + (scalar + _GROUP_ORDER).to_bytes(32, "little"),
        "s_is_the_group_order": point + _GROUP_ORDER.to_bytes(32, "little"),
        "s_with_its_highest_bit": point + (scalar | 1 << 255).to_bytes(32, "little"),
        "another_point": flipped,
        "zeros": bytes(64),
        "a_point_that_is_none": _key(_PRIME + 1) + good[32:64],
    }
    for name, signature in forged.items():
        one = signed(f"signature_{name}", BAD_SIGNATURE, ACK, body)
        yield one | {"bytes": (signature + body).hex()}
    changed = signed("signature_of_another_total", BAD_SIGNATURE, ACK, body)
    other = encode(replace(ACK, total=ACK.total + 1))
    yield changed | {"bytes": (good[:64] + other).hex()}
    yield signed("signature_for_another_network", BAD_SIGNATURE, ACK, body, network=bytes(16))
    yield signed("signature_as_another_kind", BAD_SIGNATURE, ACK, body, kind="cheque")
    yield signed("signature_of_the_other_party", BAD_SIGNATURE, ACK, body, keypair=REQUESTER)
    cancelled = encode(CANCEL)
    yield signed("ack_got_a_cancel", "unknown_kind", CANCEL, cancelled, expected="ack")
    # R is the neutral element and S is 0: a careless reader accepts this for the key of order 1.
    forged_signature = _key(1) + bytes(32)
    keys = [(f"weak_key_{key.hex()[:8]}_{key.hex()[-2:]}", key) for key in sorted(LOW_ORDER_KEYS)]
    keys += [
        ("weak_key_y_is_p_plus_3", _key(_PRIME + 3)),
        ("weak_key_y_is_p_plus_3_signed", _key(_PRIME + 3, 1)),
        ("weak_key_all_ones", b"\xff" * 32),
    ]
    for name, key in keys:
        one = signed(name, WEAK_KEY, ACK, body)
        weak = body_with(ACK, creditor=key)
        yield one | {"bytes": (forged_signature + weak).hex()}
    # No point of the curve has y = 2, so this key has no private half.
    off = signed("key_that_is_no_point", BAD_SIGNATURE, ACK, body)
    yield off | {"bytes": (forged_signature + body_with(ACK, creditor=_key(2))).hex()}


# --- two faults at once: which one is named ------------------------------------------------------


def precedence() -> Iterator[Plain]:
    """Readers look at length, cells, kind, version, fields, rules, spelling, signature, in turn."""
    body = encode(ACK)
    unsigned = {"bytes": (bytes(64) + body_with(ACK, total=0)).hex()}
    yield signed("first_fields_then_the_signature", OUT_OF_RANGE, ACK, body) | unsigned
    long_total = Raw(b"\xcc\x09")
    amount = array([digest("order"), 1, 10])
    yield signed(
        "first_rules_then_the_spelling",
        OUT_OF_RANGE,
        CHEQUE,
        body_with(CHEQUE, total=long_total, payments=amount),
    )
    long_amount = array([digest("order"), 1, Raw(b"\xcc\x0a")])
    yield signed(
        "first_the_spelling_of_lists_then_rules",
        "not_canonical",
        CHEQUE,
        body_with(CHEQUE, total=9, payments=long_amount),
    )
    yield signed(
        "first_the_kind_then_the_version",
        "unknown_kind",
        ACK,
        body_with(ACK, head_kind="nack", head_version=2),
    )
    yield signed(
        "first_the_version_then_fields",
        "unknown_version",
        ACK,
        body_with(ACK, head_version=2, total=0),
    )
    yield signed(
        "first_cells_then_the_kind",
        "malformed",
        ACK,
        body_with(ACK, head_kind="nack", total=Raw(b"\xc1")),
    )
    yield signed("first_the_length_then_cells", "too_large", ACK, body + b"\0") | {"zeros": 4096}
    weak = _key(1) + _GROUP_ORDER.to_bytes(32, "little") + body_with(ACK, creditor=_key(1))
    one = signed("first_the_scalar_then_the_key", BAD_SIGNATURE, ACK, body)
    yield one | {"bytes": weak.hex()}


# --- a statement against what else is known -------------------------------------------------------


def meetings() -> Iterator[Plain]:
    """Hellos that are well-formed and do not belong to this connection, network or table."""
    wire = sealed(SECOND_HELLO).wire.hex()
    network, own = SECOND_HELLO.network.hex(), {"expected": ["hello"], "feed": "hello"}
    base = own | {"bytes": wire, "network": network, "me": W.hex(), "peer": R.hex(), "role": 0}
    party = {"reason": "wrong_party"}
    yield base | party | {"name": "hello_to_another_node", "me": digest("me").hex()}
    yield base | party | {"name": "hello_from_another_node", "peer": W.hex()}
    yield base | party | {"name": "hello_in_the_other_role", "role": 1}
    newer = sealed(replace(FIRST_HELLO, speaks_low=2, speaks_high=3)).wire.hex()
    yield base | {
        "name": "hello_of_a_newer_node", "reason": "unknown_version", "bytes": newer
    }  # fmt: skip
    stray = sealed(replace(FIRST_HELLO, network=bytes(16))).wire.hex()
    yield base | {"name": "hello_of_another_network", "reason": "other_network", "bytes": stray}
    member = {
        "expected": ["hello"],
        "feed": "membership",
        "reason": "not_a_member",
        "bytes": wire,
        "network": network,
        "secret": bytes(range(100, 132)).hex(),
        "secret_version": 3,
        "nonce": digest("listener").hex(),
    }
    yield member | {"name": "proof_under_another_secret", "secret": bytes(32).hex()}
    yield member | {"name": "proof_under_an_unknown_version", "secret_version": 4}
    yield member | {"name": "proof_of_another_nonce", "nonce": digest("old").hex()}
    renamed = replace(SECOND_HELLO, answers=digest("old"))
    renamed = replace(renamed, proof=membership_proof(SECRET, renamed, digest("listener")))
    yield member | {"name": "proof_beside_another_nonce", "bytes": sealed(renamed).wire.hex()}
    mirrored = sealed(replace(SECOND_HELLO, role=1)).wire.hex()
    yield member | {"name": "proof_mirrored", "bytes": mirrored}
    tables: list[tuple[str, str, Message, Shapes]] = [
        ("of_another_order", "bad_proof", ORDER, replace(SHAPES, rows=SHAPES.rows[::-1])),
        ("of_fewer_items", OUT_OF_RANGE, replace(ORDER, items=6), SHAPES),
        ("of_another_price", "price_differs", replace(ORDER, price=142_701), SHAPES),
        ("of_another_session", "bad_proof", SESSION, SHAPES),
        ("of_another_window_price", "price_differs", replace(SESSION, window=15), CALLS),
    ]
    others = {
        "with_kinds_in_another_order": Shapes(CALLS.rows[::-1]),
        "with_two_of_a_kind": Shapes((replace(CALLS.rows[0], count=2), *CALLS.rows[1:])),
        "with_two_prices_for_a_kind": Shapes(
            (*CALLS.rows[:2], replace(CALLS.rows[2], shape=CALLS.rows[0].shape))
        ),
    }
    for name, shapes in others.items():
        session = replace(SESSION, shape_root=ShapeTable(shapes).root)
        tables.append((f"of_a_session_{name}", OUT_OF_RANGE, session, shapes))
    for name, reason, order, shapes in tables:
        yield {
            "name": f"table_{name}",
            "feed": "table",
            "reason": reason,
            "bytes": encode(shapes).hex(),
            "order": encode(order).hex(),
        }
