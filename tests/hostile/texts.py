# SPDX-License-Identifier: MIT
"""Models that do harm with strings, patterns and equations."""

import itertools

import numpy as np
from onnx import ModelProto

from tests.hostile.gates import (
    BIG,
    FAILED,
    at_load,
    at_run,
    harmless,
)
from tests.hostile.graphs import (
    BOOL,
    FLOAT,
    INT64,
    STRING,
    gives,
    ints,
    model,
    node,
    port,
    words,
    writes,
)
from tests.hostile.kinds import Hostile, Plain


def many_long() -> ModelProto:
    """Write one text a million times."""
    nodes = [node("Expand", ["x", "many"], ["y"])]
    texts = [port("x", [1], STRING)], [port("y", [2**20], STRING)]
    return model(nodes, *texts, [ints("many", [2**20])])


def doubling(times: int) -> ModelProto:
    """Put a text behind itself, again and again."""
    names = ["x", *(f"x{place}" for place in range(1, times)), "y"]
    pairs = itertools.pairwise(names)
    nodes = [node("StringConcat", [one, one], [two]) for one, two in pairs]
    return model(nodes, [port("x", ["n"], STRING)], [port("y", ["n"], STRING)])


def splitting() -> ModelProto:
    """Split texts at spaces: each row is as long as the longest."""
    nodes = [node("StringSplit", ["x"], ["y", "z"], delimiter=" ")]
    outputs = [port("y", ["n", "m"], STRING), port("z", ["n"], INT64)]
    return model(nodes, [port("x", ["n"], STRING)], outputs)


def matching(pattern: str) -> ModelProto:
    nodes = [node("RegexFullMatch", ["x"], ["y"], pattern=pattern)]
    return model(nodes, [port("x", ["n"], STRING)], [port("y", ["n"], BOOL)])


def normalising(locale: str) -> ModelProto:
    made = node("StringNormalizer", ["x"], ["y"], locale=locale, case_change_action="UPPER")
    return model([made], [port("x", ["n"], STRING)], [port("y", ["m"], STRING)])


def counting() -> ModelProto:
    """Count words with a table whose offsets are far outside."""
    made = node(
        "TfIdfVectorizer",
        ["x"],
        ["y"],
        mode="TF",
        min_gram_length=1,
        max_gram_length=2**30,
        max_skip_count=2**30,
        ngram_counts=[0, 2**40],
        ngram_indexes=[2**40],
        pool_int64s=[1],
    )
    return model([made], [port("x", ["n"], INT64)], [port("y", None)])


def reading() -> ModelProto:
    nodes = [node("Cast", ["x"], ["y"], to=FLOAT)]
    return model(nodes, [port("x", ["n"], STRING)], [port("y", ["n"])])


def equation(text: str, count: int) -> ModelProto:
    """Compute an equation on so many copies of the input."""
    nodes = [node("Einsum", ["x"] * count, ["y"], equation=text)]
    return model(nodes, [port("x", None)], [port("y", None)])


def invalid_labels() -> ModelProto:
    """Give a table of labels with more keys than values."""
    made = node(
        "LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=["a"] * 9, values_int64s=[1]
    )
    texts = [port("x", ["n"], STRING)]
    return model([made], texts, [port("y", ["n"], INT64)], domains=[("ai.onnx.ml", 2)])


_TEXT = gives(words("a" * 60_000))
_PAIR = gives(np.ones((2, 2), np.float32))
_SPACES = gives(words(" " * 60_000, *[""] * 4_000))


def silly(name: str, story: str, text: str, count: int = 1, plain: Plain = Plain.FAILS) -> Hostile:
    return at_run(name, story, writes(lambda: equation(text, count)), plain, FAILED, inputs=_PAIR)


KINDS = (
    at_run(
        "a million long texts",
        "One text of 60 KB, a million times.",
        writes(many_long),
        Plain.FAILS,
        BIG,
        inputs=_TEXT,
    ),
    at_run(
        "text that doubles",
        "A text that is put behind itself forty times.",
        writes(lambda: doubling(40)),
        Plain.FAILS,
        BIG,
        inputs=gives(words("ab")),
    ),
    at_run(
        "split into 240 million",
        "Four thousand rows, each as long as the one with 60 000 spaces.",
        writes(splitting),
        Plain.FAILS,
        BIG,
        inputs=_SPACES,
    ),
    harmless(
        "pattern that goes back",
        "A pattern that takes for ever where engines go back.",
        writes(lambda: matching("(a+)+b")),
        inputs=gives(words("a" * 30_000)),
    ),
    at_load(
        "pattern of a billion",
        "Repetitions of repetitions of repetitions.",
        writes(lambda: matching("(((a{1000}){1000}){1000})")),
        Plain.NOT_LOADED,
        inputs=_TEXT,
    ),
    at_load(
        "pattern that is none",
        "A pattern that does not end.",
        writes(lambda: matching("((((")),
        Plain.NOT_LOADED,
        inputs=_TEXT,
    ),
    at_load(
        "language of nowhere",
        "Upper case in a language that no machine has.",
        writes(lambda: normalising("xx_" + "Y" * 10_000)),
        Plain.NOT_LOADED,
        inputs=_TEXT,
    ),
    at_load(
        "language like a path",
        "Upper case in ../../secret.bin.",
        writes(lambda: normalising("../../secret.bin")),
        Plain.NOT_LOADED,
        inputs=_TEXT,
    ),
    at_load(
        "table far outside",
        "Counting words with offsets far outside the table.",
        writes(counting),
        Plain.NOT_LOADED,
        inputs=gives(np.array([1])),
    ),
    at_load(
        "labels that do not fit",
        "Nine keys and one value.",
        writes(invalid_labels),
        Plain.NOT_LOADED,
        inputs=_TEXT,
    ),
    at_run(
        "number that is none",
        "A text that is no number.",
        writes(reading),
        Plain.FAILS,
        FAILED,
        inputs=gives(words("twelve")),
    ),
    silly("equation of nothing", "An empty equation.", ""),
    silly("equation of arrows", "An equation of arrows.", "->->->"),
    silly(
        "equation of one letter too many",
        "Three letters for a matrix: the process ends instead of saying so.",
        "aaa",
        plain=Plain.DIES,
    ),
    silly(
        "equation of a megabyte",
        "A million letters for a matrix.",
        "a" * 1_000_000,
        plain=Plain.DIES,
    ),
    silly("equation of dots", "An equation of dots only.", "." * 1000),
    silly(
        "equation with 60 inputs",
        "Sixty matrices with 120 letters, more than there are.",
        ",".join(["ab"] * 60) + "->zz",
        60,
    ),
    at_run(
        "equation of 26 letters",
        "Thirteen matrices of four, none of which share a letter: 4^13.",
        writes(
            lambda: equation(
                ",".join("abcdefghijklmnopqrstuvwxyz"[at : at + 2] for at in range(0, 26, 2))
                + "->abcdefghijklmnopqrstuvwxyz",
                13,
            )
        ),
        Plain.FAILS,
        BIG | FAILED,
        inputs=gives(np.ones((8, 8), np.float32)),
    ),
)
