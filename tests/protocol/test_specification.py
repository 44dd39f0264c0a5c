# SPDX-License-Identifier: MIT
"""Every block of bytes in docs/design/protocol.md means what the text around it says."""

import re
import struct

import pytest

from protocol.cheque import Cheque, Payment
from protocol.frames import HEADER_BYTES, Ping, TensorData, TensorStart, decode, parse_frame_header
from protocol.hello import network_id
from protocol.invite import parse_invite
from protocol.keys import Keypair, peer_id
from protocol.merkle import INPUT, check_path, leaf, leaf_salt
from protocol.sealed import unseal
from protocol.tensors import ElementType, Tensor, encode_tensor, item_digest, parse_tensor
from tests.tree import ROOT

SPECIFICATION = (ROOT / "docs" / "design" / "protocol.md").read_text(encoding="utf-8")
NETWORK = network_id("town library", bytes(range(16)))
ANN, BOB = Keypair(bytes([1]) * 32), Keypair(bytes([2]) * 32)
TENSOR = Tensor(ElementType.FLOAT, (2,), struct.pack("<2f", 1.0, -2.5))


def block(name: str) -> bytes:
    """The bytes of one block, without its comments."""
    (text,) = re.findall(rf"```hex {name}\n(.*?)```", SPECIFICATION, flags=re.DOTALL)
    return bytes.fromhex(re.sub(r"#.*", "", text))


def test_every_block_of_hex_has_its_test() -> None:
    """A new block needs a line here."""
    names = set(re.findall(r"```hex (\S+)", SPECIFICATION))
    assert names == {
        "key",
        "network",
        "cheque",
        "cheque-id",
        "tensor",
        "leaf",
        "root",
        "path-0",
        "path-2",
        "frame-tensor-start",
        "frame-tensor-data",
        "frame-ping",
    }  # fmt: skip - names, not lines


def test_the_key_and_the_network_are_what_they_are_made_of() -> None:
    assert block("key") == ANN.public
    assert peer_id(ANN.public) in SPECIFICATION
    assert block("network") == NETWORK


def test_the_cheque_says_what_the_comments_say() -> None:
    sealed = unseal(block("cheque"), NETWORK, Cheque)
    assert sealed.value == Cheque(
        debtor=ANN.public,
        creditor=BOB.public,
        incarnation=bytes(range(8)),
        total=1000,
        payments=(Payment(order=bytes([7]) * 32, through=20, amount=60),),
    )
    assert sealed.id == block("cheque-id")


def test_the_tensor_holds_the_two_numbers() -> None:
    parsed = parse_tensor(block("tensor"))
    assert (parsed.element, parsed.dims, bytes(parsed.data)) == (
        TENSOR.element,
        TENSOR.dims,
        TENSOR.data,
    )
    assert encode_tensor(TENSOR) == block("tensor")


@pytest.mark.parametrize("item", [0, 2])
def test_the_paths_lead_to_the_root(item: int) -> None:
    salt = leaf_salt(bytes([9]) * 32, INPUT, item)
    low = leaf(item, salt, item_digest([TENSOR]))
    assert item or low == block("leaf")
    check_path(block("root"), 3, item, low, block(f"path-{item}"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("frame-tensor-start", TensorStart(3, 0, TENSOR.header)),
        ("frame-tensor-data", TensorData(TENSOR.data)),
        ("frame-ping", Ping(5)),
    ],
)
def test_the_frames_are_what_they_are_called(name: str, expected: object) -> None:
    data = block(name)
    kind, length = parse_frame_header(data)
    assert length == len(data) - HEADER_BYTES
    assert decode(kind, memoryview(data)[HEADER_BYTES:]) == expected


def test_the_invite_can_be_joined() -> None:
    (text,) = re.findall(r"```text invite\n(.*?)\n```", SPECIFICATION)
    invite = parse_invite(text, 0)
    assert (invite.network, invite.name) == (NETWORK, "town library")
    assert invite.bootstrap == ("/ip4/127.0.0.1/tcp/4001",)
