# SPDX-License-Identifier: MIT
"""The daemon and its command line. What is said between nodes, and what it means, is in `protocol`.

So far this package holds the command line and its exit codes; `node/README.md` says what comes
next and where it will stand.
"""

__version__ = "0.1.0"
