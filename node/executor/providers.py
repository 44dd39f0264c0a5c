# SPDX-License-Identifier: MIT
"""Which execution provider runs a model. What ONNX Runtime offers is asked in a child (the probe).

An **execution provider** is the part of ONNX Runtime that computes: on the processor, on a
GPU, elsewhere. Only the processor's is contained well enough for the work of strangers, so in
this version the others are for trusted work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.compare import EXACT, F32, HALF, TOKENS

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
TENSORRT_RTX = "NvTensorRTRTXExecutionProvider"

#: Sends inputs to a service on the network, and is in the plain wheel for x86: never for us.
NEVER = frozenset({"AzureExecutionProvider"})

#: Compute on a GPU whose memory `nvidia-smi` reports.
ON_NVIDIA = frozenset({CUDA, TENSORRT, TENSORRT_RTX})

#: What a person writes in the config; the full names work too.
SHORT_NAMES = {
    "cpu": CPU,
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "tensorrt_rtx": TENSORRT_RTX,
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The provider that runs a model, and one sentence that says why it is this one."""

    provider: str
    sentence: str


def full_name(name: str) -> str:
    """Give the name that ONNX Runtime uses; what is not known stays as it is."""
    return SHORT_NAMES.get(name.strip().lower(), name.strip())


def offered(available: Sequence[str]) -> tuple[str, ...]:
    """Keep of what ONNX Runtime has what this node may use, in its order; the processor is last."""
    kept = dict.fromkeys(name for name in available if name not in NEVER | {CPU})
    return (*kept, CPU)


def choose(
    offered: Sequence[str], preference: Sequence[str], *, trusted: bool, comparator: int = F32
) -> Choice:
    """Take the first preferred provider that this machine offers and this work may use.

    `trusted`: the work is the owner's, or of people whom he trusts. `comparator` is the class
    by which the model's results are judged (see :func:`class_of`).
    """
    wanted = [full_name(name) for name in preference]
    if wanted and wanted[0] == CPU:
        return Choice(CPU, "The processor is the first preference.")
    if not wanted:
        return Choice(CPU, "No other provider is preferred, so the processor runs it.")
    if not trusted:
        return Choice(CPU, "Only trusted work may use another provider than the processor's.")
    if comparator == EXACT:
        return Choice(CPU, "Its results are compared exactly: only the processor repeats them.")
    passed_over = []
    for name in wanted:
        if name in NEVER:
            passed_over.append(f"{name} sends the inputs to the network and is never used")
        elif name in offered or name == CPU:
            return Choice(name, _sentence(name, passed_over))
        else:
            passed_over.append(f"{name} is not offered by the installed ONNX Runtime")
    return Choice(CPU, _sentence(CPU, passed_over))


def class_of(provider: str, own: int) -> int:
    """Say by which comparator class the results of a provider are judged; `own` is the model's.

    A GPU multiplies float32 in TF32 or float16 unless told otherwise, which leaves 10 bits of
    23: results belong into class HALF, whatever the processor would have given. Tokens stay
    tokens, and a model that is compared exactly stays on the processor (:func:`choose`).
    """
    return own if provider == CPU or own in {EXACT, TOKENS} else HALF


def _sentence(name: str, passed_over: Sequence[str]) -> str:
    runs = "the processor runs it" if name == CPU else f"{name} runs it"
    if not passed_over:
        return f"{name} is preferred and offered."
    return f"{'; '.join(passed_over)}: {runs}."
