# SPDX-License-Identifier: MIT
"""Invites: how a network is joined by copying a text. Connecting to it is not done here.

The text is `commons://` and then base32 in Crockford's alphabet, which has no I, L, O and U
to confuse with digits; case, white space and hyphens do not matter. The last eight
characters are a checksum of the rest, so a slip of the pen is told apart from an invite
that nobody knows.
"""

from hashlib import sha256
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated

from protocol.advert import Address
from protocol.canon import (
    BytesCodec,
    Message,
    NetworkId,
    TextCodec,
    Uint,
    decode,
    domain_tag,
    encode,
    message,
    values_of,
)
from protocol.errors import RemoteProtocolError
from protocol.hello import network_id
from protocol.limits import ADDRESSES_MAX, NAME_BYTES_MAX, PASTED_CHARACTERS_MAX
from protocol.reasons import Reason

SCHEME = "commons://"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHECKSUM_BYTES = 5
_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
# What people type when they read one character for another.
_LOOKALIKES = str.maketrans({"o": "0", "i": "1", "l": "1", "-": ""})


@message("invite")
class Invite(Message):
    """What a newcomer needs to find a network, and for a private one the secret to enter it.

    `expires_at_s` 0 means never. `secret_version` counts rotations of the secret.
    """

    network: NetworkId
    name: Annotated[str, TextCodec(NAME_BYTES_MAX, 1)]
    salt: Annotated[bytes, BytesCodec(16, 16)]
    secret_version: Uint
    secret: Annotated[bytes, BytesCodec(32, 32, or_empty=True)]
    expires_at_s: Uint
    bootstrap: Annotated[tuple[str, ...], values_of(Address, 0, ADDRESSES_MAX)]

    def broken_rule(self) -> str:
        """The network's id is the hash of its name and its founder's salt."""
        if self.network != network_id(self.name, self.salt):
            return "the network id does not belong to this name and salt"
        return "" if self.secret or not self.secret_version else "a version of no secret"


def format_invite(invite: Invite) -> str:
    """Write an invite as text, of at most INVITE_CHARACTERS_MAX whatever its fields say."""
    body = encode(invite)
    return SCHEME + _to_base32(body + _checksum(body))


def parse_invite(text: str, now_s: float) -> Invite:
    """Read an invite as a person pasted it; RemoteProtocolError says what is wrong with it."""
    if len(text) > PASTED_CHARACTERS_MAX:
        raise RemoteProtocolError(Reason.TOO_LARGE, f"an invite of {len(text)} characters")
    # Only ASCII capitals: the lower case of some other letters is ASCII too.
    compact = "".join(text.split()).translate(_SMALL)
    if not compact.startswith(SCHEME):
        raise RemoteProtocolError(
            Reason.INVITE_BROKEN, f"it begins with {text[:12]!r}, not {SCHEME!r}"
        )
    data = _from_base32(compact.removeprefix(SCHEME).translate(_LOOKALIKES))
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if _checksum(body) != checksum:
        raise RemoteProtocolError(Reason.INVITE_BROKEN, "its checksum does not match")
    invite = decode(body, Invite)
    if invite.expires_at_s and now_s >= invite.expires_at_s:
        raise RemoteProtocolError(
            Reason.EXPIRED, f"the invite ended {now_s - invite.expires_at_s:.0f} s ago"
        )
    return invite


def _checksum(body: bytes) -> bytes:
    return sha256(domain_tag("invite-text") + body).digest()[:_CHECKSUM_BYTES]


def _to_base32(data: bytes) -> str:
    bits = len(data) * 8
    pad = -bits % 5
    number = int.from_bytes(data, "big") << pad
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(bits + pad - 5, -1, -5))


def _from_base32(text: str) -> bytes:
    number = 0
    for place, character in enumerate(text):
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise RemoteProtocolError(
                Reason.INVITE_BROKEN,
                f"{character!r} at place {place + 1} does not occur in an invite",
            )
        number = number << 5 | digit
    size, pad = divmod(len(text) * 5, 8)
    if pad >= 5 or number & ((1 << pad) - 1):
        raise RemoteProtocolError(Reason.INVITE_BROKEN, "its last character is missing or wrong")
    return (number >> pad).to_bytes(size, "big")
