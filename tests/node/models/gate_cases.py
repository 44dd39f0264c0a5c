# SPDX-License-Identifier: MIT
"""For each gate of the precheck a graph that trips it, and a near neighbour that does not."""

from dataclasses import dataclass, replace

from onnx import AttributeProto, ModelProto, helper

from node.models.policy import STRANGER, Policy
from node.models.precheck import parse
from tests.node.models.small import (
    Change,
    doing,
    model,
    nested,
    node,
    relu,
    tensor,
)

FLOATS = bytes(8)
TWICE = "has the name of something else"
GELU = model(
    "small (float[N] x) => (float[N] y) { y = com.microsoft.Gelu(x) }", more=', "com.microsoft" : 1'
)


@dataclass(frozen=True)
class Gate:
    """What the gate says to the one graph, and nothing to the other."""

    says: str
    bad: ModelProto
    good: ModelProto
    policy: Policy = STRANGER
    normal: bool = False


def setting(**fields: int) -> Change:
    def change(made: ModelProto) -> None:
        for name, value in fields.items():
            setattr(made, name, value)

    return change


def opsets(*pairs: tuple[str, int]) -> Change:
    def change(made: ModelProto) -> None:
        del made.opset_import[:]
        made.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)

    return change


def adding(*attributes: AttributeProto) -> ModelProto:
    return relu(lambda made: made.graph.node[0].attribute.extend(attributes))


def attribute(**fields: object) -> ModelProto:
    return adding(AttributeProto(name="a", **fields))  # type: ignore[arg-type]  # wrong fields are the point


def named(name: str) -> ModelProto:
    return doing(node("Relu"), helper.make_node("Abs", ["x"], [name]))


def inputs(text: str) -> ModelProto:
    return model(f"small ({text}) => (float[N] y) {{ y = Relu(x) }}")


def branches(then_name: str) -> ModelProto:
    return model(
        f"""small (float[N] x, bool c) => (float[N] y) {{
            z = Abs(x)
            y = If(c) <then_branch = one () => (float[N] {then_name}) {{ {then_name} = Neg(z) }},
                       else_branch = two () => (float[N] b) {{ b = Relu(z) }}>
        }}"""
    )


def called(body: str) -> ModelProto:
    return model(
        "small (float[N] x) => (float[N] y) { y = own.f <alpha: float = 2.0>(x) }",
        more=', "own" : 1',
        functions=f'<domain: "own", opset_import: ["" : 21]> f <alpha> (a) => (b) {{ {body} }}',
    )


def functions(count: int) -> ModelProto:
    text = '<domain: "own", opset_import: ["" : 21]> f (a) => (b) { b = Relu(a) }'
    made = model("small (float[N] x) => (float[N] y) { y = Relu(x) }", functions=text)
    made.functions.extend(list(made.functions) * (count - 1))
    return made


def port_dimension(size: int) -> ModelProto:
    def change(made: ModelProto) -> None:
        made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size

    return relu(change)


def metadata(key: str) -> ModelProto:
    return relu(lambda made: made.metadata_props.add(key=key, value="1"))


def ports(count: int) -> ModelProto:
    def change(made: ModelProto) -> None:
        for number in range(count - 1):
            made.graph.input.add().CopyFrom(made.graph.input[0])
            made.graph.input[-1].name = f"more{number}"

    return relu(change)


def broken_text(made: ModelProto, text: bytes = b"Relu") -> ModelProto:
    """The same model, with something that is no text instead of this."""
    return parse(made.SerializeToString().replace(text, b"\xff" * len(text)))


def function_having(domain: str, attribute: str) -> ModelProto:
    made = functions(1)
    made.functions[0].opset_import.add(domain=domain, version=1)
    made.functions[0].attribute.append(attribute)
    return made


def typed(kind: str) -> ModelProto:
    return model(f"small (float[N] x, {kind} s) => (float[N] y) {{ y = Relu(x) }}")


GATES = {
    # the model
    "old IR": Gate("IR version 3", relu(setting(ir_version=3)), relu(setting(ir_version=4))),
    "new IR": Gate("IR version 14", relu(setting(ir_version=14)), relu(setting(ir_version=13))),
    "old opset": Gate("version 6 of", relu(opsets(("", 6))), relu(opsets(("", 7)))),
    "new opset": Gate("version 27 of", relu(opsets(("", 27))), relu(opsets(("", 26)))),
    "two opsets": Gate(
        "two versions", relu(opsets(("", 21), ("ai.onnx", 21))), relu(opsets(("ai.onnx", 21)))
    ),
    "no opset": Gate("no version of", relu(opsets()), relu(opsets(("", 21)))),
    "domain": Gate(
        "domain 'evil.com'",
        doing(node("Relu", domain="evil.com")),
        doing(node("Relu", domain="ai.onnx")),
    ),
    "version of a domain": Gate(
        "version 2 of the operator set 'com.microsoft'",
        doing(node("Gelu", domain="com.microsoft"), more=', "com.microsoft" : 2'),
        GELU,
    ),
    "operator of a domain": Gate(
        "not among the operators",
        doing(node("Attention", domain="com.microsoft"), more=', "com.microsoft" : 1'),
        GELU,
    ),
    "overload": Gate("is an overload", doing(node("Relu", overload="o")), relu()),
    "training": Gate("training graph", relu(lambda made: made.training_info.add()), relu()),
    "metadata": Gate("for the runtime", metadata("ort_config"), metadata("author")),
    "parts": Gate("more than 30 parts", ports(15), ports(5), replace(STRANGER, parts_max=30)),
    # functions
    "function twice": Gate(
        "defined twice",
        functions(2),
        functions(1),
    ),
    "reference": Gate(
        "refers to what a function",
        attribute(ref_attr_name="alpha", type=AttributeProto.FLOAT),
        called("b = LeakyRelu <alpha: float = @alpha> (a)"),
    ),
    "domain in a function": Gate(
        "an operator set of function 'f'",
        broken_text(function_having("doma", "attr"), b"doma"),
        function_having("doma", "attr"),
    ),
    "attribute of a function": Gate(
        "an attribute of function 'f'",
        broken_text(function_having("doma", "attr"), b"attr"),
        function_having("doma", "attr"),
    ),
    "operator in a function": Gate(
        "node 0 .Bernoulli", called("b = Bernoulli(a)"), called("b = Relu(a)")
    ),
    "name in a function": Gate("takes 'x'", called("b = Relu(x)"), called("b = Relu(a)")),
    "output of a function": Gate(
        "that nothing gives", called("c = Relu(a)"), called("b = Relu(a)")
    ),
    # nodes
    **{
        name: Gate("may run for ever, or differently", doing(node(name)), doing(node("Relu")))
        for name in (
            "Loop",
            "Scan",
            "RandomNormal",
            "RandomUniformLike",
            "Multinomial",
            "Bernoulli",
        )
    },
    "nodes": Gate(
        "more than 2 nodes",
        doing(node("Abs", "x", "a"), node("Abs", "a", "b"), node("Abs", "b")),
        doing(node("Abs", "x", "a"), node("Abs", "a")),
        replace(STRANGER, nodes_max=2),
    ),
    "nesting": Gate("nested deeper than 4", nested(5), nested(4)),
    "no operator": Gate("has no name", doing(node("")), relu()),
    "undefined": Gate(
        "takes 'z', which nothing", doing(node("Add", "x z")), doing(node("Add", "x x"))
    ),
    "order": Gate(
        "takes 'a', which nothing before it gives",
        doing(node("Abs", "a"), node("Abs", "x", "a")),
        doing(node("Abs", "x", "a"), node("Abs", "a")),
    ),
    "circle": Gate(
        "which nothing before it gives",
        doing(node("Add", "x b", "a"), node("Abs", "a", "b"), node("Abs", "b")),
        doing(node("Add", "x x", "a"), node("Abs", "a", "b"), node("Abs", "b")),
    ),
    "given twice": Gate(
        TWICE, doing(node("Abs"), node("Relu")), doing(node("Abs", "x", "a"), node("Relu"))
    ),
    "given over an input": Gate(TWICE, doing(node("Abs", "x", "x"), node("Relu")), relu()),
    "given over a tensor": Gate(
        TWICE,
        relu(lambda made: made.graph.initializer.append(tensor("y", raw_data=FLOATS))),
        relu(lambda made: made.graph.initializer.append(tensor("x", raw_data=FLOATS))),
    ),
    "shadow": Gate(TWICE, branches("z"), branches("a")),
    "branches": Gate(TWICE, branches("x"), branches("b")),
    "missing output": Gate("given twice, or by nothing", doing(node("Abs", "x", "a")), relu()),
    "output twice": Gate(
        "given twice, or by nothing",
        relu(lambda made: made.graph.output.append(made.graph.output[0])),
        relu(),
    ),
    # attributes
    "attribute twice": Gate(
        "attribute 'a' twice",
        adding(*[helper.make_attribute("a", 1)] * 2),
        adding(helper.make_attribute("a", 1), helper.make_attribute("b", 1)),
    ),
    "attribute of no type": Gate(
        "of no known type", attribute(i=1), attribute(i=1, type=AttributeProto.INT)
    ),
    "attribute of a wrong type": Gate(
        "not of the type that it says",
        attribute(f=1.0, i=1, type=AttributeProto.INT),
        attribute(i=1, type=AttributeProto.INT),
    ),
    "attribute of nothing": Gate(
        "is empty", attribute(type=AttributeProto.INT), attribute(type=AttributeProto.INTS)
    ),
    "values": Gate(
        "65537 values",
        attribute(ints=range(65537), type=AttributeProto.INTS),
        attribute(ints=range(65536), type=AttributeProto.INTS),
    ),
    "text": Gate(
        "text of 65537 bytes",
        attribute(s=bytes(65537), type=AttributeProto.STRING),
        attribute(s=bytes(65536), type=AttributeProto.STRING),
    ),
    "texts": Gate(
        "text of 65537 bytes",
        attribute(strings=[bytes(65537)], type=AttributeProto.STRINGS),
        attribute(strings=[bytes(65536)], type=AttributeProto.STRINGS),
    ),
    "tensor in an attribute": Gate(
        "attribute 'a' of node 0 .Relu.: 7 bytes of data",
        attribute(t=tensor(raw_data=bytes(7)), type=AttributeProto.TENSOR),
        attribute(t=tensor(raw_data=FLOATS), type=AttributeProto.TENSOR),
    ),
    "tensors in an attribute": Gate(
        "7 bytes of data",
        attribute(tensors=[tensor(raw_data=bytes(7))], type=AttributeProto.TENSORS),
        attribute(tensors=[tensor(raw_data=FLOATS)], type=AttributeProto.TENSORS),
    ),
    # names
    "long name": Gate("of more than 256 bytes", named("é" * 129), named("é" * 128)),
    "deceiving name": Gate("deceives its reader", named("a\u202eb"), named("a b")),
    "no text": Gate("is no text", broken_text(relu()), relu()),
    # ports
    "ports": Gate("1025 inputs", ports(1025), ports(1024)),
    "input twice": Gate(TWICE, inputs("float[N] x, float[N] x"), inputs("float[N] x, float[N] z")),
    "sequence": Gate("no tensor of a known type", typed("seq(float[N])"), typed("float[N]")),
    "no type": Gate(
        "no tensor of a known type",
        relu(lambda made: made.graph.output[0].ClearField("type")),
        relu(),
    ),
    "rank of a port": Gate(
        "17 dimensions", inputs(f"float[{'1,' * 16}1] x"), inputs(f"float[{'1,' * 15}1] x")
    ),
    "dimension of a port": Gate(
        "a dimension of -1",
        port_dimension(-1),
        port_dimension(0),
    ),
}
