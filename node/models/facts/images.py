# SPDX-License-Identifier: MIT
"""Operators that change the size or the layout of images: padding, scaling, blocks of pixels."""

import struct
from typing import Final

from node.models.facts.operation import STEP_MAX, Operation, Outputs, Rule, places_of
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped, Value

# Floats count to here without a gap: a size that is scaled must stay below it to be exact.
_FLOAT_EXACT: Final = 1 << 24
# A scale with a larger numerator would leave no room for sizes.
_SCALE_MAX: Final = 1 << 12


def pad(operation: Operation) -> Outputs:
    """Add something before and behind each axis; negative pads take away."""
    source = operation.given()
    axes = tuple(range(source.rank))
    if operation.has("pads"):
        pads: tuple[Size, ...] = operation.integers("pads") or ()
    else:
        pads = operation.sizes(1)
        if operation.maybe(3) is not None:
            axes = places_of(operation.numbers(3), source.rank)
    if len(pads) != 2 * len(axes):
        raise Unpriceable(f"{len(pads)} pads for {len(axes)} axes")
    dims = list(source.dims)
    for place, axis in enumerate(axes):
        for each in (pads[place], pads[place + len(axes)]):
            if isinstance(each, int) and abs(each) >= STEP_MAX:
                raise Unpriceable(f"a pad of {each}")
            if not isinstance(each, int) or each < 0:
                # What is taken away from one side can be no more than there is.
                operation.space.need(source.dims[axis] + each)
            dims[axis] = dims[axis] + each
    return (Shaped(source.element, tuple(dims)),)


def resize(operation: Operation) -> Outputs:
    """Scale an image to given sizes or by given factors."""
    source = operation.given()
    if operation.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unpriceable("a size that depends on which side of an image is longer")
    listed = operation.integers("axes")
    axes = tuple(range(source.rank)) if listed is None else places_of(listed, source.rank)
    sizes = operation.maybe(3)
    dims = list(source.dims)
    if sizes is not None and sizes.dims != (0,):
        found = operation.sizes(3)
        if len(found) != len(axes):
            raise Unpriceable(f"{len(found)} sizes for {len(axes)} axes")
        for axis, size in zip(axes, found, strict=True):
            dims[axis] = size
        return (Shaped(source.element, tuple(dims)),)
    scales = _scales(operation)
    if len(scales) != len(axes):
        raise Unpriceable(f"{len(scales)} scales for {len(axes)} axes")
    for axis, scale in zip(axes, scales, strict=True):
        dims[axis] = _scaled(operation, dims[axis], scale)
    return (Shaped(source.element, tuple(dims)),)


def _scales(operation: Operation) -> tuple[Value, ...]:
    listed = operation.floats("scales")
    if listed is not None:  # Upsample of opset 7 and 8
        return listed
    return operation.values(1 if operation.opset < 11 or operation.maybe(2) is None else 2)


def _scaled(operation: Operation, size: Size, scale: Value) -> Size:
    """Multiply as ONNX Runtime does, in 32 bits, and drop the fraction."""
    if not isinstance(scale, float) or not 0 < scale < STEP_MAX:
        raise Unpriceable("a scale that is not known before the run")
    if isinstance(size, int):
        return int(_narrow(_narrow(float(size)) * scale))
    numerator, denominator = scale.as_integer_ratio()
    if numerator > _SCALE_MAX:
        raise Unpriceable(f"a scale of {scale}, which is rounded")
    operation.space.need(_FLOAT_EXACT - size * numerator)
    return operation.space.floor(size * numerator, denominator)


def _narrow(value: float) -> float:
    """Round to the nearest float of 32 bits."""
    try:
        (narrow,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        raise Unpriceable(f"a size of {value}") from None
    return float(narrow)


def depth_to_space(operation: Operation) -> Outputs:
    """Spread channels over blocks of pixels."""
    source = operation.ranked(0, 4)
    batch, channels, height, width = source.dims
    block = _block(operation)
    dims = (batch, operation.space.floor(channels, block * block), height * block, width * block)
    return (Shaped(source.element, dims),)


def space_to_depth(operation: Operation) -> Outputs:
    """Gather blocks of pixels into channels."""
    source = operation.ranked(0, 4)
    batch, channels, height, width = source.dims
    block = _block(operation)
    small = (operation.space.floor(height, block), operation.space.floor(width, block))
    return (Shaped(source.element, (batch, channels * (block * block), *small)),)


def _block(operation: Operation) -> int:
    block = operation.integer("blocksize")
    if not 1 <= block <= 1 << 12:
        raise Unpriceable(f"blocks of {block} pixels")
    return block


def grid_sample(operation: Operation) -> Outputs:
    """Look up points of an image: as many as the grid has."""
    source, grid = operation.given(0), operation.given(1)
    if source.rank < 3 or grid.rank != source.rank:
        raise Unpriceable(f"a grid of rank {grid.rank} on rank {source.rank}")
    batch = operation.space.same(source.dims[0], grid.dims[0])
    return (Shaped(source.element, (batch, source.dims[1], *grid.dims[1:-1])),)


RULES: Final[dict[str, Rule]] = {
    "Pad": pad,
    **dict.fromkeys(("Resize", "Upsample"), resize),
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "GridSample": grid_sample,
}
