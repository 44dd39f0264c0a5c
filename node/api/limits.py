# SPDX-License-Identifier: MIT
"""Which changes of limits are taken: keys that can change, with values that their rules allow."""

from collections.abc import Mapping
from difflib import get_close_matches

from node.api.documents import Limits
from node.api.failures import BadRequest
from node.config import KEYS
from node.config_key import Value
from protocol.reasons import Reason


def accepted(changes: Mapping[str, object], now: Limits) -> dict[str, Value]:
    """Check each change by the rule of its key; BadRequest names the first that is wrong."""
    return {name: _accepted(name, value, now) for name, value in changes.items()}


def _accepted(name: str, value: object, now: Limits) -> Value:
    if name not in now:
        detail = f"`{name[:80]}` is no limit that can be changed while the node runs"
        if name in KEYS:
            raise BadRequest(
                Reason.NOT_FOUND, detail, "Write it into the config, and start the node anew.", 404
            )
        near = get_close_matches(name, now, n=1)
        hint = f"Did you mean `{near[0]}`?" if near else "`commons limits` lists them."
        raise BadRequest(Reason.NOT_FOUND, detail, hint, 404)
    try:
        return KEYS[name].accept(value)
    except ValueError as error:
        raise BadRequest(
            Reason.OUT_OF_RANGE, f"{name} {error}", "Choose another value.", 422
        ) from None
