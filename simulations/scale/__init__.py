# SPDX-License-Identifier: MIT
"""Views alone, ten thousand and more of them, on one heap of events: what a large mesh does."""
