# SPDX-License-Identifier: MIT
"""HTML and SVG as values. Whatever is put into one comes out escaped; there is no other way in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

Value = str | int | float | None

# What neither XML nor a reader of HTML takes: most control characters, halves of pairs.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# HTML would take `<td/>` for a beginning, so only these close themselves.
_EMPTY = frozenset({"meta", "br", "rect", "path", "line", "circle", "stop"})
# A line break after these is not seen, and makes the page one that a diff can show.
_BLOCKS = frozenset(
    {
        *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "figure"),
        *("table", "thead", "tbody", "tr", "dl", "div", "p", "h1", "h2", "ul", "li"),
        *("svg", "desc", "g", "rect", "path", "line", "text"),
    }
)


@dataclass(frozen=True, slots=True)
class Style:
    """A style sheet of our own, the one text that is not escaped."""

    text: str


@dataclass(frozen=True, slots=True)
class Tag:
    """One element. :func:`tag` makes it."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple["Tag | Style | str", ...]

    def __str__(self) -> str:
        """Write it, with all that is in it."""
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"<{self.name}"
        for name, value in self.attributes:
            yield f' {name}="{escaped(value)}"'
        end = "\n" if self.name in _BLOCKS else ""
        if self.name in _EMPTY and not self.children:
            yield f"/>{end}"
            return
        yield ">"
        for child in self.children:
            match child:
                case Tag():
                    yield from child._parts()  # noqa: SLF001  # the same class
                case Style():
                    yield child.text
                case str():
                    yield escaped(child)
        yield f"</{self.name}>{end}"


Child = Tag | Style | str | None


def tag(name: str, /, *children: Child, **attributes: Value) -> Tag:
    """Make an element. `class_` is written `class`, `stroke_width` as `stroke-width`.

    A child or an attribute that is None is left out.
    """
    return Tag(
        name,
        tuple(
            (_attribute(key), value if isinstance(value, str) else number(value))
            for key, value in attributes.items()
            if value is not None
        ),
        tuple(child for child in children if child is not None),
    )


def number(value: float) -> str:
    """Write a number for a drawing, to a hundredth of a pixel."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def escaped(text: str) -> str:
    """Write a text so that it is read as a text and nothing else."""
    return escape(_UNREADABLE.sub("\ufffd", text))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
