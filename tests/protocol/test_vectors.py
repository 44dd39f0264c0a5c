# SPDX-License-Identifier: MIT
"""The golden vectors: the bytes that other readers of the protocol rely on."""

import json
from typing import Any

import pytest

from protocol.canon import decode, encode
from protocol.channel import Channel, NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import FRAMES, parse_frame_header
from protocol.frames import decode as decode_frame
from protocol.frames import encode as encode_frame
from protocol.invite import format_invite, parse_invite
from protocol.keys import Keypair, parse_peer_id
from protocol.merkle import check_path, merkle_root
from protocol.reasons import Reason
from protocol.sealed import Statement, seal, unseal
from protocol.tensors import encode_tensor, parse_tensor, tensor_digest
from tests.vectors.feeds import feed
from tests.vectors.make import FAMILIES, path_of, text_of
from tests.vectors.plain import all_kinds, plain

CHANGED = """
docs/vectors/{family}.json is not what this code makes. A byte of the protocol changed, and nodes
that already run would not understand it: bump the version, or take the change back. Where only
vectors were added, write them with `python -m tests.vectors.make`.
"""


def vectors(family: str) -> Any:
    return json.loads(path_of(family).read_text(encoding="utf-8"))


def named(family: str, part: str = "") -> list[Any]:
    listed = vectors(family)[part] if part else vectors(family)
    return [pytest.param(one, id=one["name"]) for one in listed]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_byte_of_the_protocol_changes_unnoticed(family: str) -> None:
    if path_of(family).read_text(encoding="utf-8") != text_of(family):
        pytest.fail(CHANGED.format(family=family), pytrace=False)


@pytest.mark.parametrize("one", named("statements"))
def test_a_statement_reads_verifies_and_writes_back(one: Any) -> None:
    cls = all_kinds()[one["kind"]]
    assert issubclass(cls, Statement)
    network, wire = bytes.fromhex(one["network"]), bytes.fromhex(one["signature"] + one["body"])
    sealed = unseal(wire, network, cls)
    assert plain(sealed.value) == one["fields"]
    assert sealed.id.hex() == one["id"]
    assert encode(sealed.value).hex() == one["body"]
    assert seal(Keypair(bytes.fromhex(one["seed"])), network, sealed.value) == sealed


@pytest.mark.parametrize("one", named("documents"))
def test_a_document_reads_and_writes_back(one: Any) -> None:
    value = decode(bytes.fromhex(one["body"]), all_kinds()[one["kind"]])
    assert plain(value) == one["fields"]
    assert encode(value).hex() == one["body"]


@pytest.mark.parametrize("one", named("frames", "frames"))
def test_a_frame_reads_and_writes_back(one: Any) -> None:
    data = bytes.fromhex(one["frame"])
    cls, length = parse_frame_header(data)
    assert (cls.KIND, length) == (one["kind"], len(data) - 4)
    frame = decode_frame(cls, memoryview(data)[4:])
    assert plain(frame) == one["fields"]
    assert b"".join(bytes(part) for part in encode_frame(frame)) == data


@pytest.mark.parametrize("one", named("frames", "streams"))
def test_a_stream_reads_to_its_end(one: Any) -> None:
    channel, kinds = Channel(), []
    channel.receive_data(bytes.fromhex(one["stream"]))
    while not isinstance(event := channel.next_event(), NoFrame):
        kinds.append(event.KIND)
    channel.receive_eof()
    end = channel.next_event()
    assert isinstance(end, NoFrame)
    assert (kinds, end.name.lower()) == (one["kinds"], one["end"])


@pytest.mark.parametrize("one", named("tensors", "tensors"))
def test_a_tensor_reads_and_writes_back(one: Any) -> None:
    data = bytes.fromhex(one["bytes"])
    tensor = parse_tensor(data)
    assert [tensor.element, list(tensor.dims)] == [one["element"], one["dims"]]
    assert bytes(tensor.data).hex() == one["data"]
    assert encode_tensor(tensor) == data
    assert tensor_digest(tensor).hex() == one["digest"]


@pytest.mark.parametrize("one", named("merkle", "trees"))
def test_every_path_leads_to_the_root(one: Any) -> None:
    leaves, root = [bytes.fromhex(leaf) for leaf in one["leaves"]], bytes.fromhex(one["root"])
    assert merkle_root(leaves) == root
    for index, path in enumerate(one["paths"]):
        check_path(root, len(leaves), index, leaves[index], bytes.fromhex(path))


def test_names_are_read_as_they_are_written() -> None:
    names = vectors("names")
    for one in names["peers"]:
        assert parse_peer_id(one["peer_id"]).hex() == one["key"]
    for one in names["invites"]:
        for text in (one["text"], *one["spellings"]):
            invite = parse_invite(text, one["now_s"])
            assert plain(invite) == one["fields"]
            assert format_invite(invite) == one["text"]


@pytest.mark.parametrize("one", named("malformed"))
def test_what_is_malformed_is_refused_for_its_reason(one: Any) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        feed(one)
    assert refusal.value.reason is Reason(one["reason"])


def test_no_kind_is_without_a_vector() -> None:
    statements = {one["kind"] for one in vectors("statements")}
    documents = {one["kind"] for one in vectors("documents")}
    kinds = all_kinds()
    assert statements == {kind for kind, cls in kinds.items() if issubclass(cls, Statement)}
    assert documents == kinds.keys() - statements
    assert {one["kind"] for one in vectors("frames")["frames"]} == set(FRAMES)


def test_enough_is_refused() -> None:
    reasons = [one["reason"] for one in vectors("malformed")]
    assert len(reasons) >= 400
    assert len(set(reasons)) >= 15
