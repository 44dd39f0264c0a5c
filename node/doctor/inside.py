# SPDX-License-Identifier: MIT
"""What a running node sees of itself. What can be seen without one is in `outside`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.api.documents import Finding
from node.doctor import company, way_in
from node.doctor.layers import judged as judged_layers
from node.doctor.looks import Look, at_once, failure, look_at, passed, warning
from node.doctor.strength import judged as judged_hardware
from protocol.errors import Refused
from protocol.reasons import Reason

if TYPE_CHECKING:  # they bring in the whole daemon, which a command does not need
    from node.ground import Ground
    from node.membership import Membership

#: Trying the layers is done once, with the zygote; a machine under load takes its time.
SLOW_S = 30.0

#: A task that has crashed so often will not recover by itself.
CRASHES_MANY = 3


@dataclass(frozen=True, slots=True)
class Inside:
    """A node that runs."""

    ground: "Ground"
    member: "Membership | None"


async def look_from_inside(ground: "Ground", member: "Membership | None") -> Sequence[Finding]:
    """Look at a node that runs; `member` is None while it is between two networks."""
    found = await look_at(Inside(ground, member), MACHINE)
    if member is None:
        wait = "Ask again in some seconds; `commons log` says what it does."
        return (*found, warning("network", "This node is between two networks just now.", wait))
    return (*found, *await look_at(Inside(ground, member), MESH))


def see_governor(scene: Inside) -> list[Finding]:
    """Say whether work is taken, in the governor's words."""
    governing = scene.ground.governing
    reason, sentence = governing.may_work()
    if reason is None:
        return [passed("governor", sentence)]
    if governing.paused_until_s is not None:
        return [warning("governor", sentence, "`commons resume` ends the pause.")]
    return [warning("governor", sentence, "`commons limits` shows, and changes, what it obeys.")]


def see_tasks(scene: Inside) -> list[Finding]:
    """Name the tasks that crash."""
    found = [
        (failure if each.crashes >= CRASHES_MANY else warning)(
            "tasks",
            f"The task `{each.name}` has crashed {each.crashes} times in a row, "
            f"last with: {each.last.rstrip('.')}. It is begun anew each time.",
            "See `commons log`; a newer version may mend it.",
        )
        for each in scene.ground.supervised.ailing()
    ]
    return found or [passed("tasks", "No task of this node has crashed lately.")]


def see_database(scene: Inside) -> list[Finding]:
    """Read something: the node lives on what it has written down."""
    scene.ground.database.read("SELECT count(*) FROM settings")
    return [passed("store", "The database of this node is open and can be read.")]


def see_accounts(scene: Inside) -> list[Finding]:
    """Say whether credit can be earned and spent."""
    assert scene.member is not None
    stopped = scene.member.accounts.stopped
    if stopped:
        sentence = f"The accounts stand still, so nothing is earned or spent: {stopped}"
        step = "Make room on the disk, or mend what is said there; the node tries again by itself."
        return [failure("accounts", f"{sentence.rstrip('.')}.", step)]
    return [passed("accounts", "The accounts are open, and what moves is written down.")]


def see_description(scene: Inside) -> list[Finding]:
    """Say whether others are told what this machine can do."""
    assert scene.member is not None
    trouble = scene.member.description.trouble
    if trouble:
        return [failure("advert", trouble, "`commons hardware --refresh` measures again.")]
    return [passed("advert", "Others are told what this machine can do.")]


async def see_layers(scene: Inside) -> list[Finding]:
    """Ask the runners' own parent, which has tried each layer."""
    try:
        return judged_layers(await scene.ground.world.executor.layers())
    except Refused as refused:
        return [_no_runner(refused)]


async def see_hardware(scene: Inside) -> list[Finding]:
    """Say whether the machine was measured, and whether the figures are plausible."""
    try:
        hardware = await scene.ground.probe()
    except Refused as refused:
        step = "`commons hardware --refresh` measures again, and says what fails."
        return [failure("hardware", f"This machine could not be measured: {_said(refused)}.", step)]
    return judged_hardware(hardware, scene.ground.config.executor.providers)


def _no_runner(refused: Refused) -> Finding:
    state = warning if refused.reason in {Reason.PAUSED, Reason.BUSY} else failure
    return state("sandbox", f"No layer could be tried: {_said(refused)}.", refused.reason.next_step)


def _said(refused: Refused) -> str:
    return (refused.detail or refused.reason.sentence).rstrip(".")


MACHINE: tuple[Look[Inside], ...] = (
    Look("governor", at_once(see_governor)),
    Look("tasks", at_once(see_tasks)),
    Look("store", at_once(see_database)),
    Look("sandbox", see_layers, SLOW_S),
    Look("hardware", see_hardware, SLOW_S),
)

MESH: tuple[Look[Inside], ...] = (
    Look("network", at_once(lambda scene: way_in.see_network(_member(scene)))),
    Look("identity elsewhere", at_once(lambda scene: company.see_twin(_member(scene)))),
    Look("secret", at_once(lambda scene: company.see_secret(_member(scene)))),
    Look("accounts", at_once(see_accounts)),
    Look("advert", at_once(see_description)),
    Look("addresses", at_once(lambda scene: way_in.see_addresses(_member(scene)))),
    Look("dialled", at_once(lambda scene: way_in.see_reach(_member(scene)))),
    Look("ways in", at_once(lambda scene: way_in.see_bootstrap(_member(scene)))),
    Look("house", at_once(lambda scene: way_in.see_house(_member(scene)))),
    Look("peers", at_once(lambda scene: company.see_peers(_member(scene)))),
    Look("versions of peers", at_once(lambda scene: company.see_versions(_member(scene)))),
    Look("clocks of peers", at_once(lambda scene: company.see_clocks(_member(scene)))),
    Look("bans", at_once(lambda scene: company.see_bans(_member(scene)))),
)


def _member(scene: Inside) -> "Membership":
    assert scene.member is not None, "a node between two networks is not asked about the mesh"
    return scene.member
