# SPDX-License-Identifier: MIT
"""What `make` calls. Nothing here is part of the program."""
