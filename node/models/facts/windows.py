# SPDX-License-Identifier: MIT
"""Operators that move a window over an image: convolutions and pools, with any number of axes."""

from dataclasses import dataclass
from math import prod
from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped, static
from protocol.tensors import ElementType

Dims = tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves: one entry of each for each axis of the image."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    ahead: tuple[int, ...]
    behind: tuple[int, ...]
    auto_pad: str

    @property
    def taps(self) -> int:
        """How many elements the kernel looks at."""
        return prod(self.kernel)

    def spans(self) -> tuple[int, ...]:
        """How far the kernel reaches, holes included."""
        pairs = zip(self.kernel, self.dilations, strict=True)
        return tuple((size - 1) * dilation + 1 for size, dilation in pairs)


def window_of(operation: Operation, kernel: Dims | None = None) -> Window:
    """Read the attributes; a convolution knows its kernel from its weights."""
    if kernel is None:
        listed = operation.integers("kernel_shape") or ()
        rank = len(listed)
        kernel = operation.steps("kernel_shape", rank, 1)
    else:
        rank = len(kernel)
        declared = operation.integers("kernel_shape") or kernel
        for said, real in zip(declared, kernel, strict=True):
            operation.space.same(said, real)
    known = static(kernel)
    if known is None or not known or min(known) < 1:
        raise Unpriceable("a kernel whose shape is not known")
    auto_pad = operation.text("auto_pad", "NOTSET")
    if auto_pad not in {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"}:
        raise Unpriceable(f"auto_pad is {auto_pad[:40]!r}")
    pads = operation.steps("pads", 2 * rank, 0, 0) if auto_pad == "NOTSET" else (0,) * (2 * rank)
    strides = operation.steps("strides", rank, 1)
    dilations = operation.steps("dilations", rank, 1)
    return Window(known, strides, dilations, pads[:rank], pads[rank:], auto_pad)


def slid(operation: Operation, image: Dims, window: Window, *, ceil: bool = False) -> Dims:
    """Give what is left of an image after a window moved over it."""
    if len(image) != len(window.kernel):
        raise Unpriceable(f"a kernel of {len(window.kernel)} axes on an image of {len(image)}")
    space = operation.space
    result = []
    for axis, (size, span) in enumerate(zip(image, window.spans(), strict=True)):
        stride, ahead, behind = window.strides[axis], window.ahead[axis], window.behind[axis]
        if window.auto_pad.startswith("SAME"):
            result.append(space.floor(size + stride - 1, stride))
            continue
        room = size + ahead + behind - span
        space.need(room)
        if ceil:
            result.append(_rounded_up(operation, room, size + ahead, stride, span - behind))
        else:
            result.append(space.floor(room, stride) + 1)
    return tuple(result)


def _rounded_up(operation: Operation, room: Size, end: Size, stride: int, reach: int) -> Size:
    """Let a last window hang over the edge, but not begin behind it."""
    count = operation.space.floor(room + stride - 1, stride) + 1
    begins = (count - 1) * stride
    if isinstance(begins, int) and isinstance(end, int):
        return count - 1 if begins >= end else count
    if stride <= reach:  # the last window begins before `room + stride`, which is before `end`
        return count
    raise Unpriceable("a pool in ceil_mode whose last window may lie in the padding")


def conv_weights(operation: Operation) -> int:
    """Say which input has the weights of a convolution."""
    return 3 if operation.node.op_type == "QLinearConv" else 1


def conv_window(operation: Operation) -> Window:
    """Give the window of a convolution, from the shape of its weights."""
    weights = operation.given(conv_weights(operation))
    if weights.rank < 3:
        raise Unpriceable(f"weights of rank {weights.rank}")
    return window_of(operation, weights.dims[2:])


def conv(operation: Operation) -> Outputs:
    """A convolution; weights are [channels out, channels in / groups, kernel]."""
    image = operation.given()
    weights = operation.given(conv_weights(operation))
    window = conv_window(operation)
    groups = operation.integer("group", 1)
    if not 1 <= groups < 1 << 31 or image.rank < 3:
        raise Unpriceable(f"a convolution of {groups} groups over rank {image.rank}")
    operation.space.same(image.dims[1], weights.dims[1] * groups)
    dims = (image.dims[0], weights.dims[0], *slid(operation, image.dims[2:], window))
    element = {
        "ConvInteger": ElementType.INT32,
        "QLinearConv": operation.given(7).element if len(operation.inputs) > 7 else image.element,
    }.get(operation.node.op_type, image.element)
    return (Shaped(element, dims),)


def conv_transpose(operation: Operation) -> Outputs:
    """A convolution the other way round; weights are [channels in, channels out / groups, kernel].

    Every element of the image is spread over a window of the output.
    """
    image, weights = operation.given(), operation.given(1)
    window = conv_window(operation)
    groups = operation.integer("group", 1)
    axes = len(window.kernel)
    if not 1 <= groups < 1 << 31 or image.rank != axes + 2:
        raise Unpriceable(f"a convolution of {groups} groups over rank {image.rank}")
    operation.space.same(image.dims[1], weights.dims[0])
    asked = operation.integers("output_shape")
    extra = operation.steps("output_padding", axes, 0, 0)
    spread: list[Size] = []
    for axis, span in enumerate(window.spans()):
        size, stride = image.dims[2 + axis], window.strides[axis]
        operation.space.need(size, 1)
        if asked:
            spread.append(asked[-axes:][axis])
        elif window.auto_pad.startswith("SAME"):
            if stride > span:
                raise Unpriceable(f"a stride of {stride} over a kernel of {span} that pads itself")
            spread.append(size * stride)
        else:
            padded = window.ahead[axis] + window.behind[axis]
            spread.append((size - 1) * stride + extra[axis] + span - padded)
    dims = (image.dims[0], weights.dims[1] * groups, *spread)
    return (Shaped(image.element, dims),)


def pool(operation: Operation) -> Outputs:
    """The largest, the mean or the norm of each window; MaxPool also says where it was."""
    image = operation.given()
    window = window_of(operation)
    if image.rank < 3:
        raise Unpriceable(f"a pool over rank {image.rank}")
    if window.auto_pad.startswith("SAME") and max(window.dilations) > 1:
        raise Unpriceable("a pool with holes that pads itself, which kernels do in their own way")
    ceil = operation.flag("ceil_mode")
    dims = (*image.dims[:2], *slid(operation, image.dims[2:], window, ceil=ceil))
    return Shaped(image.element, dims), Shaped(ElementType.INT64, dims)


def global_pool(operation: Operation) -> Outputs:
    """One number for each channel."""
    image = operation.given()
    if image.rank < 2:
        raise Unpriceable(f"a pool over rank {image.rank}")
    return (Shaped(image.element, (*image.dims[:2], *((1,) * (image.rank - 2)))),)


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), conv),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pool),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"), global_pool),
    "ConvTranspose": conv_transpose,
}
