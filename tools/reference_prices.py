# SPDX-License-Identifier: MIT
"""The reference page about prices: what each operator costs, from protocol/roofline.py."""

from collections.abc import Callable
from inspect import cleandoc
from textwrap import fill

from protocol import price, roofline

TEXT_COLUMNS = 100

TEXT = """\
This is version {version} of the price table. 1 CU is one microsecond of a reference machine that
exists on paper only. Whoever prices a graph with these numbers gets the same integer as everybody
else; a change of any of them is a new version.

```
price of an item = 1 + ceil(sum over live nodes of max(operations, bytes) / {ps_per_cu:,} ps)
                     + ceil(bytes in and out of the item / {io_bytes_per_cu:,})
```

`operations` and `bytes` are times in picoseconds: {ps_per_flop} ps for a floating point operation,
{ps_per_byte} ps for a byte of the inputs and outputs of a node. Nothing is rounded but the two
quotients, upwards. An item above the cap `PRICE_MAX` of [the limits](limits.md) is refused."""

UNPRICED_TEXT = """\
What these cost, or how big their output is, is known only after the work is done, or no second
execution can check it: a graph with one of them is refused."""

FORMULAS: dict[str, tuple[Callable[..., object], str]] = {
    "matrix product": (roofline.matmul_flops, "2 · m · n · k"),
    "convolution": (
        roofline.conv_flops,
        "2 · outputs · (channels_in div groups) · product of the kernel's sizes",
    ),
    "attention": (
        roofline.attention_flops,
        "heads · queries · keys · (4 · width + {softmax})",
    ),
    "recurrent": (roofline.recurrent_flops, "2 · gates · steps · hidden · (width_in + hidden)"),
    "all others": (
        roofline.elementwise_flops,
        "outputs · the number of the table below, 1 for what is not in it",
    ),
}
"""What a page can show of each function; tests/tools/test_reference_prices.py evaluates both."""


def prices_page(note: str) -> str:
    """Describe the cost of every operator."""
    text = TEXT.format(
        version=price.PRICE_VERSION,
        ps_per_cu=price.PS_PER_CU,
        io_bytes_per_cu=price.IO_BYTES_PER_CU,
        ps_per_flop=price.PS_PER_FLOP,
        ps_per_byte=price.PS_PER_BYTE,
    )
    _, rule = cleandoc(roofline.live_nodes.__doc__ or "").split("\n\n")
    costs = roofline.FLOPS_PER_OUTPUT
    return (
        "\n\n".join(
            [
                "# Prices",
                note,
                text,
                fill(f"Only live nodes are paid for. {rule}", TEXT_COLUMNS),
                "## Operations, by formula",
                _formulas(),
                "## Operations for each element of the output",
                _table({op: flops for op, flops in costs.items() if flops}),
                "## Views",
                "Another view of the same bytes, or of their shape: no operations and no bytes.",
                ", ".join(f"`{op}`" for op in sorted(roofline.VIEWS)) + ".",
                "## Not priceable",
                UNPRICED_TEXT,
                ", ".join(f"`{op}`" for op in sorted(roofline.NOT_PRICEABLE)) + ".",
            ]
        )
        + "\n"
    )


def _formulas() -> str:
    rows = ["| what | operations | says |", "|---|---|---|"]
    for name, (function, formula) in FORMULAS.items():
        said = " ".join(cleandoc(function.__doc__ or "").split())
        shown = formula.format(softmax=roofline.FLOPS_PER_OUTPUT["Softmax"])
        rows.append(f"| {name} | {shown} | {said} |")
    return "\n".join(rows)


def _table(costs: dict[str, int]) -> str:
    rows = [f"| `{op}` | {flops} |" for op, flops in sorted(costs.items())]
    return "\n".join(["| operator | operations |", "|---|---:|", *rows])
