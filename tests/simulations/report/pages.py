# SPDX-License-Identifier: MIT
"""Reads pages as a browser would, strictly: what is opened is closed, and drawings are XML."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

EMPTY = frozenset({"meta", "br"})
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """A page that was read: its elements, its texts, and its drawings."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.by_tag: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []
        self.drawings = [
            ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.words.append(data)
            self.by_tag.setdefault(self.open[-1], []).append(data)

    def of(self, kind: str) -> list[ET.Element]:
        """The things of one class in all drawings."""
        return [
            each
            for drawing in self.drawings
            for each in drawing.iter()
            if kind in each.get("class", "").split()
        ]


def points_of(path: ET.Element) -> list[tuple[float, float]]:
    """The points of a line."""
    found = re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path.get("d", ""))
    return [(float(x), float(y)) for x, y in found]
