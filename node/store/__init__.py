# SPDX-License-Identifier: MIT
"""What must not be lost: the journal, orders, blobs. What follows from it is not decided here."""
