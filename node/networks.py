# SPDX-License-Identifier: MIT
"""The networks that this node knows, and which one it uses. What a network's file says: `network`.

Each network has a file `state/networks/<id>.json`, and `active` has the id of the one in use.
Changes are made under a lock, so that a daemon and a command lose nothing of each other; reads
need none, since a file is replaced as a whole. A daemon that runs notices nothing by itself.

Who has joined no network uses the open one, `commons`, which needs no file.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from node.clock import Clock
from node.errors import ConfigError, NotFound
from node.network import BOOTSTRAP_MAX as BOOTSTRAP_MAX
from node.network import COMMONS as COMMONS
from node.network import (
    FILE_BYTES_MAX,
    SALT_BYTES,
    SECRET_BYTES,
    SECRETS_MAX,
    from_json,
    to_json,
    trouble_with_name,
)
from node.network import Network as Network
from node.network import parse_bootstrap as parse_bootstrap
from node.paths import Paths, make_private
from node.printable import printable
from node.private_file import MODE, read_private, remove_private, replace_private
from protocol.invite import Invite, format_invite
from protocol.limits import ADDRESSES_MAX

ACTIVE = "active"
LOCK = "lock"

#: One for each circle of people that a person belongs to; a command lists them on one screen.
NETWORKS_MAX = 64

#: Places of an invite that lead to others than its writer, if there are others.
OTHERS_KEPT = 3


class Networks:
    """The networks of one node, as they are on the disk at the moment of each question."""

    def __init__(self, paths: Paths, clock: Clock) -> None:
        """Look at nothing yet."""
        self.folder = paths.state / "networks"
        self._clock = clock

    # --- what there is ----------------------------------------------------------------------

    def active(self) -> Network:
        """Give the network that is used; the open one if none was chosen."""
        text = self._used()
        try:
            found = self._known(bytes.fromhex(text)) if len(text) == 32 else None
        except ValueError:
            found = None
        if found is None:
            raise ConfigError(
                f"{self.folder / ACTIVE} names the network {text[:64]!r}, which is not known: "
                f"choose one with `commons network use`, or remove the file."
            )
        return found

    def all(self) -> list[Network]:
        """Give every network that is known, by name; the open one is always among them."""
        found = {COMMONS.id: COMMONS}
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("*.json")):
                network = self._read(path)
                if network is not None:
                    found[network.id] = network
        return sorted(found.values(), key=lambda network: (network.name, network.id))

    def named(self, text: str) -> Network:
        """Find a network by its name, or by the beginning of its id; NotFound if not just one."""
        every = self.all()
        found = [network for network in every if text in (network.name, network.id.hex())]
        if not found and len(text) >= 4:
            found = [network for network in every if network.id.hex().startswith(text.lower())]
        if len(found) == 1:
            return found[0]
        rows = ", ".join(f"{printable(each.name)} ({each.id.hex()[:8]})" for each in found or every)
        what = "is the name of several" if found else "is none of the networks"
        raise NotFound(f"{printable(text)!r} {what} that this node knows: {rows}.")

    # --- what changes them ------------------------------------------------------------------

    def join(self, invite: Invite) -> Network:
        """Take an invite's network in and use it; one that is known keeps what it had."""
        if trouble := trouble_with_name(invite.name):
            raise ConfigError(f"the invite is for a network with a broken name: {trouble}.")
        with self._changing():
            known = self._known(invite.network)
            if known is None:
                self._check_room()
                known = Network(invite.name, invite.salt)
            secrets = dict(known.secrets)
            version = invite.secret_version
            if invite.secret and secrets.setdefault(version, invite.secret) != invite.secret:
                raise ConfigError(
                    f"version {version} of the secret of {printable(known.name)} is another one "
                    f"here: it was rotated on two nodes at a time. Rotate it once more on one of "
                    f"them, and join all others with an invite from there."
                )
            # A newer invite knows better where its network is now.
            usable = tuple(each for each in invite.bootstrap if parse_bootstrap(each))
            bootstrap = tuple(dict.fromkeys((*usable, *known.bootstrap)))[:BOOTSTRAP_MAX]
            network = replace(known, secrets=_few(known, secrets), bootstrap=bootstrap)
            self._write(network)
            self._choose(network.id)
        return network

    def found(self, name: str, private: bool) -> Network:
        """Found a network of this name, and use it; another one of the same name is not it."""
        if trouble := trouble_with_name(name):
            raise ConfigError(f"{printable(name)!r} cannot be the name of a network: {trouble}.")
        secrets = {1: self._clock.secret_bytes(SECRET_BYTES)} if private else {}
        network = Network(name, self._clock.secret_bytes(SALT_BYTES), MappingProxyType(secrets))
        with self._changing():
            self._check_room()
            self._write(network)
            self._choose(network.id)
        return network

    def use(self, network: bytes) -> Network:
        """Use another network that is known."""
        with self._changing():
            found = self._need(network)
            self._choose(network)
        return found

    def leave(self, network: bytes) -> Network:
        """Forget a network with its secrets; give the one that is used from now on.

        If it was the one in use, that is another private one if there is any: who leaves a
        circle of friends has not asked to work for strangers. Balances stay in the store.
        """
        if network == COMMONS.id:
            raise ConfigError(
                f"`{COMMONS.name}` is the open network that every node knows; nothing of it can be "
                "forgotten: `commons network use` goes to another one, `commons pause` rests."
            )
        with self._changing():
            self._need(network)
            rest = [each for each in self.all() if each.id not in (network, COMMONS.id)]
            rest.sort(key=lambda each: not each.is_private)
            # The marker goes first: who reads meanwhile must not find one that leads nowhere.
            if self._used() == network.hex():
                if rest:
                    self._choose(rest[0].id)
                else:
                    remove_private(self.folder / ACTIVE)
            remove_private(self._path(network))
        return self.active()

    def rotate(self) -> Network:
        """Make a new secret for the network in use; the old ones stay valid until retired."""
        with self._changing():
            network = self._private()
            secrets = {**network.secrets, network.newest + 1: self._clock.secret_bytes(32)}
            changed = replace(network, secrets=_few(network, secrets))
            self._write(changed)
        return changed

    def retire(self, version: int) -> Network:
        """Let a version of the secret no longer open the network in use; never the newest."""
        with self._changing():
            network = self._private()
            if version not in network.secrets or version == network.newest:
                old = ", ".join(str(each) for each in sorted(network.secrets)[:-1]) or "none"
                raise ConfigError(
                    f"version {version} of the secret cannot be retired: the newest is "
                    f"{network.newest}, and the older ones are {old}."
                )
            kept = {key: value for key, value in network.secrets.items() if key != version}
            changed = replace(network, secrets=MappingProxyType(kept))
            self._write(changed)
        return changed

    # --- letting others in -------------------------------------------------------------------

    def invite(self, addresses: Sequence[str], for_s: float, others: Sequence[str] = ()) -> str:
        """Write an invite to the network in use, valid for so long (0: for ever).

        `addresses` are this node's own, with its peer id; `others` lead to nodes that it trusts
        to be there later (see `Discovery.references`). They and what older invites named keep
        three places, so that the invite still works when this node is gone.
        """
        network = self.active()
        wrong = [each for each in (*addresses, *others) if parse_bootstrap(each) is None]
        if wrong:
            raise ConfigError(f"{wrong[0]!r} leads nowhere: an address ends in /p2p/ and a peer.")
        rest = [each for each in (*others, *network.bootstrap) if each not in addresses]
        own = tuple(addresses)[: ADDRESSES_MAX - min(OTHERS_KEPT, len(rest))]
        bootstrap = tuple(dict.fromkeys((*own, *rest)))[:ADDRESSES_MAX]
        expires_at_s = int(self._clock.now().wall_s + for_s) if for_s else 0
        newest = network.newest
        secret = network.secrets.get(newest, b"")
        return format_invite(
            Invite(network.id, network.name, network.salt, newest, secret, expires_at_s, bootstrap)
        )

    # --- files -------------------------------------------------------------------------------

    def _path(self, network: bytes) -> Path:
        return self.folder / f"{network.hex()}.json"

    def _read(self, path: Path) -> Network | None:
        data = read_private(path, FILE_BYTES_MAX)
        return None if data is None else from_json(path, data)

    def _known(self, network: bytes) -> Network | None:
        return self._read(self._path(network)) or (COMMONS if network == COMMONS.id else None)

    def _need(self, network: bytes) -> Network:
        found = self._known(network)
        if found is None:
            raise ConfigError(
                f"the network {network.hex()} is not known here: join it with an invite."
            )
        return found

    def _private(self) -> Network:
        network = self.active()
        if not network.is_private:
            raise ConfigError(
                f"{printable(network.name)} is an open network and has no secret: "
                f"found a private one with `commons network new --private NAME`."
            )
        return network

    def _used(self) -> str:
        """Read which network is in use, as hexadecimal text if the file is in order."""
        data = read_private(self.folder / ACTIVE, 64)
        return COMMONS.id.hex() if data is None else data.decode(errors="replace").strip()

    def _write(self, network: Network) -> None:
        replace_private(self._path(network.id), to_json(network))

    def _choose(self, network: bytes) -> None:
        replace_private(self.folder / ACTIVE, network.hex().encode() + b"\n")

    def _check_room(self) -> None:
        if len(self.all()) >= NETWORKS_MAX:
            raise ConfigError(
                f"this node knows {NETWORKS_MAX} networks already: leave one with `commons leave`."
            )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one that changes the files.

        The wait has no deadline: whoever holds the lock reads and writes a few small files,
        and the kernel lets go of it when that process dies.
        """
        make_private(self.folder.parent)
        path = make_private(self.folder) / LOCK
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _few(network: Network, secrets: dict[int, bytes]) -> Mapping[int, bytes]:
    """Refuse more secrets than a node keeps: which of them may go, only its owner knows."""
    if len(secrets) > SECRETS_MAX:
        oldest = min(network.secrets)
        raise ConfigError(
            f"{printable(network.name)} has {len(secrets) - 1} versions of its secret: retire the "
            f"oldest ones first, as with `commons network retire {oldest}`."
        )
    return MappingProxyType(secrets)
