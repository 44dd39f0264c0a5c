# SPDX-License-Identifier: MIT
"""Protobuf written by hand, for what no library would write."""


def varint(number: int) -> bytes:
    """Write a number, seven bits to a byte."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire_type: int) -> bytes:
    """Write what comes before the value of a field."""
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    """Write a field that is a number."""
    return tag(field, 0) + varint(value)


def piece(field: int, content: bytes) -> bytes:
    """Write a field that is a string, some bytes or a message."""
    return tag(field, 2) + varint(len(content)) + content


# Numbers of fields, by the message that they are in.
MODEL_IR, MODEL_GRAPH, MODEL_OPSET, MODEL_METADATA = 1, 7, 8, 14
GRAPH_NODE, GRAPH_NAME, GRAPH_WEIGHT, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 5, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_OP, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_GRAPH, ATTRIBUTE_TYPE = 1, 6, 20
A_GRAPH = 5

FRAME = number(MODEL_IR, 10) + piece(MODEL_OPSET, piece(1, b"") + number(2, 21))


def framed(graph: bytes) -> bytes:
    """Write a model around a graph."""
    return FRAME + piece(MODEL_GRAPH, graph)
