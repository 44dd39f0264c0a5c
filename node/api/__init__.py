# SPDX-License-Identifier: MIT
"""The doors of a running node for its owner's programs. What they may ask for is done elsewhere."""
