# SPDX-License-Identifier: MIT
"""What one node costs: which formula of protocol/roofline.py an operator goes by, with what.

Two choices are made here, and both are on the safe side. A window (a pool) costs as much for
each output as it looks at elements. Elements below eight bits are packed; where their number
depends on symbols, each of its terms is rounded up to bytes.
"""

from collections.abc import Callable
from math import ceil
from typing import Final, TypeAlias

from node.models.facts.attention import Heads, grouped_heads_of, heads_of
from node.models.facts.operation import Operation, Outputs, full_name
from node.models.facts.products import einsum_sizes, gemm_operands
from node.models.facts.recurrent import sequence_of
from node.models.facts.symbolic import Size, Unpriceable, made, product, terms_of
from node.models.facts.tensors import Shaped
from node.models.facts.windows import conv_weights, conv_window, window_of
from protocol.price import Polynomial, constant
from protocol.roofline import (
    VIEWS,
    attention_flops,
    conv_flops,
    elementwise_flops,
    matmul_flops,
    recurrent_flops,
)
from protocol.tensors import ElementType

#: Gives a number of the price, for a size.
Amount: TypeAlias = Callable[[Size], Polynomial]
Formula: TypeAlias = Callable[[Operation, Outputs, Amount], Polynomial]

# Shapes do not say how long a string is; the interface counts as many.
_STRING_BITS: Final = 32 * 8


def cost_of(
    operation: Operation, outputs: Outputs, amount: Amount
) -> tuple[Polynomial, Polynomial]:
    """Give the operations of a node, and the bytes that it reads and writes."""
    if full_name(operation.node) in VIEWS:
        return constant(0), constant(0)
    formula = FORMULAS.get(full_name(operation.node), elementwise)
    moved: Size = 0
    for tensor in (*operation.inputs, *outputs):
        if tensor is not None:
            moved = moved + _bytes(operation, tensor)
    return formula(operation, outputs, amount), amount(moved)


def elements(operation: Operation, tensor: Shaped) -> Size:
    """Count the elements of a tensor."""
    return operation.space.elements(tensor.dims)


def _bytes(operation: Operation, tensor: Shaped) -> Size:
    bits = _STRING_BITS if tensor.element is ElementType.STRING else tensor.element.bits
    terms = terms_of(elements(operation, tensor))
    return made((symbols, ceil(factor * bits / 8)) for symbols, factor in terms)


def elementwise(operation: Operation, outputs: Outputs, amount: Amount) -> Polynomial:
    """So much for each element of what comes out."""
    total: Size = 0
    for tensor in outputs:
        if tensor is not None:
            total = total + elements(operation, tensor)
    return elementwise_flops(operation.node.op_type, amount(total))


def _pool(operation: Operation, outputs: Outputs, amount: Amount) -> Polynomial:
    taps = window_of(operation).taps
    return elementwise(operation, outputs[:1], amount) * taps


def _matrix(inner: Callable[[Operation], Size]) -> Formula:
    """Each element of the result is a sum of so many products."""

    def formula(operation: Operation, outputs: Outputs, amount: Amount) -> Polynomial:
        result = _first(outputs)
        summed = operation.space.counted(inner(operation))
        return matmul_flops(amount(elements(operation, result)), constant(1), amount(summed))

    return formula


def _first(outputs: Outputs) -> Shaped:
    if not outputs or outputs[0] is None:
        raise Unpriceable("nobody takes its result")
    return outputs[0]


def _last_axis(operation: Operation) -> Size:
    return operation.given().dims[-1]


def _fused_axis(operation: Operation) -> Size:
    dims = operation.given().dims
    return dims[-2] if operation.flag("transA") and len(dims) > 1 else dims[-1]


def _einsum(operation: Operation, _: Outputs, amount: Amount) -> Polynomial:
    """As if all operands were multiplied at once, one after another: never less than is done."""
    sizes, _result = einsum_sizes(operation)
    counted = [operation.space.counted(size) for size in sizes.values()]
    steps = max(len(operation.inputs) - 1, 1)
    return matmul_flops(amount(product(counted)), constant(1), constant(1)) * steps


def _conv(operation: Operation, outputs: Outputs, amount: Amount) -> Polynomial:
    return _conv_of(operation, _first(outputs), amount)


def _conv_transpose(operation: Operation, _: Outputs, amount: Amount) -> Polynomial:
    return _conv_of(operation, operation.given(), amount)


def _conv_of(operation: Operation, tensor: Shaped, amount: Amount) -> Polynomial:
    channels = operation.given(conv_weights(operation)).dims[1]
    if not isinstance(channels, int):
        raise Unpriceable("weights whose channels are not known")
    groups = operation.integer("group", 1)
    window = conv_window(operation)
    size = amount(elements(operation, tensor))
    return conv_flops(size, channels * groups, groups, window.kernel)


def _attention(heads: Callable[[Operation], Heads]) -> Formula:
    def formula(operation: Operation, _: Outputs, amount: Amount) -> Polynomial:
        found = heads(operation)
        counted = operation.space.counted
        # The formula takes one width for both products; of two, none may be forgotten.
        width = found.width
        if found.value_width != width:
            width = counted(width) + counted(found.value_width)
        return attention_flops(
            amount(counted(found.batch) * counted(found.heads)),
            amount(counted(found.queries)),
            amount(counted(found.keys)),
            amount(counted(width)),
        )

    return formula


def _recurrent(gates: int) -> Formula:
    def formula(operation: Operation, _: Outputs, amount: Amount) -> Polynomial:
        found = sequence_of(operation)
        steps = product(map(operation.space.counted, (found.length, found.batch)))
        return recurrent_flops(
            gates,
            amount(steps * found.directions),
            amount(operation.space.counted(found.width)),
            amount(operation.space.counted(found.hidden)),
        )

    return formula


FORMULAS: Final[dict[str, Formula]] = {
    **dict.fromkeys(
        (
            *("MatMul", "MatMulInteger", "QLinearMatMul", "com.microsoft:MatMulNBits"),
            *("com.microsoft:MatMulIntegerToFloat", "com.microsoft:DynamicQuantizeMatMul"),
        ),
        _matrix(_last_axis),
    ),
    "com.microsoft:FusedMatMul": _matrix(_fused_axis),
    "Gemm": _matrix(lambda operation: gemm_operands(operation)[2]),
    "Einsum": _einsum,
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _conv),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    "Attention": _attention(heads_of),
    "com.microsoft:GroupQueryAttention": _attention(grouped_heads_of),
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
}
