# SPDX-License-Identifier: MIT
"""Orders: placed, taken, computed and paid; and whether this machine may work at all."""
