# SPDX-License-Identifier: MIT
"""Looks for what keeps a node from working, and says what to do next. It mends nothing."""

from collections.abc import Sequence

from node.api.documents import Finding
from node.ground import Ground
from node.membership import Membership


async def look_from_inside(ground: Ground, member: Membership | None) -> Sequence[Finding]:
    """Look at a node that runs."""
    return ()
