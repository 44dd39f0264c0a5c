# SPDX-License-Identifier: MIT
"""Real nodes: processes of their own, libp2p on loopback, commands as people type them."""
