# SPDX-License-Identifier: MIT
"""Attackers and broken machines: what is done to the world of one made node, never to its code."""
