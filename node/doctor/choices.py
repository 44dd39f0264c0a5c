# SPDX-License-Identifier: MIT
"""Looks at the config: whether it can be read, what differs, and what it makes impossible."""

from collections.abc import Iterator

from node.api.documents import Finding
from node.config import KEYS, Config, value_of
from node.config_key import as_toml
from node.doctor.looks import failure, passed, warning
from node.doctor.scene import Scene
from node.errors import ConfigError
from node.executor.machine import Machine, look
from node.mesh.addresses import MACHINE, scope_of
from node.networks import parse_bootstrap
from node.work.hours import WEEK_MINUTES, Hours
from protocol.keys import peer_id

#: Hours that allow less than this of a week are a slip of the pen, more often than a choice.
HOURS_FEW = 60

SHOW = "`commons config show --origin` says where each value comes from."


def see_config(scene: Scene) -> list[Finding]:
    """Say whether the config can be read, and what differs from the defaults."""
    if scene.reading is None:
        lines = [each.rstrip(".") for each in scene.trouble.splitlines()]
        step = "Mend the file or the variable that it names; `commons config check` looks again."
        end = "" if lines[-1].endswith("?") else "."
        return [failure("config", f"{'; '.join(lines)}{end} The node does not start so.", step)]
    other = differing(scene.config)
    if not other:
        return [passed("config", "Everything is as it comes: no key was changed.")]
    words = ", ".join(f"{name} = {as_toml(value_of(scene.config, name))}" for name in other)
    return [passed("config", f"Changed: {words}.", SHOW)]


def see_hints(scene: Scene) -> list[Finding]:
    """Say what the choices make impossible, each by itself in order."""
    config = scene.config
    machine = look(scene.paths.models, scene.root)
    found = [*_hours(config), *_mesh(config), *_sizes(config, machine)]
    return found or [passed("choices", "No choice rules another one out.")]


def differing(config: Config) -> list[str]:
    """Name the keys whose value is not the default."""
    return [name for name, key in KEYS.items() if value_of(config, name) != key.default]


def _hours(config: Config) -> Iterator[Finding]:
    try:
        hours = Hours(config.governor.hours)
    except ConfigError as error:
        yield failure("choices", str(error), "Change governor.hours: the node does not start so.")
        return
    allowed = sum(hours.allowed(*divmod(each, 24 * 60)) for each in range(WEEK_MINUTES))
    if allowed < HOURS_FEW:
        sentence = f"governor.hours allows {allowed} minutes of work in a week."
        yield warning("choices", sentence, "Change it, or leave it empty: then all are for work.")


def _mesh(config: Config) -> Iterator[Finding]:
    mesh = config.mesh
    if not mesh.listen:
        yield warning("choices", "mesh.listen is empty: nobody can dial this node.", SHOW)
    elif all(scope_of(each) == MACHINE for each in mesh.listen) and not mesh.announce:
        sentence = "mesh.listen has loopback alone: no other machine can dial this node."
        yield warning("choices", sentence, "Use /ip4/0.0.0.0/tcp/0 to be dialled by others.")
    if both := set(mesh.deny) & {*mesh.allow, *mesh.trusted}:
        sentence = f"{', '.join(sorted(both))} is in mesh.deny, and in mesh.allow or mesh.trusted."
        yield warning("choices", sentence, "Deny wins: take it out of one of them.")
    if mesh.allow:
        parsed = [parse_bootstrap(each) for each in mesh.bootstrap]
        shut = [peer_id(each[0]) for each in parsed if each and peer_id(each[0]) not in mesh.allow]
        if shut:
            sentence = f"mesh.allow leaves out {', '.join(shut)}, which mesh.bootstrap names."
            yield warning("choices", sentence, "Add it to mesh.allow, or it is never met.")
    broken = [each for each in mesh.bootstrap if parse_bootstrap(each) is None]
    if broken:
        sentence = f"mesh.bootstrap has {broken[0]}, which leads nowhere."
        yield warning("choices", sentence, "An address of a node ends in /p2p/ and its peer id.")


def _sizes(config: Config, machine: Machine) -> Iterator[Finding]:
    executor, governor = config.executor, config.governor
    if executor.runners * executor.runner_memory_mib > executor.memory_mib:
        sentence = (
            f"{executor.runners} runners of {executor.runner_memory_mib} MiB do not fit into "
            f"executor.memory_mib, which is {executor.memory_mib}: some will never run."
        )
        yield warning("choices", sentence, "Raise executor.memory_mib, or have fewer runners.")
    if executor.runners * executor.threads > max(1, machine.cores_usable):
        sentence = (
            f"{executor.runners} runners of {executor.threads} threads want more than the "
            f"{machine.cores_usable:g} cores that this program may use: each is slower."
        )
        yield warning("choices", sentence, "Lower executor.runners or executor.threads.")
    if governor.memory_free_mib >= machine.memory_mib:
        sentence = (
            f"governor.memory_free_mib keeps {governor.memory_free_mib} MiB free, and there are "
            f"{machine.memory_mib} in all: this machine never works."
        )
        yield failure("choices", sentence, "Lower governor.memory_free_mib.")
    if governor.disk_free_mib >= machine.disk_total_mib:
        sentence = (
            f"governor.disk_free_mib keeps {governor.disk_free_mib} MiB free, and the disk has "
            f"{machine.disk_total_mib} in all: no model is ever fetched."
        )
        yield failure("choices", sentence, "Lower governor.disk_free_mib.")
