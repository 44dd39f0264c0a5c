# SPDX-License-Identifier: MIT
"""Rules of style that a machine can keep, so that nobody has to remember them."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tree import PACKAGES, ROOT, name_of, our_files, python_files

SPDX = "# SPDX-License-Identifier: MIT"
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70
REASON_WORDS_MIN = 4

# Neither pattern is found by itself: a bracket stands where the text would have a letter.
HOMES = re.compile(r"(?<![\w.$~}<>/-])/(?:home|root|work|Users)/|[A-Z]:\\Users\\")
REGISTRIES = re.compile(
    r"(?:pypi|pythonhosted)\.org|npmjs\.(?:org|com)|(?:yarnpkg)\.com"
    r"|--(?:extra-)?index-url|--(?:find-links)|registry *= *\"?http|\"resolved\": *\"http"
)
# An exception and what follows it on its line: its code, then a reason.
EXCEPTIONS = {
    "noqa": re.compile(r"noqa(?P<codes>: *[A-Z]+\d+(?:, *[A-Z]+\d+)*)? *(?P<reason>.*)"),
    "type: ignore": re.compile(r"type: *ignore(?P<codes>\[[\w, -]+\])? *(?P<reason>.*)"),
    "pragma: no cover": re.compile(r"pragma: *no (?P<codes>cover|branch) *(?P<reason>.*)"),
}


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Every comment of a Python source, with its line; strings that look like one are none."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def bare_exceptions(source: str) -> list[str]:
    """Every exception from a rule that names no rule or gives no reason."""
    found = []
    for line, comment in comments(source):
        for kind, pattern in EXCEPTIONS.items():
            match = pattern.search(comment)
            if match and (not match["codes"] or len(re.findall(r"\w+", match["reason"])) < 2):
                found.append(f"line {line}: {kind} wants its code and a reason: {comment}")
    return found


def unreasoned_constants(source: str) -> list[str]:
    """Every constant whose cap has no `#:` comment above it that says why."""
    lines = source.splitlines()
    found = []
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name.isupper() and not _has_reason(lines, node.lineno - 1):
                    found.append(f"line {node.lineno}: {name} wants a `#:` comment with its reason")
    return found


def _has_reason(lines: list[str], index: int) -> bool:
    """Whether the comment right above line `index` (from 0) starts with `#:` and says something."""
    first = index
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = lines[first:index]
    words = re.findall(r"\w+", " ".join(comment))
    return bool(comment) and comment[0].startswith("#:") and len(words) >= REASON_WORDS_MIN


def long_functions(source: str) -> list[str]:
    """Every function that is too long for one screen."""
    return [
        f"line {node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def read(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of each of our files that is text."""
    for path in our_files():
        try:
            yield name_of(path), read(path)
        except UnicodeDecodeError:
            continue


def test_every_python_file_starts_with_its_licence() -> None:
    without = [name_of(p) for p in python_files() if read(p).split("\n", 1)[0] != SPDX]
    assert without == []


def test_no_python_file_outgrows_its_room() -> None:
    lengths = {name_of(path): len(read(path).splitlines()) for path in python_files()}
    assert {name: n for name, n in lengths.items() if n > FILE_LINES_MAX} == {}


def test_no_function_outgrows_a_screen() -> None:
    long = {name_of(path): long_functions(read(path)) for path in python_files(*PACKAGES, "tools")}
    assert {name: found for name, found in long.items() if found} == {}


@pytest.mark.slow
def test_every_exception_from_a_rule_says_why() -> None:
    bare = {name_of(path): bare_exceptions(read(path)) for path in python_files()}
    assert {name: found for name, found in bare.items() if found} == {}


def test_every_cap_has_its_reason() -> None:
    assert unreasoned_constants(read(ROOT / "protocol" / "limits.py")) == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() for match in HOMES.finditer(text)]
    assert found == []


def test_no_file_names_a_registry() -> None:
    found = [f"{name}: {match[0]}" for name, text in texts() for match in REGISTRIES.finditer(text)]
    assert found == []


def test_text_ends_its_lines_as_the_editorconfig_says() -> None:
    untidy = [
        name
        for name, text in texts()
        if text
        and (not text.endswith("\n") or "\r" in text or re.search(r"[ \t]+$", text, re.MULTILINE))
    ]
    assert untidy == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa",
        "x = 1  # noqa: E501",
        "x = f()  # type: ignore",
        "x = f()  # type: ignore  # the stub is wrong here",
        "x = f()  # type: ignore[no-any-return]",
        "if x:  # pragma: no cover\n    pass",
    ],
)
def test_a_bare_exception_is_found(line: str) -> None:
    assert len(bare_exceptions(line + "\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa: E501 - a table that is read by columns",
        "x = f()  # type: ignore[no-any-return]  # the stub is wrong here",
        "if x:  # pragma: no cover - only on big-endian machines\n    pass",
        "x = '# noqa'",
    ],
)
def test_an_exception_with_a_reason_is_fine(line: str) -> None:
    assert bare_exceptions(line + "\n") == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("A = 1\n", 1),
        ("# a plain comment that says why\nA = 1\n", 1),
        ("#: bytes\nA = 1\n", 1),
        ("#: a frame fits one buffer of Noise\n\nA: int = 1\n", 1),
        ("#: a frame fits one buffer of Noise\nA: int = 1\n", 0),
        ("#: a frame fits one buffer of Noise,\n#: and two do not\nA: Final = 1\n", 0),
        ("lower = 1\n", 0),
    ],
)
def test_a_cap_without_a_reason_is_found(source: str, count: int) -> None:
    assert len(unreasoned_constants(source)) == count


@pytest.mark.parametrize("folder", ["home", "root", "work", "Users"])
def test_a_path_of_a_machine_is_found(folder: str) -> None:
    assert HOMES.search(f'see "/{folder}/ann/x"')
    assert HOMES.search(f"C:\\{folder}\\ann") or folder != "Users"


@pytest.mark.parametrize("path", ["node/{}/worker.py", "~/{}/x", "$HERE/{}/x", "<a></{}/>"])
def test_a_path_inside_the_tree_is_none_of_a_machine(path: str) -> None:
    assert not HOMES.search(path.format("work"))


@pytest.mark.parametrize("host", ["pypi", "files.pythonhosted"])
def test_a_registry_is_found(host: str) -> None:
    assert REGISTRIES.search(f"https://{host}.org/simple")


def test_a_function_over_the_limit_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert len(long_functions(f"def f():\n{body}")) == 1
    assert long_functions("def f():\n    pass\n") == []
