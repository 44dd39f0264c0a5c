# SPDX-License-Identifier: MIT
"""One network that this node knows, and how its file is written. Which one is used: `networks`.

Reading is strict: a file that says something unknown was made by a newer program or by hand,
and guessing what it means could let strangers in, or keep friends out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from node.errors import ConfigError
from protocol.errors import RemoteProtocolError
from protocol.hello import network_id
from protocol.keys import parse_peer_id
from protocol.limits import ADDRESS_BYTES_MAX, NAME_BYTES_MAX, UINT_MAX

VERSION = 1
SALT_BYTES = 16
SECRET_BYTES = 32

#: A rotation a month, each kept for a year, and some more; each costs a member nothing.
SECRETS_MAX = 16

#: What some invites brought; more would only be tried in vain.
BOOTSTRAP_MAX = 32

#: The longest file: sixteen secrets and 32 addresses, with room for indentation.
FILE_BYTES_MAX = 1 << 16

_KEYS = ("version", "name", "salt", "secrets", "bootstrap")
_ADDRESS = re.compile(
    r"/(ip4|ip6|dns|dns4|dns6)/[A-Za-z0-9.:-]{1,200}/tcp/([0-9]{1,5})/p2p/([A-Za-z0-9]{40,64})"
)


@dataclass(frozen=True, slots=True)
class Network:
    """A network: its name and its founder's salt make its id; secrets make it private.

    `secrets` has each version that is valid; members prove the newest one and accept all.
    `bootstrap` are addresses that end in `/p2p/` and a peer id, best first.
    """

    name: str
    salt: bytes
    secrets: Mapping[int, bytes] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )
    bootstrap: tuple[str, ...] = ()

    @property
    def id(self) -> bytes:
        """The 16 bytes that name the network in every statement."""
        return network_id(self.name, self.salt)

    @property
    def is_private(self) -> bool:
        """Whether only those who know a secret come in."""
        return bool(self.secrets)

    @property
    def newest(self) -> int:
        """The version of the secret that is shown to others; 0 in an open network."""
        return max(self.secrets, default=0)


#: The open network of those who have joined no other. Its salt is fixed, so all find the same one.
COMMONS = Network("commons", b"compute commons.")


def parse_bootstrap(address: str) -> tuple[bytes, str] | None:
    """Give the key of whom an address leads to, and the address; None where it leads nowhere."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65535 or len(address.encode()) > ADDRESS_BYTES_MAX:
        return None
    try:
        return parse_peer_id(match[3]), address
    except RemoteProtocolError:
        return None


def trouble_with_name(name: str) -> str:
    """Say what is wrong with the name of a network; empty when it is a good one."""
    if not name or len(name.encode(errors="replace")) > NAME_BYTES_MAX:
        return f"a name has 1 to {NAME_BYTES_MAX} bytes"
    if not name.isprintable() or name != name.strip():
        return "a name is one line of text, without spaces around it"
    return ""


def to_json(network: Network) -> bytes:
    """Write the file of a network."""
    document = {
        "version": VERSION,
        "name": network.name,
        "salt": network.salt.hex(),
        "secrets": {str(version): secret.hex() for version, secret in network.secrets.items()},
        "bootstrap": list(network.bootstrap),
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def from_json(path: Path, data: bytes) -> Network:
    """Read the file of a network, which is named after its id; ConfigError says what is wrong."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON ({error}): {_MEND}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is no JSON object: {_MEND}")
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise ConfigError(f"{path} was written by a newer program (version {version}): update.")
    for key in (*_KEYS, *document):
        if key not in document or key not in _KEYS:
            what = "is missing" if key in _KEYS else "is unknown"
            raise ConfigError(f"{path}: the key `{key[:64]}` {what}: {_MEND}")
    _check(path, "version", version, type(version) is int and version == VERSION)
    name = document["name"]
    _check(path, "name", name, isinstance(name, str) and not trouble_with_name(name))
    salt = _hex(path, "salt", document["salt"], SALT_BYTES)
    network = Network(
        name, salt, _secrets(path, document["secrets"]), _bootstrap(path, document["bootstrap"])
    )
    if path.name != f"{network.id.hex()}.json":
        raise ConfigError(
            f"{path} is the file of network {network.id.hex()} by its name and salt: {_MEND}"
        )
    return network


_MEND = "put back a copy of it, or remove it and join the network with an invite again."


def _secrets(path: Path, value: object) -> Mapping[int, bytes]:
    found = isinstance(value, dict) and len(value) <= SECRETS_MAX
    _check(path, "secrets", value, found, secret=True)
    assert isinstance(value, dict)
    secrets: dict[int, bytes] = {}
    for version, text in value.items():
        fine = re.fullmatch(r"0|[1-9][0-9]{0,18}", version) is not None
        _check(path, "secrets", version, fine and int(version) <= UINT_MAX)
        secrets[int(version)] = _hex(path, f"secrets.{version}", text, SECRET_BYTES, secret=True)
    return MappingProxyType(secrets)


def _bootstrap(path: Path, value: object) -> tuple[str, ...]:
    _check(path, "bootstrap", value, isinstance(value, list) and len(value) <= BOOTSTRAP_MAX)
    assert isinstance(value, list)
    for address in value:
        fine = isinstance(address, str) and parse_bootstrap(address) is not None
        _check(path, "bootstrap", address, fine)
    return tuple(value)


def _hex(path: Path, key: str, value: object, size: int, *, secret: bool = False) -> bytes:
    fine = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", value) is not None
    _check(path, key, value, fine, secret=secret)
    return bytes.fromhex(str(value))


def _check(path: Path, key: str, value: Any, fine: bool, *, secret: bool = False) -> None:  # noqa: ANN401 - JSON has any
    if not fine:
        shown = "a wrong value" if secret else f"the value {json.dumps(value)[:80]}"
        raise ConfigError(f"{path}: the key `{key}` has {shown}: {_MEND}")
