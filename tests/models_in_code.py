# SPDX-License-Identifier: MIT
"""Models as users have them, small and made in code: weights are random, but the same each time.

Each function gives a `ModelProto` that ONNX Runtime takes. Symbolic dimensions have the names
that exporters give them. :func:`inputs` makes something to feed them with.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from tests.sketch import Array, Dims, Sketch

_NUMPY: Mapping[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.BOOL: np.bool_,
}


def mlp(widths: Sequence[int] = (16, 32, 8), seed: int = 0) -> ModelProto:
    """Products and Relu over rows."""
    sketch = Sketch(seed)
    now = sketch.takes("x", ["batch", widths[0]])
    for width_in, width_out in pairwise(widths[:-1]):
        bias = sketch.weight(width_out)
        now = sketch.add("Gemm", now, sketch.weight(width_out, width_in), bias, transB=1)
        now = sketch.add("Relu", now)
    last = sketch.weight(*widths[-2:])
    sketch.add("Gemm", now, last, sketch.weight(widths[-1]), into="y")
    sketch.gives("y", ["batch", widths[-1]])
    return sketch.model()


def cnn(channels: int = 8, seed: int = 0) -> ModelProto:
    """Convolutions with strides, pads, groups and holes, pools, and a classifier at the end."""
    sketch = Sketch(seed)
    image = sketch.takes("pixel_values", ["batch", 3, "height", "width"])
    now = sketch.add(
        "Conv", image, sketch.weight(channels, 3, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3]
    )
    for name in ("scale", "bias", "mean", "spread"):
        sketch.put(np.abs(sketch.dice.standard_normal(channels)) + 0.5, name)
    now = sketch.add("BatchNormalization", now, "scale", "bias", "mean", "spread")
    now = sketch.add("Relu", now)
    now = sketch.add(
        "MaxPool", now, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=0
    )
    deep = sketch.add(
        "Conv", now, sketch.weight(channels, 1, 3, 3), group=channels, pads=[1, 1, 1, 1]
    )
    wide = sketch.add(
        "Conv", now, sketch.weight(channels, channels, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2]
    )
    now = sketch.add("HardSwish", sketch.add("Add", deep, wide))
    now = sketch.add("AveragePool", now, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    now = sketch.add("Pad", now, sketch.put(np.array([0, 0, 1, 0, 0, 0, 1, 2])))
    now = sketch.add(
        "Conv",
        now,
        sketch.weight(2 * channels, channels // 2, 3, 3),
        group=2,
        auto_pad="SAME_UPPER",
    )
    pooled = sketch.add("Flatten", sketch.add("GlobalAveragePool", now))
    sketch.add("Gemm", pooled, sketch.weight(2 * channels, 10), sketch.weight(10), into="logits")
    sketch.gives("logits", ["batch", 10])
    return sketch.model()


def unet(channels: int = 4, seed: int = 0) -> ModelProto:
    """Down twice and up again, with what was there before beside it; sizes are multiples of 4."""
    sketch = Sketch(seed)
    now = sketch.takes("sample", ["batch", 3, "height", "width"])
    same: dict[str, Any] = {"pads": [1, 1, 1, 1]}
    now = sketch.add("Conv", now, sketch.weight(channels, 3, 3, 3), **same)
    kept = []
    for _ in range(2):
        kept.append(now)
        weight = sketch.weight(channels, channels, 3, 3)
        now = sketch.add("Conv", now, weight, strides=[2, 2], **same)
        now = sketch.add("Sigmoid", now)
    scales = sketch.put(np.array([1, 1, 2, 2], np.float32))
    for skip in reversed(kept):
        now = sketch.add("Resize", now, "", scales, mode="nearest")
        joined = sketch.add("Concat", now, skip, axis=1)
        now = sketch.add("Conv", joined, sketch.weight(channels, 2 * channels, 3, 3), **same)
        now = sketch.add("Add", now, skip)
    up = sketch.add("ConvTranspose", now, sketch.weight(channels, 3, 2, 2), strides=[2, 2])
    sketch.add("DepthToSpace", sketch.add("SpaceToDepth", up, blocksize=2), blocksize=2, into="out")
    sketch.gives("out", ["batch", 3, "height_out", "width_out"])
    return sketch.model()


def encoder(
    layers: int = 2, width: int = 32, heads: int = 4, vocabulary: int = 50, seed: int = 0
) -> ModelProto:
    """A sentence encoder as BERT is exported: masks and reshapes are chains over shapes."""
    sketch = Sketch(seed)
    whole = ["batch_size", "sequence_length"]
    ids = sketch.takes("input_ids", whole, TensorProto.INT64)
    mask = sketch.takes("attention_mask", whole, TensorProto.INT64)
    positions = sketch.put(np.arange(64).reshape(1, 64), "position_ids")
    length = sketch.dim("input_ids", 1)
    zero, one = sketch.put(np.array([0])), sketch.put(np.array([1]))
    places = sketch.add("Slice", positions, zero, length, one, one)
    words = sketch.add("Gather", sketch.weight(vocabulary, width, scale=1), ids)
    now = sketch.add("Add", words, sketch.add("Gather", sketch.weight(64, width, scale=1), places))
    now = sketch.norm(now, width)
    spread = sketch.add("Unsqueeze", sketch.add("Unsqueeze", mask, one), sketch.put(np.array([2])))
    seen = sketch.add("Cast", spread, to=TensorProto.FLOAT)
    far = sketch.add("Sub", sketch.put(np.float32(1)), seen)
    bias = sketch.add("Mul", far, sketch.put(np.float32(-1e4)))
    for _ in range(layers):
        now = _encoder_layer(sketch, now, bias, width, heads)
    first = sketch.add("Gather", now, sketch.put(np.int64(0)), axis=1)
    sketch.add("Tanh", sketch.linear(first, width, width), into="pooler_output")
    sketch.add("Identity", now, into="last_hidden_state")
    sketch.gives("last_hidden_state", [*whole, width])
    sketch.gives("pooler_output", ["batch_size", width])
    return sketch.model()


def _encoder_layer(sketch: Sketch, now: str, bias: str, width: int, heads: int) -> str:
    batch, length = sketch.dim(now, 0), sketch.dim(now, 1)
    split = []
    for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        side = sketch.linear(now, width, width)
        side = sketch.shaped(side, batch, length, heads, width // heads)
        split.append(sketch.add("Transpose", side, perm=order))
    query, key, value = split
    scores = sketch.add("MatMul", query, key)
    scores = sketch.add("Div", scores, sketch.put(np.float32(np.sqrt(width // heads))))
    weights = sketch.add("Softmax", sketch.add("Add", scores, bias), axis=-1)
    mixed = sketch.add("Transpose", sketch.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    mixed = sketch.shaped(mixed, batch, length, width)
    now = sketch.norm(sketch.add("Add", sketch.linear(mixed, width, width), now), width)
    inner = sketch.linear(now, width, 2 * width)
    half = sketch.add("Erf", sketch.add("Div", inner, sketch.put(np.float32(np.sqrt(2)))))
    gate = sketch.add("Mul", inner, sketch.add("Add", half, sketch.put(np.float32(1))))
    outer = sketch.linear(sketch.add("Mul", gate, sketch.put(np.float32(0.5))), 2 * width, width)
    return sketch.norm(sketch.add("Add", outer, now), width)


def decoder(
    layers: int = 2,
    width: int = 32,
    heads: int = 4,
    groups: int = 2,
    vocabulary: int = 50,
    *,
    fused: bool = True,
    seed: int = 0,
) -> ModelProto:
    """A Llama with a cache; `fused` by the operators of opset 23, else by products and Softmax."""
    sketch = Sketch(seed)
    sketch.version = 23
    head = width // heads
    whole = ["batch_size", "sequence_length"]
    total = "past_sequence_length + sequence_length"
    sketch.takes("input_ids", whole, TensorProto.INT64)
    sketch.takes("attention_mask", ["batch_size", total], TensorProto.INT64)
    sketch.takes("position_ids", whole, TensorProto.INT64)
    cache: Dims = ["batch_size", groups, "past_sequence_length", head]
    angles = np.outer(np.arange(64), 1e4 ** -(np.arange(0, head, 2) / head))
    sketch.put(np.cos(angles), "cos")
    sketch.put(np.sin(angles), "sin")
    now = sketch.add("Gather", sketch.weight(vocabulary, width, scale=1), "input_ids")
    for layer in range(layers):
        for kind in ("key", "value"):
            sketch.takes(f"past_key_values.{layer}.{kind}", cache)
    mask = _causal_mask(sketch, "past_key_values.0.key")
    for layer in range(layers):
        normed = sketch.add("RMSNormalization", now, sketch.put(np.ones(width)))
        query = sketch.add("MatMul", normed, sketch.weight(width, width))
        key = sketch.add("MatMul", normed, sketch.weight(width, groups * head))
        value = sketch.add("MatMul", normed, sketch.weight(width, groups * head))
        turned = [
            sketch.add("RotaryEmbedding", side, "cos", "sin", "position_ids", num_heads=count)
            for side, count in ((query, heads), (key, groups))
        ]
        attend = _attention if fused else _attention_in_steps
        mixed = attend(sketch, layer, [*turned, value], mask, heads, groups, head)
        now = sketch.add("Add", now, sketch.add("MatMul", mixed, sketch.weight(width, width)))
        normed = sketch.add("RMSNormalization", now, sketch.put(np.ones(width)))
        gate = sketch.add("MatMul", normed, sketch.weight(width, 2 * width))
        gate = sketch.add("Mul", gate, sketch.add("Sigmoid", gate))
        inner = sketch.add(
            "Mul", gate, sketch.add("MatMul", normed, sketch.weight(width, 2 * width))
        )
        now = sketch.add("Add", now, sketch.add("MatMul", inner, sketch.weight(2 * width, width)))
    normed = sketch.add("RMSNormalization", now, sketch.put(np.ones(width)))
    sketch.add("MatMul", normed, sketch.weight(width, vocabulary), into="logits")
    sketch.gives("logits", [*whole, vocabulary])
    for layer in range(layers):
        for kind in ("key", "value"):
            sketch.gives(f"present.{layer}.{kind}", ["batch_size", groups, total, head])
    return sketch.model()


def _causal_mask(sketch: Sketch, cache: str) -> str:
    """What each token may look at: tokens before it, and no padding; [batch, 1, length, total]."""
    scalar = sketch.put(np.array([0]))
    past = sketch.add("Squeeze", sketch.dim(cache, 2), scalar)
    length = sketch.add("Squeeze", sketch.dim("input_ids", 1), scalar)
    total = sketch.add("Add", past, length)
    zero, one = sketch.put(np.int64(0)), sketch.put(np.int64(1))
    rows = sketch.add("Range", past, total, one)
    columns = sketch.add("Range", zero, total, one)
    rows = sketch.add("Unsqueeze", rows, sketch.put(np.array([1])))
    causal = sketch.add("LessOrEqual", columns, rows)
    padding = sketch.add("Cast", "attention_mask", to=TensorProto.BOOL)
    padding = sketch.add("Unsqueeze", padding, sketch.put(np.array([1, 2])))
    return sketch.add("And", causal, padding)


def _attention(
    sketch: Sketch,
    layer: int,
    sides: Sequence[str],
    mask: str,
    heads: int,
    groups: int,
    head: int,  # noqa: ARG001 - the operator finds out itself what its sibling below is told
) -> str:
    past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
    present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
    mixed, *_ = sketch.many(
        "Attention",
        [*sides, mask, *past],
        [f"mixed.{layer}", *present],
        q_num_heads=heads,
        kv_num_heads=groups,
    )
    return mixed


def _attention_in_steps(
    sketch: Sketch, layer: int, sides: Sequence[str], mask: str, heads: int, groups: int, head: int
) -> str:
    batch, length = sketch.dim("input_ids", 0), sketch.dim("input_ids", 1)
    split = []
    for side, count in zip(sides, (heads, groups, groups), strict=True):
        shaped = sketch.shaped(side, batch, length, count, head)
        split.append(sketch.add("Transpose", shaped, perm=[0, 2, 1, 3]))
    repeated = []
    for kind, side in zip(("key", "value"), split[1:], strict=True):
        past, present = f"past_key_values.{layer}.{kind}", f"present.{layer}.{kind}"
        sketch.add("Concat", past, side, axis=2, into=present)
        total = sketch.dim(present, 2)
        spread = sketch.add("Unsqueeze", present, sketch.put(np.array([2])))
        times = [sketch.put(np.array([n])) for n in (groups, heads // groups)]
        wanted = sketch.add("Concat", batch, *times, total, sketch.put(np.array([head])), axis=0)
        wide = sketch.add("Expand", spread, wanted)
        repeated.append(sketch.shaped(wide, batch, heads, total, head))
    key = sketch.add("Transpose", repeated[0], perm=[0, 1, 3, 2])
    scores = sketch.add("MatMul", split[0], key)
    scores = sketch.add("Mul", scores, sketch.put(np.float32(head**-0.5)))
    scores = sketch.add("Where", mask, scores, sketch.put(np.float32(-1e4)))
    mixed = sketch.add("MatMul", sketch.add("Softmax", scores, axis=-1), repeated[1])
    return sketch.shaped(sketch.add("Transpose", mixed, perm=[0, 2, 1, 3]), batch, length, -1)


def grouped_decoder(
    layers: int = 1, width: int = 64, heads: int = 4, groups: int = 2, seed: int = 0
) -> ModelProto:
    """A decoder of ONNX Runtime's own operators, as its builders write them."""
    sketch = Sketch(seed)
    head = width // heads
    whole = ["batch_size", "sequence_length"]
    sketch.takes("input_ids", whole, TensorProto.INT64)
    total = "total_sequence_length"
    sketch.takes("attention_mask", ["batch_size", total], TensorProto.INT64)
    one = sketch.put(np.array([1]))
    counted = sketch.add("ReduceSum", "attention_mask", one, keepdims=0)
    last = sketch.add("Cast", sketch.add("Sub", counted, one), to=TensorProto.INT32)
    length = sketch.add("Gather", sketch.add("Shape", "attention_mask"), sketch.put(np.int64(1)))
    length = sketch.add("Cast", length, to=TensorProto.INT32)
    angles = np.outer(np.arange(64), 1e4 ** -(np.arange(0, head, 2) / head))
    turns = [sketch.put(np.cos(angles)), sketch.put(np.sin(angles))]
    now = sketch.add("Gather", sketch.weight(50, width, scale=1), "input_ids")
    skip = sketch.add("SimplifiedLayerNormalization", now, sketch.put(np.ones(width)))
    for layer in range(layers):
        past = [f"past_key_values.{layer}.{kind}" for kind in ("key", "value")]
        present = [f"present.{layer}.{kind}" for kind in ("key", "value")]
        for name in past:
            sketch.takes(name, ["batch_size", groups, "past_sequence_length", head])
        packed = sketch.add("MatMul", skip, sketch.weight(width, width + 2 * groups * head))
        mixed, *_ = sketch.many(
            "GroupQueryAttention",
            [packed, "", "", *past, last, length, *turns],
            [f"mixed.{layer}", *present],
            domain="com.microsoft",
            num_heads=heads,
            kv_num_heads=groups,
            do_rotary=1,
        )
        product = sketch.add("MatMul", mixed, sketch.weight(width, width))
        skip, _, _, now = sketch.many(
            "SkipSimplifiedLayerNormalization",
            [now, product, sketch.put(np.ones(width))],
            [f"skip.{layer}", "", "", f"now.{layer}"],
            domain="com.microsoft",
        )
        for name in present:
            sketch.gives(name, ["batch_size", groups, total, head])
    sketch.add("MatMul", skip, sketch.weight(width, 50), into="logits")
    sketch.gives("logits", [*whole, 50])
    return sketch.model()


def recurrent(width: int = 8, hidden: int = 6, seed: int = 0) -> ModelProto:
    """A layer of LSTM and one of GRU with their state, over tokens."""
    sketch = Sketch(seed)
    sketch.takes("tokens", ["length", "batch"], TensorProto.INT64)
    for name in ("h_in", "c_in", "g_in"):
        sketch.takes(name, [1, "batch", hidden])
    now = sketch.add("Gather", sketch.weight(50, width), "tokens")
    weights = [sketch.weight(1, 4 * hidden, n) for n in (width, hidden)]
    states, *_ = sketch.many(
        "LSTM",
        [now, *weights, "", "", "h_in", "c_in"],
        ["states", "h_out", "c_out"],
        hidden_size=hidden,
    )
    now = sketch.add("Squeeze", states, sketch.put(np.array([1])))
    weights = [sketch.weight(1, 3 * hidden, hidden) for _ in range(2)]
    sketch.many("GRU", [now, *weights, "", "", "g_in"], ["", "g_out"], hidden_size=hidden)
    sketch.add("Softmax", sketch.linear(now, hidden, 5), into="tags")
    sketch.gives("tags", ["length", "batch", 5])
    for name in ("h_out", "c_out", "g_out"):
        sketch.gives(name, [1, "batch", hidden])
    return sketch.model()


def quantised(width: int = 32, columns: int = 16, bits: int = 4, seed: int = 0) -> ModelProto:
    """Packed weights, then a product of integers whose scale is found in the run."""
    sketch = Sketch(seed)
    sketch.takes("x", ["batch", "length", width])
    packed = sketch.dice.integers(0, 256, (columns, 1, width * bits // 8), np.uint8)
    scales = np.abs(sketch.dice.standard_normal(columns)) + 0.1
    now = sketch.add(
        "MatMulNBits",
        "x",
        sketch.put(packed),
        sketch.put(scales),
        domain="com.microsoft",
        K=width,
        N=columns,
        bits=bits,
        block_size=width,
    )
    small, scale, zero = sketch.many("DynamicQuantizeLinear", [now], ["small", "scale", "zero"])
    weights = sketch.put(sketch.dice.integers(-128, 128, (columns, 8), np.int8))
    whole = sketch.add("MatMulInteger", small, weights, zero)
    product = sketch.add("Mul", sketch.add("Cast", whole, to=TensorProto.FLOAT), scale)
    sketch.add("Mul", product, sketch.put(np.float32(0.02)), into="y")
    sketch.gives("y", ["batch", "length", 8])
    return sketch.model()


def adaptable(width: int = 16, seed: int = 0) -> ModelProto:
    """A layer with room for a LoRA: two inputs that have a default of rank 0 in the graph."""
    sketch = Sketch(seed)
    sketch.takes("x", ["batch", width])
    sketch.takes("lora_A", [width, "rank"])
    sketch.takes("lora_B", ["rank", width])
    sketch.put(np.zeros((width, 0)), "lora_A")
    sketch.put(np.zeros((0, width)), "lora_B")
    plain = sketch.add("MatMul", "x", sketch.weight(width, width))
    turned = sketch.add("MatMul", sketch.add("MatMul", "x", "lora_A"), "lora_B")
    sketch.add("Add", plain, turned, into="y")
    sketch.gives("y", ["batch", width])
    return sketch.model()


def chain(nodes: int, width: int = 4) -> ModelProto:
    """So many small nodes, one after another."""
    sketch = Sketch()
    now = sketch.takes("x", ["batch", width])
    one = sketch.put(np.float32(1))
    for _ in range(nodes):
        now = sketch.add("Add", now, one)
    sketch.gives(now)
    return sketch.model()


def inputs(model: ModelProto, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Make an array for each input that has no default: sums of names are added up.

    Whole numbers are small, so that they are tokens and places of anything; the numbers of a
    mask are 1.
    """
    dice = np.random.default_rng(seed)
    defaults = {each.name for each in model.graph.initializer}
    made: dict[str, Array] = {}
    for port in model.graph.input:
        if port.name in defaults:
            continue
        tensor = port.type.tensor_type
        dims = [_size(dim.dim_param, sizes) or dim.dim_value for dim in tensor.shape.dim]
        kind = np.dtype(_NUMPY[tensor.elem_type])
        if kind.kind == "f":
            made[port.name] = np.asarray(dice.standard_normal(dims)).astype(kind)
        elif "mask" in port.name:
            made[port.name] = np.ones(dims, kind)
        else:
            made[port.name] = np.asarray(dice.integers(0, 2 if kind.kind == "b" else 4, dims), kind)
    return made


def _size(text: str, sizes: Mapping[str, int]) -> int:
    return sum(sizes[part.strip()] for part in text.split("+")) if text else 0
