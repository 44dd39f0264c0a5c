# SPDX-License-Identifier: MIT
"""Calibration by running: what is honest noise, what may be batched, what has to be exact."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from node.executor.executor import Group, Model
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from node.models.calibrate import Calibration, calibrated
from protocol.compare import EXACT, F32, FLOORS
from protocol.interface import Interface, PortShape
from protocol.tensors import ElementType

pytestmark = pytest.mark.slow

DICE = np.random.default_rng(3)
US = Group("us", trusted=True)


def ports(*dims: tuple[int, int], element: ElementType = ElementType.FLOAT) -> Interface:
    x = PortShape("x", ElementType.FLOAT, False, dims)
    return Interface((x,), (PortShape("y", element, False, dims),), (), 1, ())


def graph(*nodes: tuple[str, list[str], str], **weights: object) -> ModelProto:
    dims: list[int | str] = ["n", 16]
    made = helper.make_graph(
        [helper.make_node(op, inputs, outputs.split()) for op, inputs, outputs in nodes],
        "calibrated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def floats(*dims: int) -> object:
    return DICE.standard_normal(dims).astype(np.float32)


def mlp() -> ModelProto:
    return graph(
        ("MatMul", ["x", "a"], "h"),
        ("Relu", ["h"], "r"),
        ("MatMul", ["r", "b"], "y"),
        a=floats(16, 64),
        b=floats(64, 16),
    )


def dynamic_int8() -> ModelProto:
    """One scale for all rows: a neighbour changes your answer."""
    return graph(
        ("DynamicQuantizeLinear", ["x"], "q s z"),
        ("MatMulInteger", ["q", "w", "z"], "i"),
        ("Cast", ["i"], "f"),
        ("Mul", ["f", "s"], "y"),
        w=DICE.integers(-99, 99, (16, 16)).astype(np.int8),
    )


def constant() -> ModelProto:
    return graph(
        ("Mul", ["x", "zero"], "h"),
        ("Add", ["h", "one"], "y"),
        zero=np.float32(0),
        one=np.float32(1),
    )


def not_a_number() -> ModelProto:
    return graph(("Sqrt", ["x"], "y"))


def rows_mixed() -> ModelProto:
    return graph(("CumSum", ["x", "axis"], "y"), axis=np.int64(0))


def write(folder: Path, model: ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Cast":
            node.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    folder.chmod(0o755)  # a runner is another user where the tests are the administrator
    (folder / "graph.onnx").write_bytes(model.SerializeToString())


async def calibrate(folder: Path, model: ModelProto, *, at_best: int = F32) -> Calibration:
    write(folder, model)
    pool = Pool(PoolLimits(), Zygote(nice=0))
    async with pool.open():
        made = Model(b"model", folder, ports((1, 0), (0, 16)))
        return await calibrated(pool, made, US, (1,), at_best=at_best)


async def test_a_float_model_gets_the_floor_of_its_class_and_may_be_batched(tmp_path: Path) -> None:
    found = await calibrate(tmp_path, mlp())
    assert (found.comparator, found.tolerance) == (F32, FLOORS[F32])
    assert found.noise * 20 <= found.tolerance
    assert found.spread > 20 * found.tolerance
    assert found.batchable


@pytest.mark.parametrize("make", [dynamic_int8, rows_mixed])
async def test_rows_that_depend_on_their_neighbours_are_not_batched(
    tmp_path: Path, make: Callable[[], ModelProto]
) -> None:
    assert not (await calibrate(tmp_path, make())).batchable


@pytest.mark.parametrize("make", [constant, not_a_number])
async def test_outputs_that_nothing_can_be_told_from_are_compared_exactly(
    tmp_path: Path, make: Callable[[], ModelProto]
) -> None:
    found = await calibrate(tmp_path, make())
    assert (found.comparator, found.tolerance) == (EXACT, 0)


async def test_a_model_that_must_be_exact_is_not_given_a_tolerance(tmp_path: Path) -> None:
    found = await calibrate(tmp_path, mlp(), at_best=EXACT)
    assert (found.comparator, found.tolerance) == (EXACT, 0)
    assert found.batchable
