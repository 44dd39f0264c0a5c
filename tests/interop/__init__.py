# SPDX-License-Identifier: MIT
"""A second reader of the protocol, in another language. It shares no code with the first."""
