# SPDX-License-Identifier: MIT
"""Where malformed bytes are fed to this package. Another reader has the same doors."""

from protocol.canon import decode
from protocol.channel import Channel, NoFrame
from protocol.cid import parse_cid
from protocol.hello import Hello, check_hello, check_membership
from protocol.invite import parse_invite
from protocol.keys import parse_peer_id
from protocol.merkle import check_path
from protocol.sealed import Statement, unseal
from protocol.shapes import Shapes, ShapeTable, check_order, check_session_order
from protocol.statements import Order, SessionOrder
from protocol.tensors import parse_tensor
from tests.vectors.plain import Plain, all_kinds


def _bytes(one: Plain, name: str = "bytes") -> bytes:
    if name != "bytes":
        return bytes.fromhex(one[name])
    said = bytes.fromhex(one["bytes"]) + bytes(one.get("zeros", 0))
    return said * int(one.get("times", 1))


def _statement(one: Plain) -> Statement:
    expected = []
    for kind in one["expected"]:
        cls = all_kinds()[kind]
        assert issubclass(cls, Statement)
        expected.append(cls)
    return unseal(_bytes(one), _bytes(one, "network"), *expected).value


def _stream(one: Plain) -> None:
    channel = Channel()
    channel.receive_data(_bytes(one))
    while not isinstance(channel.next_event(), NoFrame):
        pass


def _hello(one: Plain) -> None:
    hello = _statement(one)
    assert isinstance(hello, Hello)
    check_hello(
        hello,
        me=_bytes(one, "me"),
        peer=_bytes(one, "peer"),
        role=one["role"],
        network=_bytes(one, "network"),
    )


def _membership(one: Plain) -> None:
    hello = _statement(one)
    assert isinstance(hello, Hello)
    secrets = {one["secret_version"]: _bytes(one, "secret")}
    check_membership(hello, secrets, _bytes(one, "nonce"))


def _table(one: Plain) -> None:
    table = ShapeTable(decode(_bytes(one), Shapes))
    order = decode(_bytes(one, "order"), Order, SessionOrder)
    if isinstance(order, Order):
        check_order(table, order)
    else:
        assert isinstance(order, SessionOrder)
        check_session_order(table, order)


def feed(one: Plain) -> None:
    """Read one malformed vector; it must raise RemoteProtocolError."""
    match one["feed"]:
        case "statement":
            _statement(one)
        case "document":
            decode(_bytes(one), *(all_kinds()[kind] for kind in one["expected"]))
        case "stream":
            _stream(one)
        case "tensor":
            parse_tensor(_bytes(one))
        case "merkle_path":
            check_path(
                _bytes(one, "root"),
                one["count"],
                one["index"],
                _bytes(one, "leaf"),
                _bytes(one, "path"),
            )
        case "invite":
            parse_invite(one["text"], one["now_s"])
        case "peer_id":
            parse_peer_id(one["text"])
        case "cid":
            parse_cid(one["text"])
        case "hello":
            _hello(one)
        case "membership":
            _membership(one)
        case "table":
            _table(one)
        case door:
            raise AssertionError(f"no door {door!r}")
