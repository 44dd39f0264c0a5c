# SPDX-License-Identifier: MIT
"""Messages spelled in other ways, out of their bounds, or with lists in disorder.

What is wrong between fields is in `rules`, with signatures in `forged`, with frames in `torn`.
"""

from collections.abc import Iterator
from typing import Any

from protocol.canon import encode
from protocol.sealed import Statement
from tests.vectors.people import digest
from tests.vectors.plain import Plain
from tests.vectors.said import (
    ACCEPT,
    ACK,
    ADVERT,
    CHEQUE,
    DISPUTE,
    EVIDENCE,
    FIRST_HELLO,
    LITTLE,
    MODELS,
    ORDER,
    QUERY,
    REFUND,
    REFUSE,
    RESULT,
    SESSION,
    SHAPES,
    SUMMARY,
    WANTED,
    R,
    W,
)
from tests.vectors.spell import Raw, array, body_with, document, signed

MALFORMED, NOT_CANONICAL = "malformed", "not_canonical"
TOO_LARGE, OUT_OF_RANGE = "too_large", "out_of_range"


def _raw(text: str) -> Raw:
    return Raw(bytes.fromhex(text))


# --- spellings of cells ---------------------------------------------------------------------------

# Each stands where an ack has its total, 5, and says what it is.
_TOTALS: dict[str, tuple[str, Any]] = {
    "five_in_uint8": (NOT_CANONICAL, _raw("cc05")),
    "five_in_uint16": (NOT_CANONICAL, _raw("cd0005")),
    "five_in_uint32": (NOT_CANONICAL, _raw("ce00000005")),
    "five_in_uint64": (NOT_CANONICAL, _raw("cf0000000000000005")),
    "five_in_int8": (NOT_CANONICAL, _raw("d005")),
    "five_in_int64": (NOT_CANONICAL, _raw("d30000000000000005")),
    "300_in_int16": (NOT_CANONICAL, _raw("d1012c")),
    "300_in_uint64": (NOT_CANONICAL, _raw("cf000000000000012c")),
    "float64": (MALFORMED, 5.0),
    "float32": (MALFORMED, _raw("ca40a00000")),
    "true": (MALFORMED, True),
    "false": (MALFORMED, False),
    "nil": (MALFORMED, None),
    "empty_map": (MALFORMED, {}),
    "map": (MALFORMED, {1: 2}),
    "extension_type": (MALFORMED, _raw("d40500")),
    "timestamp": (MALFORMED, _raw("d6ff00000005")),
    "nested_empty_array": (MALFORMED, []),
    "nested_array": (MALFORMED, [5]),
    "text_instead_of_number": (MALFORMED, "5"),
    "bytes_instead_of_number": (MALFORMED, b"\x05"),
    "minus_one": (OUT_OF_RANGE, -1),
    "2_to_the_63": (OUT_OF_RANGE, 2**63),
    "2_to_the_64_less_1": (OUT_OF_RANGE, 2**64 - 1),
    "zero_where_one_is_least": (OUT_OF_RANGE, 0),
    "byte_that_msgpack_does_not_use": (MALFORMED, _raw("c1")),
}


def spellings() -> Iterator[Plain]:
    """One message, written in many ways that are not the one way."""
    yield from (
        signed(f"ack_{n}", r, ACK, body_with(ACK, total=v)) for n, (r, v) in _TOTALS.items()
    )
    body = encode(ACK)
    rest = body[1:]
    changed: list[tuple[str, str, bytes]] = [
        ("array16_for_seven_cells", NOT_CANONICAL, bytes.fromhex("dc0007") + rest),
        ("array32_for_seven_cells", NOT_CANONICAL, bytes.fromhex("dd00000007") + rest),
        ("a_digest_in_bin16", NOT_CANONICAL, _spelled(ACK, "statement", "c50020")),
        ("a_digest_in_bin32", NOT_CANONICAL, _spelled(ACK, "statement", "c600000020")),
        ("kind_in_str8", NOT_CANONICAL, body_with(ACK, head_kind=Raw(_raw("d903") + b"ack"))),
        ("kind_in_str16", NOT_CANONICAL, body_with(ACK, head_kind=Raw(_raw("da0003") + b"ack"))),
        ("version_in_uint8", NOT_CANONICAL, body_with(ACK, head_version=_raw("cc01"))),
        ("a_digest_as_str", MALFORMED, body_with(ACK, statement=Raw(_raw("d920") + b"x" * 32))),
        ("number_instead_of_digest", MALFORMED, body_with(ACK, statement=5)),
        ("nil_instead_of_digest", MALFORMED, body_with(ACK, statement=None)),
        ("kind_as_bin", MALFORMED, body_with(ACK, head_kind=b"ack")),
        ("kind_is_no_utf8", MALFORMED, body_with(ACK, head_kind=_raw("a3ff636b"))),
        ("kind_in_capitals", "unknown_kind", body_with(ACK, head_kind="ACK")),
        ("unknown_kind", "unknown_kind", body_with(ACK, head_kind="nack")),
        ("kind_of_another_message", "unknown_kind", body_with(ACK, head_kind="cheque")),
        ("version_0", "unknown_version", body_with(ACK, head_version=0)),
        ("version_2", "unknown_version", body_with(ACK, head_version=2)),
        ("version_as_bytes", "unknown_version", body_with(ACK, head_version=b"\x01")),
        ("version_true", "unknown_version", body_with(ACK, head_version=True)),
        ("trailing_byte", MALFORMED, body + b"\0"),
        ("truncated_by_a_byte", MALFORMED, body[:-1]),
        ("truncated_in_a_digest", MALFORMED, body[:50]),
        ("a_field_too_few", MALFORMED, array(["ack", 1, W, R, bytes(8), digest("x")])),
        ("a_field_too_many", MALFORMED, array(["ack", 1, W, R, bytes(8), digest("x"), 5, 5])),
        ("nothing_but_kind_and_version", MALFORMED, array(["ack", 1])),
        ("nothing_but_kind", MALFORMED, array(["ack"])),
        ("an_empty_array", MALFORMED, array([])),
        ("65_cells", MALFORMED, array([*["ack", 1], *[0] * 63])),
        ("a_map", MALFORMED, b"\x81\xa3ack\x01"),
        ("a_number", MALFORMED, b"\x05"),
        ("a_byte_string", MALFORMED, b"\xc4\x01\x05"),
        ("a_key_of_31_bytes", MALFORMED, body_with(ACK, debtor=R[:31])),
        ("a_key_of_33_bytes", MALFORMED, body_with(ACK, debtor=R + b"\0")),
        ("an_empty_key", MALFORMED, body_with(ACK, debtor=b"")),
        ("an_incarnation_of_7_bytes", MALFORMED, body_with(ACK, incarnation=bytes(7))),
        ("an_incarnation_of_9_bytes", MALFORMED, body_with(ACK, incarnation=bytes(9))),
    ]
    yield from (signed(f"ack_{n}", r, ACK, b) for n, r, b in changed)
    short = signed("", MALFORMED, ACK, body)["bytes"]
    for name, size in (("no_body", 64), ("a_cut_signature", 63), ("nothing", 0)):
        cut = signed(f"ack_{name}", MALFORMED, ACK, body)
        yield cut | {"bytes": short[: 2 * size]}
    yield signed("ack_over_4096_bytes", TOO_LARGE, ACK, body) | {"zeros": 4097 - len(body)}


def _spelled(value: Statement, name: str, head: str) -> bytes:
    """Write one field as bytes under a longer head."""
    return body_with(value, **{name: Raw(bytes.fromhex(head) + getattr(value, name))})


# --- bounds of fields -----------------------------------------------------------------------------

_BOUNDS: list[tuple[Statement, str, object]] = [
    (ORDER, "items", 0),
    (ORDER, "items", 65_537),
    (ORDER, "price", 0),
    (ORDER, "price", 10**12 + 1),
    (ORDER, "stage", 257),
    (ORDER, "adapter", b"\0"),
    (ORDER, "nonce", bytes(31)),
    (ORDER, "comparator", 4),
    (ORDER, "tolerance", 10**9 + 1),
    (ORDER, "ttl_s", 0),
    (ORDER, "ttl_s", 7 * 86_400 + 1),
    (ORDER, "public", 2),
    (SESSION, "window", 0),
    (SESSION, "window", 4097),
    (SESSION, "window_price", 0),
    (ACCEPT, "price", 10**12 + 1),
    (REFUSE, "retry_s", 7 * 86_400 + 1),
    (REFUSE, "reason", b"x"),
    (REFUSE, "reason", b"x" * 41),
    (REFUSE, "reason", b"Busy"),
    (REFUSE, "reason", b"not-so"),
    (REFUSE, "reason", b"1st"),
    (REFUSE, "reason", b"busy\n"),
    (RESULT, "last", 2),
    (RESULT, "environment", b"x" * 65),
    (DISPUTE, "item", 65_536),
    (DISPUTE, "error", 10**9 + 1),
    (EVIDENCE, "accept", bytes(64)),
    (EVIDENCE, "accept", bytes(513)),
    (EVIDENCE, "input_path", bytes(32 * 17)),
    (ADVERT, "ttl_s", 12 * 3600 + 1),
    (ADVERT, "cores", 0),
    (ADVERT, "cores", 65_537),
    (ADVERT, "gift", 3),
    (ADVERT, "reach", 4),
    (ADVERT, "extension", bytes(513)),
    (FIRST_HELLO, "network", bytes(15)),
    (FIRST_HELLO, "role", 2),
    (FIRST_HELLO, "speaks_low", 0),
    (FIRST_HELLO, "proof", bytes(31)),
    (FIRST_HELLO, "answers", bytes(33)),
    (FIRST_HELLO, "advert", bytes(64)),
]

# Each stands where a result names its environment.
_TEXTS = {
    "no_utf8": "ff",
    "overlong_utf8": "c081",
    "cut_utf8": "c3",
    "a_surrogate": "eda080",
    "beyond_the_last_character": "f4908080",
    "a_newline": "610a62",
    "a_zero": "6100",
    "a_tab": "09",
    "a_delete": "7f",
    "a_c1_control": "c285",
    "a_line_separator": "e280a8",
    "a_paragraph_separator": "e280a9",
    "an_embedding": "e280aa",
    "a_right_to_left_override": "61e280ae62",
    "an_isolate": "e281a6",
    "the_last_isolate": "e281a9",
    "a_byte_order_mark": "efbbbf61",
    "an_arabic_letter_mark": "d89c",
    "a_space_of_no_width": "e2808b",
    "a_right_to_left_mark": "e2808f",
    "a_word_joiner": "e281a0",
}


def fields() -> Iterator[Plain]:
    """Fields outside their bounds, and texts that deceive."""
    for value, name, cell in _BOUNDS:
        shown = f"{len(cell)}_bytes" if isinstance(cell, bytes) else cell
        if name == "reason":
            shown = cell.decode().strip() if isinstance(cell, bytes) else cell
        title = f"{value.KIND}_{name}_{shown}"
        reason = OUT_OF_RANGE if isinstance(cell, int) else MALFORMED
        yield signed(title, reason, value, body_with(value, **{name: cell}))
    for name, text in _TEXTS.items():
        body = body_with(RESULT, environment=bytes.fromhex(text))
        yield signed(f"text_with_{name}", MALFORMED, RESULT, body)
    for name, unit in (("empty", Raw(b"\xc4\0")), ("with_a_direction", "/ip4/\u202e".encode())):
        listed = array([unit])
        body = body_with(ADVERT, addresses=listed)
        yield signed(f"advert_address_{name}", MALFORMED, ADVERT, body)


# --- lists ----------------------------------------------------------------------------------------


def lists() -> Iterator[Plain]:
    """Lists that are not the one way to write their rows."""
    order, models = CHEQUE.payments[0].order, [cell for m in MODELS for cell in (m.model, m.warm)]
    payments: list[tuple[str, str, object]] = [
        ("empty_list", MALFORMED, array([])),
        ("list_of_no_bytes", MALFORMED, b""),
        ("incomplete_row", MALFORMED, array([order, 5])),
        ("row_and_a_half", MALFORMED, array([order, 5, 9, order])),
        ("list_as_nested_array", MALFORMED, [order, 5, 9]),
        ("row_as_nested_array", MALFORMED, array([[order, 5, 9]])),
        ("list_is_a_number", MALFORMED, 5),
        ("list_is_a_map", MALFORMED, b"\x80"),
        ("byte_behind_the_list", MALFORMED, array([order, 5, 9]) + b"\0"),
        ("cut_list", MALFORMED, array([order, 5, 9])[:-1]),
        ("float_in_a_list", MALFORMED, array([order, 5.0, 9])),
        ("text_in_a_list", MALFORMED, array(["x" * 32, 5, 9])),
        ("zero_in_a_list", OUT_OF_RANGE, array([order, 0, 9])),
        ("long_number_in_a_list", NOT_CANONICAL, array([order, _raw("cc05"), 9])),
        ("long_digest_in_a_list", NOT_CANONICAL, array([Raw(b"\xc5\0\x20" + order), 5, 9])),
        ("long_head_of_a_list", NOT_CANONICAL, b"\xdc\0\3" + array([order, 5, 9])[1:]),
    ]
    yield from (
        signed(f"cheque_{n}", r, CHEQUE, body_with(CHEQUE, payments=c)) for n, r, c in payments
    )
    refunds = array([cell for line in range(9) for cell in (digest(str(line)), 1)])
    yield signed("refund_of_nine_lines", MALFORMED, REFUND, body_with(REFUND, refunds=refunds))
    swapped = array(models[2:] + models[:2])
    yield signed("advert_models_descend", MALFORMED, ADVERT, body_with(ADVERT, models=swapped))
    doubled = array(models[:2] * 2)
    yield signed("advert_model_repeated", MALFORMED, ADVERT, body_with(ADVERT, models=doubled))
    addresses = array([b"/ip4/192.0.2.7"] * 9)
    yield signed(
        "advert_of_nine_addresses", MALFORMED, ADVERT, body_with(ADVERT, addresses=addresses)
    )
    wanted = [
        ("nobody", []),
        ("descending", [R, W] if R > W else [W, R]),
        ("one_node_twice", [R, R]),
        ("a_short_key", [R[:31]]),
    ]
    for name, nodes in wanted:
        yield document(f"wanted_{name}", MALFORMED, "wanted", body_with(WANTED, nodes=array(nodes)))
    for name, numbers in (("cut", [2, 1]), ("rank_17", [17, *[1] * 17]), ("huge", [1, 2**33 + 1])):
        rows = array([3, 900, array(numbers)])
        reason = OUT_OF_RANGE if name == "huge" else MALFORMED
        title = f"shapes_of_a_{name}_shape"
        yield document(title, reason, "shapes", body_with(SHAPES, rows=rows))
    rows = array([3, 900, array([1, _raw("cc05")])])
    yield document("shapes_of_a_long_number", NOT_CANONICAL, "shapes", body_with(SHAPES, rows=rows))
    names = array([b"\xf0\x9f\x98\x80", digest("x"), 1, "\ue000".encode(), digest("x"), 1])
    body = body_with(LITTLE, tensors=names)
    yield document("manifest_tensors_in_order_of_utf16", MALFORMED, "manifest", body)
    for element in (0, 29):
        ports = array([0, 0, element, 0, b"x", 0, 1, 1, 0, b"y"])
        body = body_with(LITTLE, ports=ports)
        yield document(f"manifest_element_type_{element}", OUT_OF_RANGE, "manifest", body)
    powers = array([0, 0, bytes(9), 5])
    body = body_with(LITTLE, terms=powers)
    yield document("manifest_term_of_degree_9", MALFORMED, "manifest", body)
    yield document("query_for_no_answers", OUT_OF_RANGE, "query", body_with(QUERY, most=0))
    yield document("query_for_17_answers", OUT_OF_RANGE, "query", body_with(QUERY, most=17))
    yield document("query_id_of_15_bytes", MALFORMED, "query", body_with(QUERY, id=bytes(15)))
    yield document("wanted_fed_to_summary", "unknown_kind", "summary", encode(WANTED))
    big = document("summary_over_32768_bytes", TOO_LARGE, "summary", encode(SUMMARY))
    yield big | {"zeros": 32_769 - len(encode(SUMMARY))}
