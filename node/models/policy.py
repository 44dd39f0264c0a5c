# SPDX-License-Identifier: MIT
"""What a graph may contain, as values. The gates that use them are in `precheck` and `normalise`.

There are two policies. STRANGER is for graphs whose author nobody here vouches for: what it
lets through can be contained, priced and checked again by others. LOCAL is for the owner's own
and trusted work: a graph that runs for ever or draws random numbers is his to run, but even it
reads no file outside its folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from protocol.limits import NODES_MAX, RANK_MAX, TENSOR_NAME_BYTES_MAX

#: Tensors at least this large are blobs of their own: smaller ones are not worth a file.
BLOB_BYTES_MIN = 4096

#: Protobuf ends here, so does a file that ONNX Runtime can read.
GRAPH_BYTES_MAX = (1 << 31) - 1

#: A normal graph is its nodes and small tensors: some 10 MiB for the largest that strangers have.
NORMAL_BYTES_MAX = 64 << 20

#: Functions that call functions that call functions: exporters nest about five deep.
CALL_DEPTH_MAX = 64

#: What inlining may write: bodies are small, and whoever needs more than this wrote a bomb.
INLINED_BYTES_MAX = 64 << 20

#: ONNX's own operators live in the domain with the empty name; this is its other spelling.
ONNX_DOMAIN, ONNX_DOMAIN_SPELLED = "", "ai.onnx"

_UNBOUNDED = frozenset({"Loop", "Scan"})
_RANDOM = frozenset(
    {
        *("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"),
        *("Multinomial", "Bernoulli"),
        "Dropout",  # in inference it does nothing, and normalise has taken it out
    }
)
_MICROSOFT = frozenset(
    {
        *("MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "FusedMatMul"),
        *("GroupQueryAttention", "RotaryEmbedding"),
        *("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"),
        *("SkipLayerNormalization", "Gelu", "BiasGelu", "QuickGelu"),
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The value of each gate.

    `domains` gives the versions of each operator set; None stands for any domain. `operators`
    names what is allowed in a domain where not everything is. `parts_max` counts whatever a
    walk has to look at: it keeps a file of empty messages from becoming hours of walking.
    A `strict` policy also refuses what normalising would take out or repair, wherever two
    readers of the same bytes could see two different graphs.
    """

    name: str
    strict: bool
    ir_versions: range
    domains: Mapping[str, range] | None
    operators: Mapping[str, frozenset[str]]
    denied: frozenset[str]
    nodes_max: int
    nesting_max: int
    elements_max: int
    rank_max: int
    parts_max: int
    values_max: int
    text_bytes_max: int
    name_bytes_max: int


STRANGER = Policy(
    name="stranger",
    strict=True,
    ir_versions=range(4, 14),
    domains=MappingProxyType({ONNX_DOMAIN: range(7, 27), "com.microsoft": range(1, 2)}),
    operators=MappingProxyType({"com.microsoft": _MICROSOFT}),
    denied=_UNBOUNDED | _RANDOM,
    nodes_max=NODES_MAX,
    nesting_max=4,
    elements_max=1 << 31,
    rank_max=RANK_MAX,
    parts_max=2_000_000,
    values_max=1 << 16,
    text_bytes_max=1 << 16,
    name_bytes_max=TENSOR_NAME_BYTES_MAX,
)

LOCAL = Policy(
    name="local",
    strict=False,
    ir_versions=range(1, 14),
    domains=None,  # ONNX Runtime itself refuses what it does not know, and says so
    operators=MappingProxyType({}),
    denied=frozenset(),
    nodes_max=1_000_000,
    nesting_max=30,  # at 40 protobuf and ONNX Runtime stop reading
    elements_max=1 << 40,
    rank_max=64,
    parts_max=50_000_000,
    values_max=1 << 27,
    text_bytes_max=1 << 28,
    name_bytes_max=4096,
)

POLICIES = MappingProxyType({policy.name: policy for policy in (STRANGER, LOCAL)})
