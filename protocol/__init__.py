# SPDX-License-Identifier: MIT
"""What nodes say to each other and what it means. No sockets, clock, dice, threads or disk.

Import from the module that says it (`from protocol.cheque import Cheque`); this door is
empty on purpose, so that asking for a reason does not load the cryptography. The reading
order is in `protocol/README.md`.
"""
