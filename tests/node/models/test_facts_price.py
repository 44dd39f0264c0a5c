# SPDX-License-Identifier: MIT
"""What nodes cost: by hand, the same for equal graphs, and nothing for what does not work."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from node.models.facts.derive import Facts, derive
from node.models.facts.walk import needed
from protocol.errors import Refused
from protocol.price import NodeCost, Polynomial, constant, symbol
from protocol.reasons import Reason
from tests import models_in_code as models
from tests.node.models.facts_world import costs_of, manifest_of, outside, price_of
from tests.sketch import Sketch

N, M = symbol(0), symbol(1)
FLOAT = TensorProto.FLOAT


def costs(
    build: Callable[[Sketch], str], *inputs: Sequence[int | str], element: int = FLOAT
) -> list[tuple[Polynomial, Polynomial]]:
    """The price facts of a graph over inputs x0, x1 and so on, as (operations, bytes) pairs."""
    sketch = Sketch()
    for place, dims in enumerate(inputs):
        sketch.takes(f"x{place}", dims, element)
    sketch.gives(build(sketch))
    facts = costs_of(derive(sketch.model()))
    assert all(cost.count == 1 for cost in facts)
    return [(cost.flops, cost.bytes_moved) for cost in facts]


def test_a_product_costs_two_operations_for_each_pair() -> None:
    found = costs(lambda s: s.add("MatMul", "x0", s.weight(4, 8)), ["n", 4])
    assert found == [(N * 64, N * 48 + 128)]
    gemm = costs(lambda s: s.add("Gemm", "x0", s.weight(8, 4), transB=1), ["n", 4])
    assert gemm == found
    stack = costs(lambda s: s.add("MatMul", "x0", "x1"), ["n", "m", 3], ["n", 3, "m"])
    assert stack == [(N * M * M * 6, (N * M * 6 + N * M * M) * 4)]


def test_a_convolution_costs_two_operations_for_each_tap() -> None:
    found = costs(
        lambda s: s.add("Conv", "x0", s.weight(4, 3, 3, 3), pads=[1, 1, 1, 1]), ["n", 3, 8, 8]
    )
    assert found == [(N * (4 * 64 * 27 * 2), N * (4 * (3 + 4) * 64) + 4 * 108)]
    grouped = costs(lambda s: s.add("Conv", "x0", s.weight(6, 1, 5), group=3), ["n", 3, 9])
    assert grouped == [(N * (6 * 5 * 5 * 2), N * (4 * (27 + 30)) + 4 * 30)]
    turned = costs(
        lambda s: s.add("ConvTranspose", "x0", s.weight(3, 2, 4), strides=[2]), ["n", 3, 5]
    )
    assert turned == [(N * (15 * 2 * 4 * 2), N * (4 * (15 + 24)) + 4 * 24)]


def test_a_window_costs_as_much_as_it_looks_at() -> None:
    """A pool of 512 x 512 at each pixel reads a quarter of a million numbers for each output."""
    found = costs(lambda s: s.add("MaxPool", "x0", kernel_shape=[512, 512]), ["n", 1, 1023, 1023])
    assert found[0][0] == N * (512 * 512 * 512 * 512)


def test_passes_over_the_data_cost_what_the_table_says() -> None:
    assert costs(lambda s: s.add("Softmax", "x0"), ["n", 10]) == [(N * 50, N * 80)]
    assert costs(lambda s: s.add("Erf", "x0"), ["n", 10]) == [(N * 80, N * 80)]
    assert costs(lambda s: s.add("Add", "x0", "x0"), ["n", 10]) == [(N * 10, N * 120)]


def test_a_view_costs_nothing() -> None:
    def views(sketch: Sketch) -> str:
        flat = sketch.add("Flatten", sketch.add("Identity", "x0"))
        return sketch.add("Reshape", flat, sketch.put([-1, 5]))

    assert costs(views, ["n", 10]) == []


def test_attention_costs_its_two_products_and_its_softmax() -> None:
    def attention(sketch: Sketch) -> str:
        sketch.version = 23
        return sketch.add("Attention", "x0", "x1", "x1")

    found = costs(attention, ["n", 4, "m", 8], ["n", 4, 16, 8])
    scores = N * M * (4 * 16)
    assert found == [(scores * 8 * 4 + scores * 5, N * M * 256 + N * 4096)]


def test_a_recurrent_layer_costs_its_gates() -> None:
    def lstm(sketch: Sketch) -> str:
        return sketch.add(
            "LSTM", "x0", sketch.weight(1, 24, 3), sketch.weight(1, 24, 6), hidden_size=6
        )

    moved = (N * 3 + N * 6) * 4 + 4 * (24 * 3 + 24 * 6)
    assert costs(lstm, ["n", 1, 3]) == [(N * (2 * 4 * 6 * 9), moved)]


def test_an_einsum_costs_the_product_of_all_its_letters() -> None:
    found = costs(lambda s: s.add("Einsum", "x0", "x1", equation="ab,cb->ac"), ["n", 3], ["m", 3])
    assert found == [(N * M * 6, (N * 3 + M * 3 + N * M) * 4)]


def test_packed_elements_are_rounded_up_to_bytes() -> None:
    def four_bits(sketch: Sketch) -> str:
        cast = sketch.add("Cast", "x0", to=TensorProto.INT4)
        return sketch.add("Cast", cast, to=FLOAT)

    sketch = Sketch()
    sketch.takes("x0", ["n", 3])
    sketch.gives(four_bits(sketch))
    (cost,) = costs_of(derive(sketch.model()))
    assert cost == NodeCost(N * 3, N * (12 + 2), 2)


def test_a_string_counts_as_32_bytes() -> None:
    found = costs(lambda s: s.add("Expand", "x0", s.put([5])), ["n", 5], element=TensorProto.STRING)
    assert found == [(N * 5, N * 320 + 8)]


def test_a_node_is_needed_when_an_output_comes_out_of_it() -> None:
    model = models.mlp()
    model.graph.node.add(op_type="Relu", input=["x"], output=["unused"])
    assert list(needed(model.graph)) == list(models.mlp().graph.node)


def test_what_is_dead_or_folded_costs_nothing() -> None:
    sketch = Sketch()
    sketch.takes("x", ["n", 4])
    weights = sketch.weight(64, 64)
    sketch.add("MatMul", "x", sketch.weight(4, 100))  # nobody takes it
    constant_product = sketch.add("MatMul", weights, weights)
    total = sketch.add("ReduceSum", constant_product, keepdims=0)
    sketch.add("Add", "x", total, into="y")
    sketch.gives("y")
    assert [cost.flops for cost in costs_of(derive(sketch.model()))] == [N * 4]


@pytest.mark.parametrize(
    "op", ["DequantizeLinear", "Mish", "Cast", "FusedMatMul", "output", "large"]
)
def test_constants_that_onnx_runtime_leaves_for_the_run_are_paid_for(op: str) -> None:
    """Else a graph could multiply them at each run for nothing: ONNX Runtime was seen to do so."""
    sketch = Sketch()
    sketch.takes("x", ["n", 64])
    weights, small = sketch.weight(64, 64), sketch.put(np.ones((64, 64), np.int8))
    if op == "DequantizeLinear":
        left = sketch.add(op, small, sketch.put(np.float32(1)))
    elif op == "Cast":
        left = sketch.add(op, weights, to=TensorProto.FLOAT16)
    elif op == "FusedMatMul":
        left = sketch.add(op, weights, weights, domain="com.microsoft")
    elif op == "large":
        left = sketch.add("Expand", weights, sketch.put([20_000, 64, 64]))
    else:
        left = sketch.add("Mish" if op == "Mish" else "Exp", weights)
    product = sketch.add("MatMul", left, left)
    if op == "output":
        sketch.gives(product)
    back = sketch.add("Cast", product, to=FLOAT) if op == "Cast" else product
    sketch.add("Add", "x", sketch.add("ReduceSum", back, keepdims=0), into="y")
    sketch.gives("y")
    flops = [cost.flops for cost in costs_of(derive(sketch.model()))]
    count = 20_000 if op == "large" else 1
    assert constant(count * 2 * 64**3) in flops


def test_equal_layers_are_one_row_with_a_count() -> None:
    facts = derive(models.chain(30))
    (cost,) = costs_of(facts)
    assert (cost.count, cost.flops) == (30, N * 4)
    deep, flat = (derive(models.encoder(layers=layers)) for layers in (30, 2))
    assert len(deep.costs) == len(flat.costs)
    assert max(cost.count for cost in costs_of(deep)) >= 30


def renamed(model: ModelProto, dice: Random) -> ModelProto:
    """The same graph with other names inside, nodes in another order, and weights as well."""
    names: dict[str, str] = {}
    kept = {port.name for port in (*model.graph.input, *model.graph.output)} | {""}

    def new(name: str) -> str:
        return name if name in kept else names.setdefault(name, f"{dice.random()}")

    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.initializer[:]
    weights = list(model.graph.initializer)
    dice.shuffle(weights)
    copy.graph.initializer.extend(weights)
    for weight in copy.graph.initializer:
        weight.name = new(weight.name)
    for node in shuffled(model, dice):
        twin = copy.graph.node.add()
        twin.CopyFrom(node)
        twin.name = f"{dice.random()}"
        twin.input[:] = [new(name) for name in node.input]
        twin.output[:] = [new(name) for name in node.output]
    return copy


def shuffled(model: ModelProto, dice: Random) -> list[NodeProto]:
    """The nodes in some other order in which they could run."""
    there = {port.name for port in model.graph.input} | {""}
    there |= {weight.name for weight in model.graph.initializer}
    waiting, order = list(model.graph.node), []
    while waiting:
        ready = [node for node in waiting if there.issuperset(node.input)]
        chosen = dice.choice(ready)
        order.append(chosen)
        there.update(chosen.output)
        waiting = [node for node in waiting if node is not chosen]
    return order


CONFLICTING = models.grouped_decoder(layers=3)  # one of its symbols becomes a sum of two others


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [models.cnn(), models.unet(), models.encoder(), models.decoder(fused=False), CONFLICTING],
    ids=["cnn", "unet", "encoder", "decoder", "grouped decoder"],
)
def test_names_and_order_inside_a_graph_do_not_matter(model: ModelProto) -> None:
    expected = derive(model)
    for seed in range(4):
        assert derive(renamed(model, Random(seed))) == expected


def test_the_order_in_which_conflicts_are_met_does_not_matter() -> None:
    def facts(order: Sequence[int]) -> Facts:
        sketch = Sketch()
        for name in "abcdef":
            sketch.takes(name, [f"n{name}", 2])
        sums = [
            lambda: sketch.add("Add", sketch.add("Concat", "a", "b", axis=0), "c", into="y0"),
            lambda: sketch.add("Add", "d", "c", into="y1"),
            lambda: sketch.add("Mul", "e", "a", into="y2"),
            lambda: sketch.add("Add", sketch.add("Concat", "e", "b", axis=0), "f", into="y3"),
        ]
        for place in order:
            sums[place]()
        for place in range(4):
            sketch.gives(f"y{place}")
        return derive(sketch.model())

    expected = facts((0, 1, 2, 3))
    assert expected.symbols == ("na", "nb")
    for order in ((3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)):
        assert facts(order) == expected


@pytest.mark.parametrize(
    "model",
    [
        *(models.mlp(), models.cnn(), models.unet(), models.encoder(), models.decoder()),
        *(models.decoder(fused=False), CONFLICTING, models.recurrent(), models.quantised()),
        *(models.adaptable(), models.chain(3)),
    ],
)
def test_facts_make_a_manifest(model: ModelProto) -> None:
    emptied = ModelProto()
    emptied.CopyFrom(model)
    outside(emptied.graph)
    manifest = manifest_of(derive(emptied))
    assert manifest.broken_rule() == ""
    assert manifest.price_facts()[0]


def test_the_price_of_an_encoder_is_what_its_products_say() -> None:
    """Six products a layer over 10 tokens of width 32, and four passes of attention: by hand."""
    facts = derive(models.encoder(layers=1, width=32, heads=4))
    per_token = 2 * (4 * 32 * 32 + 2 * 32 * 64)
    scores = 2 * 2 * 32 * 10 * 10  # both products of attention
    pooler = 2 * 32 * 32
    products = [
        cost
        for cost in costs_of(facts)
        for _ in range(cost.count)
        if cost.flops.at((1, 10, 0)) >= 2048
    ]
    total = sum(cost.flops.at((1, 10, 0)) for cost in products)
    assert total >= 10 * per_token + scores + pooler
    assert price_of(facts, [(1, 10), (1, 10)]) > 1


def test_a_price_beyond_all_limits_is_refused() -> None:
    sketch = Sketch()
    sketch.takes("x", [f"s{place}" for place in range(9)])
    sketch.add("Relu", "x", into="y")
    sketch.gives("y")
    with pytest.raises(Refused) as caught:
        derive(sketch.model())
    assert caught.value.reason is Reason.NOT_PRICEABLE
    assert "'relu_0'" in caught.value.detail
