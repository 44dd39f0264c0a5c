# SPDX-License-Identifier: MIT
"""Writes what the doctor found as a file that can be sent to somebody who helps.

Who this node is, whom it knows and where it is stands nowhere in it (`redact`). Secrets are
not even read for it: files of identities and networks are asked for names alone.
"""

import json
import os
import platform
import pwd
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from node.api.documents import Finding
from node.config import value_of
from node.doctor.choices import differing
from node.doctor.doors import parts_of, ways_in
from node.doctor.programs import versions
from node.doctor.redact import HOME, Redactor
from node.doctor.scene import Scene
from node.errors import ConfigError
from node.networks import COMMONS
from node.private_file import replace_private

VERSION = 1

#: What happened before is rarely why somebody asks for help now.
HAPPENINGS_MAX = 200

# Fields of happenings whose values are names that people gave, whatever they look like.
_NAMES = {"network": "network", "model": "model", "name": "name", "path": "path", "file": "path"}


def report_of(
    scene: Scene,
    findings: Sequence[Finding],
    happenings: Sequence[Mapping[str, object]] = (),
) -> dict[str, object]:
    """Put together what may be shown to others."""
    redactor = Redactor(names_of(scene))
    config = {name: value_of(scene.config, name) for name in differing(scene.config)}
    layers = [asdict(each) for each in findings if each.name.split()[0] == "sandbox"]
    return {
        "v": VERSION,
        "what": "A report of `commons doctor`, without names, addresses and secrets.",
        "running": scene.is_running,
        "versions": versions(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "config": redactor.value(config),
        "findings": [_finding(each, redactor) for each in findings],
        "layers": redactor.value(layers),
        "happenings": [_happening(each, redactor) for each in happenings[-HAPPENINGS_MAX:]],
    }


def write_report(path: Path, report: Mapping[str, object]) -> None:
    """Write it as a file that only this user can read; whom to show it is the owner's choice."""
    replace_private(path, json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n")


def names_of(scene: Scene) -> dict[str, set[str]]:
    """Collect what tells who somebody is and cannot be known by its form."""
    known: dict[str, set[str]] = {
        HOME: {str(Path.home()), os.path.realpath(Path.home())} - {"/"},
        "state": _spellings(scene.paths.state),
        "cache": _spellings(scene.paths.cache),
        "config": _spellings(scene.paths.config),
        "runtime": _spellings(scene.paths.runtime),
        "host": {socket.gethostname(), socket.gethostname().partition(".")[0]},
        "user": {Path.home().name},
        "network": set(),
    }
    with suppress(KeyError):
        known["user"].add(pwd.getpwuid(os.geteuid()).pw_name)
    with suppress(ConfigError):
        every = scene.networks().all()
        known["network"] |= {each.name for each in every if each.id != COMMONS.id}
    texts = (*ways_in(scene), *scene.config.mesh.listen, *scene.config.mesh.announce)
    known["host"] |= {parts_of(each)[1] for each in texts if each.startswith("/dns")}
    known["host"] |= {domain for host in known["host"] for domain in _domains(host)}
    return known


def _domains(host: str) -> Iterator[str]:
    """Give the domains above a host, but for those that everybody is in."""
    labels = host.split(".")
    return (".".join(labels[each:]) for each in range(1, len(labels) - 1))


def _spellings(folder: Path) -> set[str]:
    return {str(folder), os.path.realpath(folder)}


def _finding(finding: Finding, redactor: Redactor) -> dict[str, str]:
    sentence, step = redactor.text(finding.sentence), redactor.text(finding.next_step)
    return {"name": finding.name, "state": finding.state, "sentence": sentence, "next_step": step}


def _happening(each: Mapping[str, object], redactor: Redactor) -> dict[str, object]:
    fields = each.get("fields")
    shown: dict[str, object] = {}
    for name, value in fields.items() if isinstance(fields, Mapping) else ():
        if name in _NAMES and isinstance(value, str):
            shown[name] = redactor.whole(_NAMES[name], value)
        else:
            shown[name] = redactor.value(value)
    return {
        "number": each.get("number"),
        "at_s": each.get("at_s"),
        "event": redactor.value(each.get("event")),
        "fields": shown,
    }
