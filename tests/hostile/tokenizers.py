# SPDX-License-Identifier: MIT
"""Tokenizers, chat templates and configurations that do harm to who reads or renders them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from protocol.reasons import Reason
from tests.hostile.gates import at_intake
from tests.hostile.graphs import identity, put
from tests.hostile.kinds import Hostile

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"

_LARGE = Reason.TOO_LARGE


def good() -> dict[str, object]:
    """Give the smallest tokenizer that is one, to be spoiled."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"},
    }


def raw(name: str, story: str, make: Callable[[], bytes], *others: Reason) -> Hostile:
    """A tokenizer of these bytes."""

    def build(folder: Path) -> None:
        put(folder, identity())
        (folder / TOKENIZER).write_bytes(make())

    return at_intake(name, story, build, *others)


def spoilt(name: str, story: str, *others: Reason, **parts: object) -> Hostile:
    """A tokenizer that is fine but for these parts."""
    return raw(name, story, lambda: json.dumps({**good(), **parts}).encode(), *others)


def template(name: str, story: str, text: Callable[[], str] | str, *others: Reason) -> Hostile:
    """A chat template beside a tokenizer that is fine."""

    def build(folder: Path) -> None:
        put(folder, identity())
        (folder / TOKENIZER).write_text(json.dumps(good()), encoding="utf-8")
        written = text if isinstance(text, str) else text()
        settings = json.dumps({"chat_template": written})
        (folder / SETTINGS).write_text(settings, encoding="utf-8")

    return at_intake(name, story, build, Reason.RUN_FAILED, Reason.OVER_MEMORY, *others)


def settings(name: str, story: str, file: str, content: dict[str, object]) -> Hostile:
    """Another file of settings beside a tokenizer that is fine."""

    def build(folder: Path) -> None:
        put(folder, identity())
        (folder / TOKENIZER).write_text(json.dumps(good()), encoding="utf-8")
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return at_intake(name, story, build, Reason.OUT_OF_RANGE)


def holes(folder: Path) -> None:
    put(folder, identity())
    (folder / TOKENIZER).touch()
    os.truncate(folder / TOKENIZER, 1_000_000_000)


def link(folder: Path) -> None:
    put(folder, identity())
    (folder.parent / "secret.json").write_text(json.dumps(good()), encoding="utf-8")
    (folder / TOKENIZER).symlink_to("../secret.json")


def words(**vocabulary: int) -> dict[str, object]:
    """Give the model of a tokenizer with this vocabulary."""
    return {"type": "WordLevel", "vocab": vocabulary, "unk_token": "a"}


def replacing(times: int) -> dict[str, object]:
    """Double every letter, again and again."""
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"type": "Sequence", "normalizers": [step] * times}


def splitting(pattern: str) -> dict[str, object]:
    """Split at a pattern."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def added(content: str, place: int) -> list[dict[str, object]]:
    """Add one token."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return [{"id": place, "content": content, **flags}]


def rooms(count: int) -> str:
    """Loop in a loop in a loop."""
    loops = "".join(f"{{% for i{place} in range(9999) %}}" for place in range(count))
    return loops + "a" + "{% endfor %}" * count


_ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
_RECURSION = "{% macro again(n) %}{{ again(n + 1) }}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}"
_DOUBLING = (
    "{% set ns = namespace(t='a') %}"
    "{% for i in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}"
)

KINDS = (
    raw(
        "tokenizer that nests",
        "A million brackets.",
        lambda: b'{"model":' + b"[" * 1_000_000,
        _LARGE,
    ),
    raw("tokenizer that is none", "Not JSON.", lambda: b"{'version': 1.0}"),
    raw("tokenizer that is no text", "Not UTF-8.", lambda: b'{"version": "\xff\xfe"}'),
    raw("tokenizer of another kind", "JSON of something else.", lambda: b"[1, 2, 3]"),
    raw(
        "tokenizer of NaN",
        "Numbers that JSON does not have.",
        lambda: b'{"version": NaN, "model": Infinity}',
    ),
    raw(
        "tokenizer with a number without end",
        "An id of a million digits.",
        lambda: b'{"model": {"vocab": {"a": ' + b"9" * 1_000_000 + b"}}}",
    ),
    at_intake("tokenizer of holes", "A gigabyte that took no room on the disk.", holes, _LARGE),
    at_intake("tokenizer by a link", "A link out of the folder.", link),
    spoilt("two words of one number", "Two tokens have the same id.", model=words(a=0, b=0)),
    spoilt(
        "number far outside",
        "A token of id 2^40: whoever makes a table of them makes 2^40.",
        model=words(a=0, b=2**40),
    ),
    spoilt("negative number", "A token of id minus one.", model=words(a=0, b=-1)),
    spoilt(
        "no words",
        "A vocabulary of nothing, and an unknown token that is not in it.",
        model=words(),
    ),
    spoilt("unknown model", "A kind of tokenizer that nobody knows.", model={"type": "Evil"}),
    spoilt(
        "merges of nothing",
        "Merges of tokens that are not there.",
        model={"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]] * 1000},
    ),
    spoilt(
        "pattern of a tokenizer that goes back",
        "A pattern that takes for ever on a long word.",
        Reason.DEADLINE,
        pre_tokenizer=splitting("(a+)+$"),
    ),
    spoilt(
        "pattern of a tokenizer that is none",
        "A pattern that does not end.",
        pre_tokenizer=splitting("(((("),
    ),
    spoilt(
        "normaliser that doubles",
        "Forty steps, each of which doubles every letter.",
        Reason.OVER_MEMORY,
        normalizer=replacing(40),
    ),
    spoilt(
        "empty added token",
        "A token of no letters, which is everywhere.",
        added_tokens=added("", 3),
    ),
    spoilt("added token far outside", "A token added at 2^31.", added_tokens=added("<x>", 2**31)),
    spoilt(
        "padding without end",
        "Every text is padded to 2^40 tokens.",
        Reason.OVER_MEMORY,
        padding={
            "strategy": {"Fixed": 2**40},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "a",
        },
    ),
    template("template of ten gigabytes", "One letter, ten billion times.", "{{ 'a' * 10**10 }}"),
    template("template that doubles", "A text that is put behind itself 99 times.", _DOUBLING),
    template("template without end", "Five loops in each other.", rooms(5), Reason.DEADLINE),
    template(
        "template that calls itself",
        "A macro that calls itself twice.",
        _RECURSION,
        Reason.DEADLINE,
    ),
    template("template that wants out", "The way from a text to all classes of Python.", _ESCAPE),
    template(
        "template with another's names",
        "The settings of the program that renders.",
        "{{ self.__init__.__globals__ }}{{ cycler.__init__.__globals__ }}",
    ),
    template(
        "template of a power", "A number of a billion digits.", "{{ 9**9**9 }}", Reason.DEADLINE
    ),
    template("template that formats", "A text a billion places wide.", "{{ '%1000000000d' % 1 }}"),
    template(
        "template that nests",
        "A hundred thousand brackets to parse.",
        lambda: "{{ " + "(" * 100_000 + ")" * 100_000 + " }}",
        _LARGE,
    ),
    template("template that is none", "A loop that does not end.", "{% for m in messages %}"),
    template("template that includes", "Another file.", "{% include '../../secret.bin' %}"),
    settings(
        "code for the model",
        "Settings that name code to fetch and run.",
        "config.json",
        {"auto_map": {"AutoModel": "evil--code.Model"}, "trust_remote_code": True},
    ),
    settings(
        "settings far outside",
        "A text of at most 2^62 tokens, from a token that is not there.",
        "generation_config.json",
        {"max_length": 2**62, "eos_token_id": -5, "temperature": float("nan")},
    ),
)
