# SPDX-License-Identifier: MIT
"""Tests of the control API: in the process, and over a real Unix socket."""
