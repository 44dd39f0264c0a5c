# SPDX-License-Identifier: MIT
"""Writes what a node knows as the documents that its owner is shown. Nothing is decided here."""

from dataclasses import astuple

import trio

from node.api.documents import (
    AdvertInfo,
    BanInfo,
    CreditInfo,
    PeerInfo,
    PeersCount,
    TrafficInfo,
    WorkDone,
)
from node.membership import Membership
from node.mesh.behaviour import Ban, Record
from node.mesh.peer import Peer
from protocol.advert import Advert
from protocol.keys import peer_id
from protocol.order import Role, State

_RUNNING = (State.PLACED, State.ACCEPTED, State.WORKING, State.PAUSED)
_DONE = (State.DELIVERED, State.SETTLED)


def peers_count(member: Membership | None) -> PeersCount:
    """Count the others."""
    if member is None:
        return PeersCount(0, 0, 0)
    peers = member.mesh.peers.values()
    members = sum(each.member for each in peers)
    return PeersCount(len(peers), members, len(member.viewing.adverts()))


def traffic_info(member: Membership | None) -> tuple[TrafficInfo, ...]:
    """Show what was said and heard, in the order of the alphabet."""
    tallies = member.mesh.tallies if member else {}
    return tuple(TrafficInfo(name, *astuple(each)) for name, each in sorted(tallies.items()))


def peer_info(peer: Peer, member: Membership) -> PeerInfo:
    """Show a connected node."""
    record = member.mesh.behaviour.of(peer.key) or Record(0.0, 0.0)
    return PeerInfo(
        peer=peer_id(peer.key),
        name="",
        direction="in" if peer.inbound else "out",
        address=peer.address,
        rtt_s=peer.rtt_s,
        connected_s=round(trio.current_time() - peer.since_s, 1),
        member=peer.member,
        score=round(member.mesh.behaviour.score(peer.key), 2),
        up_bytes_s=None if record.up_bytes_s is None else round(record.up_bytes_s),
        down_bytes_s=None if record.down_bytes_s is None else round(record.down_bytes_s),
        orders=record.orders,
        failed_orders=record.failed_orders,
    )


def advert_info(advert: Advert, member: Membership, now_s: float) -> AdvertInfo:
    """Show what a node says of itself."""
    peer = member.mesh.peers.get(advert.node)
    return AdvertInfo(
        peer=peer_id(advert.node),
        addresses=advert.addresses,
        cores=advert.cores,
        memory_mib=advert.memory_mib,
        disk_mib=advert.disk_mib,
        accelerator=advert.accelerator,
        fp32_mflops=advert.fp32_mflops,
        memory_mbps=advert.memory_mbps,
        models=len(advert.models),
        age_s=round(max(0.0, now_s - advert.issued_at_s), 1),
        connected=peer is not None,
        rtt_s=peer.rtt_s if peer else None,
    )


def ban_info(key: bytes, ban: Ban, now_s: float) -> BanInfo:
    """Show a ban."""
    return BanInfo(peer_id(key), ban.reason, ban.detail, round(max(0.0, ban.until_s - now_s), 1))


def work_done(member: Membership | None) -> WorkDone:
    """Show what was done for others since the node was started."""
    if member is None:
        return WorkDone(0, 0, 0, 0, 0)
    counts = member.orders.counts(Role.WORKER, member.began_s)
    running = sum(counts.get(each, 0) for each in _RUNNING)
    done = sum(counts.get(each, 0) for each in _DONE)
    refused = counts.get(State.REFUSED, 0)
    failed = sum(counts.values()) - running - done - refused
    return WorkDone(running, done, failed, refused, member.earned_cu - member.earned_before_cu)


def credit_info(member: Membership | None) -> CreditInfo:
    """Show the books of the network."""
    if member is None:
        return CreditInfo(0, 0, 0, 0, 0)
    accounts, earned = member.accounts.books.accounts.values(), member.earned_cu
    spent = sum(each.signed_total for each in accounts)
    bucket = member.accounts.books.bucket
    return CreditInfo(
        earned_cu=earned,
        spent_cu=spent,
        balance_cu=earned - spent,
        lent_cu=sum(each.lent for each in accounts),
        budget_cu=bucket.rules.size_cu,
    )
