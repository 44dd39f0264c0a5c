# SPDX-License-Identifier: MIT
"""Looks for what keeps a node from working, and says what to do next. It mends nothing.

`inside` is asked by a running node about itself, `outside` by a command, whether a node runs
or not. Each look is a small function in one of their tables; `report` writes what was found so
that it can be shown to others.
"""

from node.doctor.inside import look_from_inside as look_from_inside
