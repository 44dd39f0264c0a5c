# SPDX-License-Identifier: MIT
"""Operators that work element by element: their outputs have the shape of their inputs, broadcast.

Where the elements are known by value, so are those of the output.
"""

from collections.abc import Iterable
from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped, element_type, followed
from node.models.facts.values import ALONE, STEPS, alone, broadcast, cast, chosen, combined
from protocol.tensors import ElementType

Dims = tuple[Size, ...]

UNARY: Final = frozenset(
    {
        *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu"),
        *("Clip", "Cos", "Cosh", "CumProd", "CumSum", "Elu", "Erf", "Exp", "Floor", "Gelu"),
        *("HardSigmoid", "HardSwish", "Hardmax", "LRN", "LeakyRelu", "Log", "LogSoftmax"),
        *("LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "Reciprocal"),
        *("Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax"),
        *("Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Trilu"),
        *("ReverseSequence", "ScatterElements", "Scatter", "ScatterND", "TensorScatter"),
        *("GroupNormalization", "InstanceNormalization", "RMSNormalization", "RotaryEmbedding"),
        *("com.microsoft:Gelu", "com.microsoft:QuickGelu", "com.microsoft:FastGelu"),
        *("com.microsoft:BiasGelu", "com.microsoft:RotaryEmbedding"),
    }
)
"""The output is as the first input; further ones are parameters that fit into it."""

BINARY: Final = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "PRelu", "Max", "Min", "Mean", "Sum"),
        *("And", "Or", "Xor", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
    }
)
COMPARING: Final = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})


def broadcast_dims(operation: Operation, shapes: Iterable[Dims]) -> Dims:
    """Give the shape that some shapes become together."""
    result: Dims = ()
    for dims in shapes:
        ahead = len(result) - len(dims)
        longer, shorter = (result, dims) if ahead >= 0 else (dims, result)
        start = abs(ahead)
        pairs = zip(longer[start:], shorter, strict=True)
        result = longer[:start] + tuple(operation.space.meet(*pair) for pair in pairs)
    return result


def unary(operation: Operation) -> Outputs:
    """Give the shape of the first input."""
    source = operation.given()
    values = None
    if operation.node.op_type in ALONE and source.values is not None:
        space, op = operation.space, operation.node.op_type
        values = tuple(alone(space, op, value) for value in source.values)
    return (Shaped(source.element, source.dims, values),)


def binary(operation: Operation) -> Outputs:
    """Broadcast all inputs; the type is that of the first."""
    return (_broadcast(operation, operation.given().element),)


def comparing(operation: Operation) -> Outputs:
    """Broadcast both inputs to bools."""
    return (_broadcast(operation, ElementType.BOOL),)


def testing(operation: Operation) -> Outputs:
    """Say something of each element."""
    return (Shaped(ElementType.BOOL, operation.given().dims),)


def where(operation: Operation) -> Outputs:
    """Choose between two inputs, element by element."""
    condition, one, other = (operation.given(place) for place in range(3))
    dims = broadcast_dims(operation, (each.dims for each in (condition, one, other)))
    known = followed(one.element, dims)
    if known is None:
        return (Shaped(one.element, dims),)
    spread = [broadcast(each, known) for each in (one, other)]
    if condition.values is None or spread[0] is None or spread[1] is None:
        return (Shaped(one.element, dims),)
    conditions = broadcast(condition, known)
    assert conditions is not None
    triples = zip(conditions, spread[0], spread[1], strict=True)
    return (Shaped(one.element, dims, tuple(chosen(*triple) for triple in triples)),)


def casting(operation: Operation) -> Outputs:
    """Change the type."""
    source = operation.given()
    if operation.node.op_type == "Cast":
        element = element_type(operation.integer("to"))
    else:
        element = operation.given(1).element
    values = None
    if source.values is not None and followed(element, source.dims) is not None:
        values = tuple(cast(operation.space, value, element) for value in source.values)
    return (Shaped(element, source.dims, values),)


def quantize(operation: Operation) -> Outputs:
    """Give integers, of the type of the zero point or as an attribute says."""
    zero_point, named = operation.maybe(2), operation.integer("output_dtype", 0)
    element = ElementType.UINT8
    if named:
        element = element_type(named)
    elif zero_point is not None:
        element = zero_point.element
    return (Shaped(element, operation.given().dims),)


def dequantize(operation: Operation) -> Outputs:
    """Give floats, of the type of the scale or as an attribute says."""
    named = operation.integer("output_dtype", 0)
    element = element_type(named) if named else operation.given(1).element
    return (Shaped(element, operation.given().dims),)


def dynamic_quantize(operation: Operation) -> Outputs:
    """Give bytes with one scale and one zero point for all of them."""
    return (
        Shaped(ElementType.UINT8, operation.given().dims),
        Shaped(ElementType.FLOAT, ()),
        Shaped(ElementType.UINT8, ()),
    )


def qlinear(operation: Operation) -> Outputs:
    """Two quantised operands, each with scale and zero point."""
    one, other = operation.given(0), operation.given(3)
    return (Shaped(one.element, broadcast_dims(operation, (one.dims, other.dims))),)


def _broadcast(operation: Operation, element: ElementType) -> Shaped:
    operands = tuple(operation.given(place) for place in range(len(operation.inputs)))
    if not operands:
        raise Unpriceable("there is nothing to work on")
    result = Shaped(element, broadcast_dims(operation, (each.dims for each in operands)))
    op = operation.node.op_type
    step = STEPS.get(op)
    if step is None or (op == "Mod" and operation.flag("fmod")):
        return result
    values = combined(operation.space, step, result, operands)
    return Shaped(element, result.dims, values)


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(COMPARING, comparing),
    **dict.fromkeys(("IsInf", "IsNaN"), testing),
    **dict.fromkeys(("Cast", "CastLike"), casting),
    **dict.fromkeys(
        ("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul"),
        qlinear,
    ),
    "Where": where,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
}
