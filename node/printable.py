# SPDX-License-Identifier: MIT
"""Texts of strangers on our screens: shown whole, and without power over the terminal."""


def printable(text: str) -> str:
    r"""Write every character that does something, such as an escape, as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
