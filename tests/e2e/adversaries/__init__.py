# SPDX-License-Identifier: MIT
"""Attacks on real nodes over real sockets: the node stays up, and whoever is honest is served."""
