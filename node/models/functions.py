# SPDX-License-Identifier: MIT
"""Writes the functions of a model out into its graph, after counting what that would make.

A model of two kilobytes can call functions that call functions until no memory holds the
result, so nothing is inlined before it has been counted. This module imports onnx, so it runs
in the throw-away inspector alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError, EncodeError
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    defs,
)
from onnx.inliner import inline_local_functions

from node.models.constants import brief, refuse
from node.models.policy import CALL_DEPTH_MAX, INLINED_BYTES_MAX, Policy
from node.models.precheck import FunctionKey, domain_of, key_of
from protocol.errors import Refused
from protocol.limits import UINT_MAX
from protocol.reasons import Reason


@dataclass(frozen=True, slots=True)
class Expansion:
    """What one call of a function becomes: nodes, their bytes, and references to attributes."""

    nodes: int = 0
    size_bytes: int = 0
    references: int = 0
    depth: int = 0


@dataclass(slots=True)
class _Body:
    """What stands in a function itself, calls apart."""

    nodes: int = 0
    size_bytes: int = 0
    references: int = 0
    given_bytes: int = 0  # the largest attribute that it gives to a function
    calls: Counter[FunctionKey] = field(default_factory=Counter)


def inline(model: ModelProto, policy: Policy) -> ModelProto:
    """Give the model without functions; it is checked already, and without its large tensors."""
    if not model.functions:
        return model
    count_expansion(model, policy)
    _agree_on_versions(model)
    _fill_in_defaults(model)
    try:
        inlined = inline_local_functions(model)
    except (RuntimeError, ValueError, TypeError, DecodeError, EncodeError) as error:
        raise refuse(f"its functions cannot be inlined: {brief(error)}") from None
    if inlined.functions:
        raise refuse(f"the function {brief(inlined.functions[0].name)} cannot be inlined")
    return inlined


def count_expansion(model: ModelProto, policy: Policy) -> Expansion:
    """Count what inlining would make, or refuse: too much, or functions that call themselves."""
    functions = {key_of(function): function for function in model.functions}
    bodies = {key: _body(function.node, functions.keys()) for key, function in functions.items()}
    for key, function in functions.items():
        defaults = (attribute.ByteSize() for attribute in function.attribute_proto)
        bodies[key].given_bytes = max((bodies[key].given_bytes, *defaults))
    main = _body(model.graph.node, functions.keys())
    made: dict[FunctionKey, Expansion] = {}
    for key in functions:
        _count(key, bodies, made)
    whole = _expanded(main, made)
    given_bytes = max(main.given_bytes, *(body.given_bytes for body in bodies.values()))
    size_bytes = whole.size_bytes + whole.references * given_bytes
    if whole.nodes > policy.nodes_max:
        raise refuse(f"{_about(whole.nodes)} nodes when its functions are inlined")
    if size_bytes > INLINED_BYTES_MAX:
        raise refuse(f"{_about(size_bytes)} bytes of nodes when its functions are inlined")
    return whole


def _count(
    first: FunctionKey, bodies: dict[FunctionKey, _Body], made: dict[FunctionKey, Expansion]
) -> None:
    """Count one function and those that it calls, callees first; without recursion of our own."""
    path: dict[FunctionKey, Iterator[FunctionKey]] = {}
    todo: FunctionKey | None = first
    while todo is not None:
        if todo not in made and todo not in path:
            path[todo] = iter(bodies[todo].calls)
        callee = next((key for key in path.get(todo, iter(())) if key not in made), None)
        if callee is None:
            path.pop(todo, None)
            made[todo] = _expanded(bodies[todo], made)
            if made[todo].depth > CALL_DEPTH_MAX:
                raise refuse(f"functions that call each other deeper than {CALL_DEPTH_MAX}")
            todo = next(reversed(path), None)
        elif callee in path:
            raise refuse(f"the function {brief(callee[1])} calls itself")
        else:
            todo = callee


def _expanded(body: _Body, made: dict[FunctionKey, Expansion]) -> Expansion:
    """Sum up a body and its calls. Sums stop growing long after they are too large."""
    called = [(times, made[key]) for key, times in body.calls.items()]
    return Expansion(
        min(UINT_MAX, body.nodes + sum(times * each.nodes for times, each in called)),
        min(UINT_MAX, body.size_bytes + sum(times * each.size_bytes for times, each in called)),
        min(UINT_MAX, body.references + sum(times * each.references for times, each in called)),
        1 + max((each.depth for _, each in called), default=0),
    )


def _body(nodes: Iterable[NodeProto], functions: Iterable[FunctionKey]) -> _Body:
    """Count nodes, those in nested graphs too."""
    body = _Body()
    known = set(functions)
    for node in nodes_within(nodes):
        key = key_of(node)
        body.size_bytes += node.ByteSize()
        body.references += sum(bool(attribute.ref_attr_name) for attribute in node.attribute)
        if key in known:
            body.calls[key] += 1
            given = (attribute.ByteSize() for attribute in node.attribute)
            body.given_bytes = max((body.given_bytes, *given))
        else:
            body.nodes += 1
    return body


def nodes_within(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Give each node, and those of the graphs in its attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in graphs_of(attribute):
                yield from nodes_within(graph.node)


def graphs_of(attribute: AttributeProto) -> tuple[GraphProto, ...]:
    """Give the graphs that an attribute holds."""
    inner = (attribute.g,) if attribute.HasField("g") else ()
    return (*inner, *attribute.graphs)


def _agree_on_versions(model: ModelProto) -> None:
    """Let functions be written for another operator set, where their operators mean the same.

    onnx inlines only what is of the model's own versions. Most operators do not change from
    one version to the next, so most functions are fine.
    """
    versions = {domain_of(entry.domain): entry.version for entry in model.opset_import}
    for function in model.functions:
        for entry in function.opset_import:
            domain = domain_of(entry.domain)
            if domain not in versions:
                versions[domain] = entry.version
                model.opset_import.append(OperatorSetIdProto(domain=domain, version=entry.version))
            elif versions[domain] != entry.version:
                _check_same(function, domain, entry.version, versions[domain])
                entry.version = versions[domain]


def _fill_in_defaults(model: ModelProto) -> None:
    """Write out what calls leave to a function's defaults, which onnx forgets when it inlines."""
    defaults = {key_of(each): each.attribute_proto for each in model.functions}
    filled_in_bytes = 0
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes_within(nodes):
            given = {attribute.name for attribute in node.attribute}
            for default in defaults.get(key_of(node), ()):
                if default.name not in given:
                    filled_in_bytes += default.ByteSize()
                    if filled_in_bytes > INLINED_BYTES_MAX:
                        raise refuse(f"more than {INLINED_BYTES_MAX} bytes of default attributes")
                    node.attribute.append(default)


def _check_same(function: FunctionProto, domain: str, one: int, other: int) -> None:
    for node in nodes_within(function.node):
        if domain_of(node.domain) == domain and _since(node, one) != _since(node, other):
            detail = f"written for version {one} of {brief(domain)}, the model for {other}"
            raise refuse(f"the function {brief(function.name)} is {detail}: {brief(node.op_type)}")


def _since(node: NodeProto, version: int) -> int:
    """Say in which version an operator became what it is in this one; 0 where nobody knows."""
    if not 0 < version < 1 << 31:
        raise Refused(Reason.MODEL_REFUSED, f"version {version} of an operator set")
    try:
        return defs.get_schema(node.op_type, version, domain_of(node.domain)).since_version
    except defs.SchemaError:
        return 0


def _about(number: int) -> str:
    return str(number) if number < 10**9 else "more than 10^9"
