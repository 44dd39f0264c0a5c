# SPDX-License-Identifier: MIT
"""The corpus is what it says: complete, well described, buildable, and its facts are facts."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.conformance.inprocess import load, run_values
from tests.conformance.judge import difference
from tests.hostile.adapters import WIDTH, adaptable, pair
from tests.hostile.corpus import CORPUS, FAMILIES, MODELS
from tests.hostile.kinds import MEMORY_BYTES, SECRET, Plain, Policy, Stage, leaks
from tests.tree import ROOT


def test_each_has_a_name_of_its_own_and_one_sentence() -> None:
    names = Counter(hostile.name for hostile in CORPUS)
    assert [name for name, count in names.items() if count > 1] == []
    assert [one.name for one in CORPUS if not one.story.endswith(".")] == []


def test_there_is_no_family_and_no_gate_without_examples() -> None:
    assert len(CORPUS) > 250
    assert min(len(kinds) for kinds in FAMILIES.values()) >= 10
    assert {hostile.stage for hostile in CORPUS} == set(Stage)
    assert {hostile.policy for hostile in CORPUS} == set(Policy)
    assert set().union(*(hostile.plain for hostile in MODELS)) == set(Plain)


def test_each_gate_has_its_reasons_and_harmless_ones_have_none() -> None:
    for hostile in CORPUS:
        assert bool(hostile.reasons) == (hostile.stage is not Stage.NONE), hostile.name
        assert hostile.alone, hostile.name
        assert bool(hostile.plain) == (hostile.stage is not Stage.INTAKE), hostile.name


def test_what_hangs_alone_is_ended_by_a_deadline_or_never_run() -> None:
    """An executor that answered would have waited for ever."""
    for hostile in MODELS:
        if hostile.plain == {Plain.HANGS}:
            assert Reason.DEADLINE in hostile.alone, hostile.name
        if hostile.plain & {Plain.DIES, Plain.LOAD_DIES, Plain.HANGS}:
            assert None not in hostile.alone, hostile.name


def test_only_a_hard_link_gives_out_the_secret() -> None:
    assert [one.name for one in MODELS if Plain.LEAKS in one.plain] == ["hard link to a secret"]


def test_inputs_are_tensors_that_keep_their_rules() -> None:
    for hostile in MODELS:
        assert [tensor.broken_rule() for tensor in hostile.inputs() if tensor.broken_rule()] == []


def test_a_part_of_the_secret_is_found_wherever_it_is() -> None:
    innocent = Tensor(ElementType.UINT8, (64,), bytes(64))
    telling = Tensor(ElementType.UINT8, (64,), bytes(16) + SECRET[160:208])
    assert not leaks([innocent])
    assert leaks([innocent, telling])


@pytest.mark.slow
def test_each_is_built_inside_the_place_it_is_given(tmp_path: Path) -> None:
    for place, hostile in enumerate(CORPUS):
        folder = tmp_path / str(place) / "model"
        folder.mkdir(parents=True)
        hostile.build(folder)
        assert list(folder.iterdir()), hostile.name
    assert {path.name for path in tmp_path.iterdir()} == {str(n) for n in range(len(CORPUS))}
    # Files of holes look large and are not; the whole corpus fits where tests may write.
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_blocks * 512 for path in files) < MEMORY_BYTES // 8


@pytest.mark.soak
def test_what_onnx_runtime_does_alone_is_what_the_corpus_says() -> None:
    command = [sys.executable, "-m", "tests.hostile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    surprises = [line for line in done.stdout.splitlines() if line.startswith("!")]
    assert (surprises, done.returncode) == ([], 0)


def test_the_model_of_the_adapters_takes_one_that_fits() -> None:
    session = load(adaptable().SerializeToString())
    item = np.ones((1, WIDTH), np.float32)
    alone = run_values(session, ["x"], [item])
    adapted = run_values(session, ["x", *pair(1)], [item, *pair(1).values()])
    assert difference(alone, [item], 0, 0) == ""
    assert difference(adapted, [item * (1 + WIDTH)], 0, 0) == ""
