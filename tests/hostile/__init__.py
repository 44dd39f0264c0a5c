# SPDX-License-Identifier: MIT
"""Models, adapters and tokenizers that mean harm, made in code, and what they do unguarded."""
