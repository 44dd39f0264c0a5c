# SPDX-License-Identifier: MIT
"""Signed statements as bytes. What a statement says is not looked at here.

On the wire a statement is its 64-byte signature followed by its body. The signature covers
domain tag, network id and the body **as received**: nothing is ever encoded again to be
verified. The id of a statement is the hash of the same string, without the signature,
because the owner of a key can make many signatures of one body.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar, overload

from protocol.canon import Key, Message, decode, domain_tag, encode
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import SIGNATURE_BYTES, Keypair, verify
from protocol.reasons import Reason


class Statement(Message):
    """Base of all signed messages. The first field of each is the key of its signer."""

    __slots__ = ()

    @property
    def signer(self) -> bytes:
        """The key that must have signed."""
        key: bytes = type(self).CELLS(self)[0]
        return key


class PairStatement(Statement):
    """Base of the statements between two parties: the first two fields are their keys."""

    __slots__ = ()

    def broken_rule(self) -> str:
        """A node has nothing to settle with itself."""
        one, other = type(self).CELLS(self)[:2]
        return "both parties are the same node" if one == other else ""


StatementT = TypeVar("StatementT", bound=Statement)
One = TypeVar("One", bound=Statement)
Two = TypeVar("Two", bound=Statement)
StatementT_co = TypeVar("StatementT_co", bound=Statement, covariant=True)


@dataclass(frozen=True, slots=True)
class Sealed(Generic[StatementT_co]):
    """A statement whose signature was checked, with the very bytes that were signed."""

    value: StatementT_co
    body: bytes
    signature: bytes
    id: Key

    @property
    def wire(self) -> bytes:
        """The bytes to send, store and forward."""
        return self.signature + self.body


def seal(keypair: Keypair, network: bytes, statement: StatementT) -> Sealed[StatementT]:
    """Sign a statement for one network."""
    if statement.signer != keypair.public:
        raise LocalProtocolError(f"{statement.KIND}: the first field must be the signer's own key")
    body = encode(statement)
    signed = domain_tag(statement.KIND) + network + body
    return Sealed(statement, body, keypair.sign(signed), sha256(signed).digest())


@overload
def unseal(wire: bytes, network: bytes, one: type[One], /) -> Sealed[One]: ...
@overload
def unseal(wire: bytes, network: bytes, one: type[One], two: type[Two], /) -> Sealed[One | Two]: ...
@overload
def unseal(
    wire: bytes, network: bytes, one: type[Statement], /, *more: type[Statement]
) -> Sealed[Statement]: ...
def unseal(wire: bytes, network: bytes, /, *expected: type[Statement]) -> Sealed[Any]:
    """Read and verify a statement of an expected class, or raise RemoteProtocolError."""
    if len(wire) <= SIGNATURE_BYTES:
        raise RemoteProtocolError(Reason.MALFORMED, f"a statement of {len(wire)} bytes has no body")
    signature, body = wire[:SIGNATURE_BYTES], wire[SIGNATURE_BYTES:]
    value = decode(body, *expected)
    signed = domain_tag(value.KIND) + network + body
    verify(value.signer, signature, signed)
    return Sealed(value, body, signature, sha256(signed).digest())
