# SPDX-License-Identifier: MIT
"""All hostile things, family after family. Adding one means writing it into its family."""

from tests.hostile import (
    adapters,
    arithmetic,
    bombs,
    broken,
    endless,
    files,
    memory,
    names,
    outputs,
    rules,
    texts,
    tokenizers,
    weights,
)
from tests.hostile.kinds import Hostile, Stage

FAMILIES = {
    "time": endless.KINDS,
    "memory": memory.KINDS,
    "files": files.KINDS,
    "arithmetic": arithmetic.KINDS,
    "outputs": outputs.KINDS,
    "bombs": bombs.KINDS,
    "broken files": broken.KINDS,
    "rules": rules.KINDS,
    "weights": weights.KINDS,
    "names and calls": names.KINDS,
    "texts": texts.KINDS,
    "adapters": adapters.KINDS,
    "tokenizers": tokenizers.KINDS,
}

CORPUS: tuple[Hostile, ...] = tuple(kind for kinds in FAMILIES.values() for kind in kinds)

#: Those that come as a model; the others are files beside one.
MODELS = tuple(hostile for hostile in CORPUS if hostile.stage is not Stage.INTAKE)
