# SPDX-License-Identifier: MIT
"""All rules in one table, by the name of the operator. What is not here is not priceable."""

from typing import Final

from node.models.facts import (
    attention,
    elementwise,
    fillings,
    images,
    indexing,
    products,
    recurrent,
    reductions,
    shapes,
    slices,
    windows,
)
from node.models.facts.operation import Rule

RULES: Final[dict[str, Rule]] = {
    **elementwise.RULES,
    **products.RULES,
    **windows.RULES,
    **images.RULES,
    **shapes.RULES,
    **fillings.RULES,
    **slices.RULES,
    **indexing.RULES,
    **reductions.RULES,
    **attention.RULES,
    **recurrent.RULES,
}
