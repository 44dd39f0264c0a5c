# SPDX-License-Identifier: MIT
"""What a running node sees of the others: who is connected, how far, with which clock. Judges all.

Nothing that others say is believed alone: clocks are compared over all peers, by the median.
"""

from statistics import median
from typing import TYPE_CHECKING

from node.api.documents import Finding
from node.doctor.looks import failure, passed, warning
from protocol.hello import SPEAKS_HIGH

if TYPE_CHECKING:  # it brings in the whole daemon, which a command does not need
    from node.membership import Membership

#: Statements carry times: from here on a clock is noticed in logs and deadlines.
OFFSET_WARN_S = 60.0

#: From here on others refuse what this node says, or take it for old.
OFFSET_FAIL_S = 300.0

#: A round trip that makes small orders slow: that of a satellite, or of a line that is full.
RTT_SLOW_S = 0.6

#: One peer with a strange clock proves nothing about ours; two that agree may.
PEERS_ENOUGH = 2

SET_CLOCK = "Set the clock, and let it be kept: `timedatectl set-ntp true` where systemd runs."


def see_peers(member: "Membership") -> list[Finding]:
    """Count the others, and say how far they are."""
    peers = list(member.mesh.peers.values())
    known = len(member.viewing.adverts())
    if not peers:
        step = "`commons join INVITE` brings ways in; see `ways in` and `bootstrap` here."
        sentence = f"Nobody is connected{_alone_since(member)}; {known} are known by adverts."
        return [warning("peers", f"{sentence} Nobody can give work, or do any.", step)]
    measured = [each.rtt_s for each in peers if each.rtt_s is not None]
    rtt_s = median(measured) if measured else None
    far = f"half of them within {rtt_s * 1000:.1f} ms" if rtt_s is not None else "not measured yet"
    inbound = sum(each.inbound for each in peers)
    members = sum(each.member for each in peers)
    sentence = (
        f"{len(peers)} connected ({inbound} dialled this node, {members} proved a secret of the "
        f"network), {far}; {known} known by adverts."
    )
    if rtt_s is not None and rtt_s > RTT_SLOW_S:
        step = "See whether the line is full: `governor.upload_kib_s` leaves room for others."
        return [warning("peers", f"{sentence} That is far: small orders will be slow.", step)]
    if member.viewing.is_alone:
        step = "Wait a minute; if it stays so, `commons log` says who left, and why."
        return [warning("peers", f"{sentence} None of them tells news.", step)]
    return [passed("peers", sentence)]


def see_versions(member: "Membership") -> list[Finding]:
    """Notice that the others speak a newer version of the protocol."""
    spoken = [each.hello.speaks_high for each in member.mesh.peers.values()]
    if not spoken:
        return []
    newer = sum(each > SPEAKS_HIGH for each in spoken)
    sentence = f"Up to version {max(spoken)} of the protocol is spoken, here {SPEAKS_HIGH}."
    if 2 * newer > len(spoken):
        step = "Update this program before the others stop to speak the old one."
        return [warning("versions of peers", f"{sentence} Most of the others are newer.", step)]
    return [passed("versions of peers", sentence)]


def see_clocks(member: "Membership") -> list[Finding]:
    """Hold this clock against those of all peers."""
    offsets = [each.offset_s for each in member.mesh.peers.values()]
    if not offsets:
        return []
    offset_s = median(offsets)
    way = "ahead of" if offset_s > 0 else "behind"
    sentence = f"Half of {len(offsets)} peers' clocks are {abs(offset_s):.1f} s or more {way} ours"
    if abs(offset_s) <= OFFSET_WARN_S:
        return [passed("clocks of peers", f"{offset_s:+.1f} s is the median of {len(offsets)}.")]
    if len(offsets) < PEERS_ENOUGH:
        return [warning("clocks of peers", f"{sentence}; one of the two is wrong.", SET_CLOCK)]
    if abs(offset_s) <= OFFSET_FAIL_S:
        return [warning("clocks of peers", f"{sentence}: ours is wrong, most likely.", SET_CLOCK)]
    sentence += ": what this node signs is too old or too new for them."
    return [failure("clocks of peers", sentence, SET_CLOCK)]


def see_bans(member: "Membership") -> list[Finding]:
    """Count who is not met. Many bans at once say more about this node than about them."""
    bans = member.mesh.behaviour.bans()
    if not bans:
        return [passed("bans", "Nobody is banned here.")]
    sentence = f"{len(bans)} not met for a while, because of what they did."
    step = "`commons peers --all` names them; `commons peers unban PEER` meets one again."
    if len(bans) > max(4, len(member.mesh.peers)):
        why = "That is more than are connected: this program may be too old, or its clock wrong."
        return [warning("bans", f"{sentence} {why}", step)]
    return [passed("bans", sentence, step)]


def see_twin(member: "Membership") -> list[Finding]:
    """Notice that somebody else comes with the key of this node."""
    elsewhere = member.mesh.defence.elsewhere
    if not elsewhere:
        return [passed("identity elsewhere", "Nobody else came with the key of this node.")]
    return [
        failure(
            "identity elsewhere",
            f"Somebody came from {elsewhere} with the key of this node: two machines that sign in "
            f"one name contradict each other, others take that for cheating, and credit is lost.",
            "Stop one of the two, and remove its `identity.key`: it is a node of its own then.",
        )
    ]


def see_secret(member: "Membership") -> list[Finding]:
    """Notice that the secret of a private network was changed, and that this node has it not."""
    if not member.network.is_private:
        return []
    newest, newer = member.network.newest, member.newer_secret
    if not newer:
        return [passed("secret", f"Nobody has a newer one than version {newest}.")]
    sentence = f"Others have a newer secret (version {newer}, here {newest}), and do not take ours."
    step = "Ask one of them for a fresh invite (`commons invite`), and `commons join` it."
    return [warning("secret", sentence, step)]


def _alone_since(member: "Membership") -> str:
    """Say since when nobody is connected, as far as the happenings are still known."""
    kept = member.ground.happenings.since(0)
    left = [each.at_s for each in kept if each.event == "peer_left"]
    now = member.ground.world.clock.now()
    if left:
        return f" for {max(0.0, now.wall_s - left[-1]):.0f} s"
    return f" since the start {now.mono_s - member.ground.started_s:.0f} s ago"
