# SPDX-License-Identifier: MIT
"""The same node in a made world: virtual time, links, faults, attackers. No rules of its own."""
