# SPDX-License-Identifier: MIT
"""The machine around the node: the seam, and what stands behind it on a real one."""
