# SPDX-License-Identifier: MIT
"""Matrix products in all their forms, and einsum."""

from typing import Final

from node.models.facts.elementwise import broadcast_dims
from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped
from protocol.tensors import ElementType

Dims = tuple[Size, ...]

# Letters of an equation, in the order in which an ellipsis is filled in: no real one is so long.
_EQUATION_MAX: Final = 256


def matrix_dims(operation: Operation, left: Dims, right: Dims) -> Dims:
    """Multiply stacks of matrices as numpy does: a vector is a row on the left, a column right."""
    if not left or not right:
        raise Unpriceable("a product with a scalar")
    rows = left if len(left) > 1 else (1, *left)
    columns = right if len(right) > 1 else (*right, 1)
    operation.space.same(rows[-1], columns[-2])
    stack = broadcast_dims(operation, (rows[:-2], columns[:-2]))
    return (
        *stack,
        *(rows[-2:-1] if len(left) > 1 else ()),
        *(columns[-1:] if len(right) > 1 else ()),
    )


def fused_operands(operation: Operation) -> tuple[Dims, Dims]:
    """Give the operands of a FusedMatMul as they are multiplied, transposed where it says so."""
    turned = []
    for place, side in enumerate("AB"):
        dims = operation.given(place).dims
        if operation.flag(f"transBatch{side}") and len(dims) > 2:
            # The rows of each matrix are the first axis: they go where rows belong.
            dims = (*dims[1:-1], dims[0], dims[-1])
        if operation.flag(f"trans{side}") and len(dims) > 1:
            dims = (*dims[:-2], dims[-1], dims[-2])
        turned.append(dims)
    return turned[0], turned[1]


def matmul(operation: Operation) -> Outputs:
    """A product of two stacks of matrices, of their own type."""
    left, right = operation.given(0), operation.given(1)
    return (Shaped(left.element, matrix_dims(operation, left.dims, right.dims)),)


def fused_matmul(operation: Operation) -> Outputs:
    """The same with transposed operands."""
    dims = matrix_dims(operation, *fused_operands(operation))
    return (Shaped(operation.given().element, dims),)


def matmul_integer(operation: Operation) -> Outputs:
    """Integers in, 32 bits out."""
    left, right = operation.given(0), operation.given(1)
    return (Shaped(ElementType.INT32, matrix_dims(operation, left.dims, right.dims)),)


def matmul_to_float(operation: Operation) -> Outputs:
    """Integers in, floats of the type of the scale out."""
    left, right = operation.given(0), operation.given(1)
    element = operation.given(2).element
    return (Shaped(element, matrix_dims(operation, left.dims, right.dims)),)


def qlinear_matmul(operation: Operation) -> Outputs:
    """Quantised operands and result, each with scale and zero point."""
    left, right = operation.given(0), operation.given(3)
    element = operation.given(7).element
    return (Shaped(element, matrix_dims(operation, left.dims, right.dims)),)


def gemm_operands(operation: Operation) -> tuple[Size, Size, Size]:
    """Give rows, columns and what is summed over, for a Gemm."""
    left, right = operation.ranked(0, 2).dims, operation.ranked(1, 2).dims
    if operation.flag("transA"):
        left = left[::-1]
    if operation.flag("transB"):
        right = right[::-1]
    return left[0], right[1], operation.space.same(left[1], right[0])


def gemm(operation: Operation) -> Outputs:
    """A product of two matrices, plus one."""
    rows, columns, _ = gemm_operands(operation)
    return (Shaped(operation.given().element, (rows, columns)),)


def matmul_nbits(operation: Operation) -> Outputs:
    """A product with packed weights, whose shape the attributes tell."""
    source = operation.given()
    if not source.rank:
        raise Unpriceable("a product with a scalar")
    inner, columns = operation.integer("K"), operation.integer("N")
    operation.space.same(source.dims[-1], inner)
    return (Shaped(source.element, (*source.dims[:-1], columns)),)


def einsum_labels(operation: Operation) -> tuple[list[list[str]], list[str]]:
    """Read an equation: the label of each axis of each operand, and those of the result.

    The axes under an ellipsis are labelled with their number, counted from the back.
    """
    equation = operation.text("equation", "").replace(" ", "")
    if len(equation) > _EQUATION_MAX:
        raise Unpriceable("an equation of more letters than a person can read")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operation.inputs):
        raise Unpriceable(f"an equation of {len(terms)} operands for {len(operation.inputs)}")
    labels = [_labels(term, operation.given(place).rank) for place, term in enumerate(terms)]
    hidden = max(
        ([label for label in each if label.isdigit()] for each in labels), key=len, default=[]
    )
    if arrow:
        rank = len(right.replace("...", "")) + len(hidden) * ("..." in right)
        return labels, _labels(right, rank)
    letters = sorted(left.replace(",", "").replace(".", ""))
    if not "".join(letters).islower():
        raise Unpriceable("an equation without result whose letters have no agreed order")
    return labels, hidden + [letter for letter in letters if letters.count(letter) == 1]


def _labels(term: str, rank: int) -> list[str]:
    before, dots, after = term.partition("...")
    letters = before + after
    hidden = rank - len(letters)
    if (letters and not (letters.isascii() and letters.isalpha())) or (hidden and not dots):
        raise Unpriceable(f"the term {term[:80]!r} of an equation, for {rank} axes")
    if hidden < 0:
        raise Unpriceable(f"the term {term[:80]!r} of an equation, for {rank} axes")
    return [*before, *(str(each) for each in range(hidden, 0, -1)), *after]


def einsum_sizes(operation: Operation) -> tuple[dict[str, Size], list[str]]:
    """Give the size of each label of an equation, and the labels of the result."""
    labels, result = einsum_labels(operation)
    sizes: dict[str, Size] = {}
    for place, term in enumerate(labels):
        for label, dim in zip(term, operation.given(place).dims, strict=True):
            sizes[label] = operation.space.meet(sizes.get(label, 1), dim)
    for size in sizes.values():
        operation.space.need_factors(size)  # ONNX Runtime divides by it, and dies when it is 0
    if len(set(result)) != len(result) or not sizes.keys() >= set(result):
        raise Unpriceable("an equation whose result has a label twice, or one of its own")
    return sizes, result


def einsum(operation: Operation) -> Outputs:
    """Multiply and sum over labels."""
    sizes, result = einsum_sizes(operation)
    return (Shaped(operation.given().element, tuple(sizes[label] for label in result)),)


RULES: Final[dict[str, Rule]] = {
    "MatMul": matmul,
    "com.microsoft:FusedMatMul": fused_matmul,
    "MatMulInteger": matmul_integer,
    "com.microsoft:MatMulIntegerToFloat": matmul_to_float,
    "com.microsoft:DynamicQuantizeMatMul": matmul_to_float,
    "QLinearMatMul": qlinear_matmul,
    "Gemm": gemm,
    "com.microsoft:MatMulNBits": matmul_nbits,
    "Einsum": einsum,
}
