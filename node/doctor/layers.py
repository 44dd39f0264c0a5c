# SPDX-License-Identifier: MIT
"""Judges the layers of the sandbox: what is missing, and what follows. The executor tries them."""

from collections.abc import Sequence

from node.api.documents import Finding
from node.doctor.looks import failure, passed, warning
from node.executor.executor import Layer
from node.executor.sandbox.confine import STRANGERS_NEED, holds_strangers

# What helps where a layer is missing. The rest is for the kernel, or for whoever made a container.
_HELPS = {
    "landlock": "Use Linux 5.13 or newer with landlock in `lsm=`; containers may forbid it.",
    "seccomp_load": "Use a kernel with seccomp filters, on x86-64 or 64-bit Arm.",
    "seccomp_run": "Use a kernel with seccomp filters, on x86-64 or 64-bit Arm.",
    "namespaces": "Allow user namespaces: `sysctl kernel.unprivileged_userns_clone`, or AppArmor.",
    "root": "It comes with the namespaces.",
}
_ELSE = "See docs/design/sandbox.md: a container, or another kernel, may forbid it."


def judged(layers: Sequence[Layer]) -> list[Finding]:
    """Say of each layer that is off what follows, and of all whether strangers' work is taken."""
    if not layers:
        return [failure("sandbox", "No layer was tried, so strangers' work is refused.", _ELSE)]
    on = [each.name for each in layers if each.on]
    found = [_missing(each) for each in layers if not each.on]
    if holds_strangers(layers):
        rest = "" if not found else ", and that is enough for the work of strangers"
        sentence = f"{len(on)} of {len(layers)} layers hold{rest}: {', '.join(on)}."
        return [passed("sandbox", sentence), *found]
    sentence = "The work of strangers is refused here: a layer that it needs does not hold."
    step = "Trusted nodes (`mesh.trusted`) can still use this machine."
    return [failure("sandbox", sentence, step), *found]


def _missing(layer: Layer) -> Finding:
    name = f"sandbox {layer.name}"
    why = layer.detail.rstrip(".") or "no reason was given"
    if layer.name in STRANGERS_NEED or layer.name == "seccomp_run":
        sentence = f"It does not hold ({why}), so the work of strangers is refused."
        return failure(name, sentence, _HELPS.get(layer.name, _ELSE))
    sentence = f"It does not hold ({why}). Others hold, so work goes on with one layer less."
    return warning(name, sentence, _HELPS.get(layer.name, _ELSE))
