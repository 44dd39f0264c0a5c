# SPDX-License-Identifier: MIT
"""Writes docs/vectors/*.json: `python -m tests.vectors.make`. The same bytes each time.

A change of these files is a change of the protocol. Nodes that already run would not
understand it: bump the version, or take the change back.
"""

import json
from pathlib import Path
from typing import Any

from tests.tree import ROOT
from tests.vectors import forged, good, malformed, rules, torn
from tests.vectors.plain import Plain

FOLDER = ROOT / "docs" / "vectors"


def bad() -> list[Plain]:
    """Every malformed vector."""
    made = [
        *malformed.spellings(),
        *malformed.fields(),
        *malformed.lists(),
        *rules.rules(),
        *forged.signatures(),
        *forged.precedence(),
        *forged.meetings(),
        *torn.frames(),
        *torn.tensors(),
        *torn.paths(),
        *torn.texts(),
    ]
    names = [one["name"] for one in made]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"two vectors of one name: {sorted(twice)}"
    return made


FAMILIES = {
    "statements": good.statements,
    "documents": good.documents,
    "frames": good.frames,
    "tensors": good.tensors,
    "merkle": good.merkle,
    "names": good.names,
    "malformed": bad,
}


def path_of(family: str) -> Path:
    """Where a family is kept."""
    return FOLDER / f"{family}.json"


def text_of(family: str) -> str:
    """The file of a family, as it must be."""
    made: Any = FAMILIES[family]()
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        path_of(family).write_text(text_of(family), encoding="utf-8")


if __name__ == "__main__":
    main()
