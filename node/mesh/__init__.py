# SPDX-License-Identifier: MIT
"""The mesh: who is there, and streams to them. What is said on a stream of work is in `work/`."""
