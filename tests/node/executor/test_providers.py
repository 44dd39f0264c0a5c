# SPDX-License-Identifier: MIT
"""A provider is chosen by what is preferred, offered and allowed, and the choice is explained."""

import subprocess
import sys

import pytest

from node.executor.providers import CPU, CUDA, TENSORRT, choose, class_of, full_name, offered
from protocol.compare import EXACT, F32, HALF, TOKENS
from tests.tree import ROOT

AZURE = "AzureExecutionProvider"
GPU_BOX = (TENSORRT, CUDA, CPU)
PLAIN_BOX = (CPU,)


@pytest.mark.parametrize(
    ("available", "kept"),
    [
        ([AZURE, CPU], PLAIN_BOX),
        ([TENSORRT, CUDA, AZURE, CPU], GPU_BOX),
        ([CPU, CUDA, CUDA], (CUDA, CPU)),
        ([], PLAIN_BOX),
    ],
)
def test_what_is_offered_ends_with_the_processor_and_never_calls_the_network(
    available: list[str], kept: tuple[str, ...]
) -> None:
    assert offered(available) == kept
    assert offered(kept) == kept


@pytest.mark.parametrize(
    ("machine", "preference", "trusted", "chosen", "says"),
    [
        (GPU_BOX, ["cuda"], True, CUDA, "is preferred and offered"),
        (GPU_BOX, ["CUDAExecutionProvider"], True, CUDA, "is preferred and offered"),
        (GPU_BOX, ["tensorrt", "cuda"], True, TENSORRT, "is preferred and offered"),
        ((CUDA, CPU), ["tensorrt", "cuda"], True, CUDA, "TensorrtExecutionProvider is not offered"),
        (
            PLAIN_BOX,
            ["cuda"],
            True,
            CPU,
            "not offered by the installed ONNX Runtime: the processor",
        ),
        (PLAIN_BOX, ["cuda", "cpu"], True, CPU, "the processor runs it"),
        (PLAIN_BOX, ["cdua"], True, CPU, "cdua is not offered"),
        (GPU_BOX, ["azure", AZURE], True, CPU, "never used"),
        ((AZURE, CPU), [AZURE], True, CPU, "never used"),
        (GPU_BOX, [], True, CPU, "No other provider is preferred"),
        (GPU_BOX, ["cpu", "cuda"], True, CPU, "the first preference"),
        (GPU_BOX, ["cuda"], False, CPU, "Only trusted work"),
        (PLAIN_BOX, ["cuda"], False, CPU, "Only trusted work"),
        (GPU_BOX, ["cpu"], False, CPU, "the first preference"),
        (GPU_BOX, [], False, CPU, "No other provider is preferred"),
    ],
)
def test_the_choice_of_a_provider(
    machine: tuple[str, ...], preference: list[str], trusted: bool, chosen: str, says: str
) -> None:
    choice = choose(machine, preference, trusted=trusted)
    assert choice.provider == chosen
    assert says in choice.sentence
    assert choice.sentence.endswith(".")


def test_a_model_that_is_compared_exactly_stays_on_the_processor() -> None:
    choice = choose(GPU_BOX, ["cuda"], trusted=True, comparator=EXACT)
    assert choice.provider == CPU
    assert "exactly" in choice.sentence


@pytest.mark.parametrize(
    ("provider", "own", "judged"),
    [
        *((CPU, own, own) for own in (EXACT, F32, HALF, TOKENS)),
        (CUDA, F32, HALF),
        (CUDA, HALF, HALF),
        (CUDA, TOKENS, TOKENS),
        (CUDA, EXACT, EXACT),
        (TENSORRT, F32, HALF),
        ("SomeExecutionProvider", F32, HALF),
    ],
)
def test_the_class_of_the_results_follows_the_provider(
    provider: str, own: int, judged: int
) -> None:
    assert class_of(provider, own) == judged


@pytest.mark.parametrize(
    ("name", "full"),
    [("cuda", CUDA), (" CPU ", CPU), (CUDA, CUDA), ("nonsense", "nonsense")],
)
def test_short_names_are_for_people(name: str, full: str) -> None:
    assert full_name(name) == full


def test_the_names_are_those_of_onnx_runtime() -> None:
    """In a process of its own: this test should not decide on how ONNX Runtime is imported."""
    program = """
import os
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from node.executor.providers import NEVER, SHORT_NAMES
print(*{*NEVER, *SHORT_NAMES.values()} - {*onnxruntime.get_all_providers()})
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
