# SPDX-License-Identifier: MIT
"""The command line `commons`, one file per group of commands. It prints; it decides nothing."""
