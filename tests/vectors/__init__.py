# SPDX-License-Identifier: MIT
"""How the golden vectors in docs/vectors/ are made. What they promise is in docs/vectors/*.json."""
