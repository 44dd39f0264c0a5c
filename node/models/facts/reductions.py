# SPDX-License-Identifier: MIT
"""Operators that make one number of many: sums, norms, the largest of an axis."""

from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable, product
from node.models.facts.tensors import Shaped, Value, followed
from node.models.facts.values import fitted
from protocol.tensors import ElementType

Dims = tuple[Size, ...]


def reduce(operation: Operation) -> Outputs:
    """Reduce some axes, or all of them."""
    source = operation.given()
    axes = operation.axes(source.rank, 1)
    if not axes:
        if operation.flag("noop_with_empty_axes"):
            return (Shaped(source.element, source.dims),)
        axes = tuple(range(source.rank))
    _need_elements(operation, source)
    dims = _reduced(source.dims, axes, keep=operation.flag("keepdims", 1))
    return (Shaped(source.element, dims, _total(operation, source, axes, dims)),)


def _need_elements(operation: Operation, source: Shaped) -> None:
    """Have something to reduce: of an empty tensor kernels give back the shape as it was."""
    for dim in source.dims:
        operation.space.need_factors(dim)


def _reduced(dims: Dims, axes: tuple[int, ...], *, keep: bool) -> Dims:
    if keep:
        return tuple(1 if place in axes else dim for place, dim in enumerate(dims))
    return tuple(dim for place, dim in enumerate(dims) if place not in axes)


def _total(
    operation: Operation, source: Shaped, axes: tuple[int, ...], dims: Dims
) -> tuple[Value, ...] | None:
    """Follow what exporters do to count elements: the product, or the sum, of a whole shape."""
    op = operation.node.op_type
    if op not in {"ReduceProd", "ReduceSum"} or len(axes) != source.rank or source.values is None:
        return None
    if followed(source.element, dims) is None or source.element is not ElementType.INT64:
        return None
    sizes = [value for value in source.values if value is not None]
    if len(sizes) != len(source.values) or any(isinstance(size, float) for size in sizes):
        return None
    whole = [size for size in sizes if not isinstance(size, float)]
    total = product(whole) if op == "ReduceProd" else _sum(whole)
    return (fitted(operation.space, source.element, total),)


def _sum(sizes: list[Size]) -> Size:
    total: Size = 0
    for size in sizes:
        total = total + size
    return total


def arg_reduce(operation: Operation) -> Outputs:
    """Say where the largest element of an axis is."""
    source = operation.given()
    axis = operation.axis(source.rank, 0)
    _need_elements(operation, source)
    dims = _reduced(source.dims, (axis,), keep=operation.flag("keepdims", 1))
    return (Shaped(ElementType.INT64, dims),)


def batch_normalization(operation: Operation) -> Outputs:
    """Scale and shift each channel by constants."""
    if operation.flag("training_mode") or operation.outputs > 1:
        raise Unpriceable("it trains, which inference does not")
    source = operation.given()
    return (Shaped(source.element, source.dims),)


def layer_normalization(operation: Operation) -> Outputs:
    """Normalise the last axes; the mean and its like have one number for what was normalised."""
    source = operation.given()
    axis = operation.axis(source.rank, -1)
    dims = (*source.dims[:axis], *((1,) * (source.rank - axis)))
    stash = Shaped(ElementType.FLOAT, dims)
    return (Shaped(source.element, source.dims), stash, stash)


def rms_normalization(operation: Operation) -> Outputs:
    """Normalise the last axes; the result is of the type of the scale."""
    source = operation.given()
    return (Shaped(operation.given(1).element, source.dims),)


def skip_normalization(operation: Operation) -> Outputs:
    """Add two tensors and normalise; the sum may come out as well, as the fourth output."""
    source = operation.given()
    if not source.rank:
        raise Unpriceable("a scalar cannot be normalised")
    stash = Shaped(ElementType.FLOAT, (*source.dims[:-1], 1))
    same = Shaped(source.element, source.dims)
    return (same, stash, stash, same)


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(
        (
            *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
            *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
        ),
        reduce,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg_reduce),
    **dict.fromkeys(
        (
            *("LayerNormalization", "SimplifiedLayerNormalization"),
            "com.microsoft:SimplifiedLayerNormalization",
        ),
        layer_normalization,
    ),
    **dict.fromkeys(
        (
            "com.microsoft:SkipLayerNormalization",
            "com.microsoft:SkipSimplifiedLayerNormalization",
        ),
        skip_normalization,
    ),
    "BatchNormalization": batch_normalization,
    "RMSNormalization": rms_normalization,
}
