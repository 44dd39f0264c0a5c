# SPDX-License-Identifier: MIT
"""What the owner may ask of a running node: satisfies `node/api/node.py`. It decides nothing.

The desk outlives memberships: while the network is changed there is none for a moment, and
what needs one is refused as `recovering`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio

from node import __version__
from node.api.documents import (
    AdvertInfo,
    BanInfo,
    Finding,
    Invited,
    Limits,
    NetworkInfo,
    PeerInfo,
    Progress,
    Standing,
    Status,
    Tried,
    network_info,
)
from node.config import KEYS, made_from, value_of
from node.config_key import Value
from node.config_reading import check_together
from node.doctor import look_from_inside
from node.errors import NotFound
from node.executor.aside import aside
from node.ground import Ground
from node.happenings import Happenings
from node.membership import Membership
from node.mesh.addresses import with_peer
from node.networks import Network, Networks
from node.shown import advert_info, ban_info, credit_info, peer_info, traffic_info, work_done
from node.shown import peers_count as count_peers
from node.supervised import words
from protocol.errors import Refused
from protocol.invite import parse_invite
from protocol.keys import peer_id
from protocol.reasons import Reason

#: What can be changed while the node runs; the rest is read once, when it starts.
LIVE = ("governor.",)


class Desk:
    """The owner's side of one running node."""

    def __init__(self, ground: Ground, networks: Networks) -> None:
        """Answer for this node; `member` is set while it is in a network."""
        self.ground = ground
        self.member: Membership | None = None
        self.stopping = trio.Event()
        self._networks = networks
        self._trouble = ""  # why it is in no network, for the owner
        self._moving = trio.Event()

    # --- the life of the node -------------------------------------------------------------------

    def begin(self) -> Network:
        """Give the network to be in now; the next change of it ends :meth:`wait_end`."""
        self._moving = trio.Event()
        return self._networks.active()

    async def wait_end(self) -> None:
        """Wait until the node is to end, or to be in another network."""
        await self._moving.wait()

    def entered(self, member: Membership) -> None:
        """Be in a network from now on."""
        self.member, self._trouble = member, ""

    def cannot_enter(self, error: Exception, again_s: float) -> None:
        """Note why a network could not be entered, or was lost; it is tried again."""
        trouble = words(error)
        if trouble != self._trouble:  # else it is the same as a few seconds ago
            self._trouble = trouble
            self.ground.supervised.log.error("network_not_entered", exc_info=error)
            self.happenings.post("network_not_entered", error=trouble, again_in_s=again_s)

    def stop(self) -> None:
        """Begin to end."""
        self.stopping.set()
        self._moving.set()

    # --- what it shows of itself ----------------------------------------------------------------

    @property
    def happenings(self) -> Happenings:
        """What happens here."""
        return self.ground.happenings

    async def status(self) -> Status:
        """Say how it is, on one page."""
        member, ground = self.member, self.ground
        now = ground.world.clock.now()
        return Status(
            version=__version__,
            peer=peer_id(ground.identity.me),
            uptime_s=round(now.mono_s - ground.started_s, 1),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            standing=self._standing(),
            network=network_info(member.network, member.network.id) if member else None,
            addresses=member.addresses if member else (),
            peers=count_peers(member),
            work=work_done(member),
            credit=credit_info(member),
            traffic=traffic_info(member),
            notes=self._notes(),
        )

    async def doctor(self) -> Sequence[Finding]:
        """Look for what is wrong."""
        return await look_from_inside(self.ground, self.member)

    # --- the others -----------------------------------------------------------------------------

    async def peers(self) -> Sequence[PeerInfo]:
        """Tell who is connected."""
        member = self._joined()
        return [peer_info(each, member) for each in member.mesh.peers.values()]

    async def adverts(self) -> Sequence[AdvertInfo]:
        """Tell who is known, as they describe themselves."""
        member = self._joined()
        now_s = self.ground.world.clock.now().wall_s
        return [advert_info(each.advert, member, now_s) for each in member.viewing.adverts()]

    async def bans(self) -> Sequence[BanInfo]:
        """Tell who is not met."""
        bans, now_s = self._joined().mesh.behaviour.bans(), self.ground.world.clock.now().wall_s
        return [ban_info(key, ban, now_s) for key, ban in bans.items()]

    async def ban(self, peer: bytes, for_s: float, detail: str) -> BanInfo:
        """Meet this node no more for so long, and end its connection."""
        member = self._joined()
        ban = member.mesh.behaviour.set_ban(peer, for_s, Reason.BANNED, detail)
        await member.mesh.part(peer, Reason.BANNED)
        return ban_info(peer, ban, self.ground.world.clock.now().wall_s)

    async def unban(self, peer: bytes) -> None:
        """Meet it again."""
        behaviour = self._joined().mesh.behaviour
        if behaviour.ban(peer) is None:
            raise NotFound(f"{peer_id(peer)} is not banned.")
        behaviour.lift(peer)

    # --- networks -------------------------------------------------------------------------------

    async def networks(self) -> Sequence[NetworkInfo]:
        """Tell which are known."""
        active = self._networks.active().id
        return [network_info(each, active) for each in self._networks.all()]

    async def invite(self, for_s: float) -> Invited:
        """Invite to the active network."""
        member = self._joined()
        addresses = with_peer(member.addresses, self.ground.identity.me)
        text = self._networks.invite(addresses, for_s, member.discovery.references())
        network = network_info(member.network, member.network.id)
        expires_at_s = parse_invite(text, self.ground.world.clock.now().wall_s).expires_at_s
        return Invited(text, network, expires_at_s)

    async def join(self, text: str) -> NetworkInfo:
        """Learn the network of an invite, and make it the active one."""
        invite = parse_invite(text, self.ground.world.clock.now().wall_s)
        return self._went(await aside(lambda: self._networks.join(invite)))

    async def leave(self, network: str) -> NetworkInfo:
        """Forget a network; give the one that is active from now on."""
        found = self._networks.named(network) if network else self._networks.active()
        return self._went(await aside(lambda: self._networks.leave(found.id)))

    async def found(self, name: str, private: bool) -> NetworkInfo:
        """Begin a new network, and make it the active one."""
        return self._went(await aside(lambda: self._networks.found(name, private)))

    async def use(self, network: str) -> NetworkInfo:
        """Make a known network the active one."""
        found = self._networks.named(network)
        return self._went(await aside(lambda: self._networks.use(found.id)))

    async def rotate(self) -> NetworkInfo:
        """Add a newer version of the active network's secret."""
        return self._went(await aside(self._networks.rotate))

    async def retire(self, version: int) -> NetworkInfo:
        """Drop an older version of the active network's secret."""
        return self._went(await aside(lambda: self._networks.retire(version)))

    # --- the governor ---------------------------------------------------------------------------

    async def pause(self, for_s: float | None) -> Standing:
        """Work for nobody, for so long or until `resume`."""
        self.ground.governing.pause(for_s)
        await self.ground.keep_pause()
        return self._standing()

    async def resume(self) -> Standing:
        """End the owner's pause."""
        self.ground.governing.resume()
        await self.ground.keep_pause()
        return self._standing()

    async def limits(self) -> Limits:
        """Give the keys that can be changed while it runs, with what holds now."""
        return {name: value_of(self.ground.config, name) for name in KEYS if name.startswith(LIVE)}

    async def set_limits(self, changes: Mapping[str, Value]) -> Limits:
        """Change some of them until the node ends."""
        held = {name: value_of(self.ground.config, name) for name in KEYS}
        config = made_from({**held, **changes})
        check_together(config)
        self.ground.use_limits(config)
        if self.member:
            self.member.use_limits()
        return await self.limits()

    # --- one order ------------------------------------------------------------------------------

    async def try_model(
        self,
        peer: bytes,
        model: Path,
        items: int,
        sizes: Mapping[str, int],
        tell: Callable[[Progress], None],
    ) -> Tried:
        """Place an order of made-up inputs with this worker, and settle it."""

        def progress(part: str, sentence: str) -> None:
            tell(Progress(part, sentence))

        trying = self._joined().trying
        addresses = self._joined().addresses_of(peer)
        return await trying.try_model(
            peer, model, items=items, wanted=sizes, addresses=addresses, progress=progress
        )

    # --- inside ---------------------------------------------------------------------------------

    def _joined(self) -> Membership:
        if self.member is None:
            raise Refused(Reason.RECOVERING, "this node is between two networks: ask again")
        return self.member

    def _went(self, network: Network) -> NetworkInfo:
        """Follow a change of networks: the mesh takes new secrets, another network is a move."""
        member = self.member
        if member and (member.network.id, member.network.is_private) == (
            network.id,
            network.is_private,
        ):
            member.use_secrets(network)
        else:
            self._moving.set()
        self.happenings.post("network_changed", network=network.name, id=network.id.hex())
        return network_info(network, network.id)

    def _standing(self) -> Standing:
        governing = self.ground.governing
        reason, sentence = governing.may_work()
        until_s = governing.paused_until_s
        left_s = until_s - self.ground.world.clock.now().wall_s if until_s else None
        return Standing(
            works=reason is None,
            state=str(governing.state),
            reason=reason.value if reason else "",
            sentence=sentence,
            resumes_in_s=left_s if left_s is not None and left_s < float("inf") else None,
        )

    def _notes(self) -> tuple[str, ...]:
        """Say what the owner should know besides."""
        notes = [
            f"The task `{each.name}` has crashed {each.crashes} times, last with: {each.last}."
            for each in self.ground.supervised.ailing()
        ]
        if self._trouble and not self.member:
            notes.append(f"The network cannot be entered, and is tried again: {self._trouble}.")
        if self.member:
            notes += [self.member.description.trouble] if self.member.description.trouble else []
            if elsewhere := self.member.mesh.defence.elsewhere:
                notes.append(
                    f"Somebody came from {elsewhere} with the key of this node: stop one of the "
                    f"two, and remove its `identity.key`; `commons doctor` says more."
                )
            if newer := self.member.newer_secret:
                notes.append(
                    f"Others of this network have a newer secret (version {newer}, here "
                    f"{self.member.network.newest}) and may not let this node in: ask one of them "
                    f"for a fresh invite, and `commons join` it."
                )
            if self.member.accounts.stopped:
                notes.append(f"The accounts stand still: {self.member.accounts.stopped}.")
        return tuple(notes)
