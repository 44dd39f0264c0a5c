# SPDX-License-Identifier: MIT
"""The gates for tensors, and those of graphs that must be normal; see `gate_cases`."""

from math import prod

from onnx import AttributeProto, ModelProto, TensorProto

from protocol.limits import STRING_BYTES_MAX
from tests.node.models.gate_cases import (
    FLOATS,
    Gate,
    attribute,
    functions,
    metadata,
    opsets,
)
from tests.node.models.small import HEX, doing, external, having, node, relu, tensor

BOOL, STRING, INT64 = TensorProto.BOOL, TensorProto.STRING, TensorProto.INT64
W = "w.bin"


def sparse(dims: list[int], places: tuple[int, ...]) -> ModelProto:
    values = tensor(raw_data=FLOATS)
    indices = tensor("", INT64, places, int64_data=range(prod(places)))

    def change(made: ModelProto) -> None:
        made.graph.sparse_initializer.add(values=values, indices=indices, dims=dims)

    return relu(change)


def entries(*pairs: tuple[str, str]) -> TensorProto:
    made = external()
    for key, value in pairs:
        made.external_data.add(key=key, value=value)
    return made


def numbers(dims: tuple[int, ...], **fields: object) -> ModelProto:
    return having(tensor(dims=dims, **fields))  # type: ignore[arg-type]  # any field, right or wrong


TENSOR_GATES = {
    # tensors
    "element type": Gate(
        "no element type 99", having(tensor(element=99)), numbers((2,), raw_data=FLOATS)
    ),
    "no element type": Gate(
        "no element type 0", having(tensor(element=0)), numbers((2,), raw_data=FLOATS)
    ),
    "negative dimension": Gate("negative dimension", numbers((-1, 0)), numbers((1, 0))),
    "overflow": Gate(
        "more than 2147483648 elements", numbers((1 << 40, 1 << 40, 0)), numbers((1 << 31, 0))
    ),
    "elements": Gate(
        "more than 2147483648 elements",
        having(external((1 << 16, (1 << 15) + 1), location=W)),
        having(external((1 << 16, 1 << 15), location=W)),
    ),
    "rank": Gate(
        "rank 17", numbers((1,) * 17, raw_data=bytes(4)), numbers((1,) * 16, raw_data=bytes(4))
    ),
    "bytes": Gate(
        "7 bytes of data", numbers((2,), raw_data=bytes(7)), numbers((2,), raw_data=FLOATS)
    ),
    "no data": Gate("0 values", numbers((2,)), numbers((0,))),
    "twice the data": Gate(
        "data twice",
        numbers((2,), raw_data=FLOATS, float_data=[1, 2]),
        numbers((2,), float_data=[1, 2]),
    ),
    "values of a tensor": Gate(
        "3 values", numbers((2,), float_data=[1, 2, 3]), numbers((2,), float_data=[1, 2])
    ),
    "field of a tensor": Gate(
        "do not go into", numbers((2,), int64_data=[1, 2]), numbers((2,), float_data=[1, 2])
    ),
    "packed values": Gate(
        "3 values",
        having(tensor(element=TensorProto.INT4, dims=(3,), int32_data=[1, 2, 3])),
        having(tensor(element=TensorProto.INT4, dims=(3,), int32_data=[1, 2])),
    ),
    "complex values": Gate(
        "2 values",
        having(tensor(element=TensorProto.COMPLEX64, float_data=[1, 2])),
        having(tensor(element=TensorProto.COMPLEX64, float_data=[1, 2, 3, 4])),
    ),
    "segment": Gate(
        "one segment",
        having(tensor(raw_data=FLOATS, segment=TensorProto.Segment(begin=0, end=1))),
        having(tensor(raw_data=FLOATS)),
    ),
    "bool": Gate(
        "a bool is 0 or 1",
        having(tensor(element=BOOL, raw_data=b"\1\2")),
        having(tensor(element=BOOL, raw_data=b"\1\0")),
    ),
    "bool value": Gate(
        "a bool is 0 or 1",
        having(tensor(element=BOOL, int32_data=[1, 2])),
        having(tensor(element=BOOL, int32_data=[1, 0])),
    ),
    "strings": Gate(
        "1 strings, its dimensions want 2",
        having(tensor(element=STRING, string_data=[b"a"])),
        having(tensor(element=STRING, string_data=[b"a", b"b"])),
    ),
    "raw strings": Gate(
        "0 strings",
        having(tensor(element=STRING, raw_data=b"ab")),
        having(tensor(element=STRING, string_data=[b"a", b"b"])),
    ),
    "long string": Gate(
        "a string of 65537 bytes",
        having(tensor(element=STRING, dims=(1,), string_data=[bytes(STRING_BYTES_MAX + 1)])),
        having(tensor(element=STRING, dims=(1,), string_data=[bytes(STRING_BYTES_MAX)])),
    ),
    "sparse places": Gate("do not fit", sparse([4], (3,)), sparse([4], (2,))),
    "sparse size": Gate(
        "more than 2147483648 elements", sparse([1 << 32], (2,)), sparse([1 << 31], (2, 1))
    ),
    # external data
    **{
        f"outside: {path}": Gate(
            "outside the folder", having(external(location=path)), having(external(location=W))
        )
        for path in ("/etc/passwd", "../w.bin", "a/../../w.bin", "a/..", "..")
    },
    **{
        f"no plain name: {path!a}": Gate(
            "no file name|plain name",
            having(external(location=path)),
            having(external(location="a/w.bin")),
        )
        for path in (
            "",
            ".",
            "./w.bin",
            "a//w.bin",
            "a/",
            "*/_ORT_MEM_ADDR_/*",
            "a\0b",
            "a\nb",
            "a" * 4096,
        )
    },
    "entry twice": Gate(
        "two entries 'location'",
        having(entries(("location", "w.bin"), ("location", "v.bin"))),
        having(entries(("location", "w.bin"), ("checksum", "v.bin"))),
    ),
    **{
        f"offset {text!a}": Gate(
            "no offset and no length",
            having(external(offset=text, location=W)),
            having(external(offset="4096", location=W)),
        )
        for text in ("-1", " 1", "1_0", "0x10", "", "\u0661", "1" * 20)
    },
    "length": Gate(
        "external data of '9' bytes",
        having(external(length="9", location=W)),
        having(external(length="8", location=W)),
    ),
    "inside and outside": Gate(
        "both inside and outside",
        having(tensor(raw_data=FLOATS, data_location=TensorProto.EXTERNAL)),
        having(external(location=W)),
    ),
    "external strings": Gate(
        "of strings",
        having(tensor(element=STRING, data_location=TensorProto.EXTERNAL)),
        having(external(location=W)),
    ),
    "external or not": Gate(
        "does not say that it has",
        having(tensor(raw_data=FLOATS, external_data=external(location=W).external_data)),
        having(tensor(raw_data=FLOATS)),
    ),
}

#: Of a graph that must be normal already; the neighbours are.
NORMAL_GATES = {
    "functions": Gate("not normalised", functions(1), relu()),
    "any metadata": Gate("not normalised", metadata("author"), relu()),
    "configurations": Gate(
        "not normalised", relu(lambda made: made.configuration.add(name="c")), relu()
    ),
    "unused opset": Gate(
        "domain 'other' are not taken", relu(opsets(("", 21), ("other", 1))), relu(opsets(("", 21)))
    ),
    "Dropout": Gate("may run for ever, or differently", doing(node("Dropout")), relu()),
    "large tensor": Gate(
        "4096 bytes inside",
        numbers((1024,), raw_data=bytes(4096)),
        numbers((1023,), raw_data=bytes(4092)),
    ),
    **{
        f"no blob: {name[:9]}": Gate(
            "external data that is no blob",
            having(external((1024,), location=name)),
            having(external((1024,), location=HEX)),
        )
        for name in ("w.bin", HEX.upper(), HEX[1:], "/".join((HEX[:31], HEX[:32])))
    },
    "offset": Gate(
        "external data that is no blob",
        having(external((1024,), location=HEX, offset="1")),
        having(external((1024,), location=HEX, offset="0")),
    ),
    "small blob": Gate(
        "a blob of 4092 bytes",
        having(external((1023,), location=HEX)),
        having(external((1024,), location=HEX)),
    ),
    "blob in an attribute": Gate(
        "external data that is no blob",
        attribute(t=external((1024,), location=HEX), type=AttributeProto.TENSOR),
        attribute(t=tensor(raw_data=FLOATS), type=AttributeProto.TENSOR),
    ),
}
