# SPDX-License-Identifier: MIT
"""What the inspector and the daemon say to each other. Nothing here does any I/O or knows onnx.

The inspector reads a graph that may be hostile, so it may have been taken over by it. It has no
descriptor but its socket and the graph, and the daemon does for it what needs a file. Each of
its messages is a short msgpack array, read here as the words of an enemy::

    read  name offset size       give these bytes of a file beside the graph (few of them)
    take  name offset size       make a blob of these bytes of that file
    put   size, then the bytes   make a blob of these bytes
    done  graph, tensors, manifest, comparator at best, only here, problems
    refused  reason detail

The daemon answers `read` with the bytes, and `take` and `put` with the digest that it found
itself: nobody is asked what something hashes to. A wish that is not granted has no answer, it
is the end of the inspector.
"""

from dataclasses import dataclass

import msgpack

from protocol.compare import TOKENS
from protocol.errors import Refused
from protocol.limits import MANIFEST_BYTES_MAX, TENSORS_MAX, UINT_MAX
from protocol.reasons import Reason

#: The longest name of a file beside a graph: what a path may have on Linux.
FILE_NAME_BYTES_MAX = 4095

#: Names in graphs of our own may be this long; those of strangers are shorter.
_NAME_BYTES_MAX = 4096

#: What the inspector may say at once: a manifest, and each tensor with a name of usual length.
WORDS_BYTES_MAX = 3 * MANIFEST_BYTES_MAX

_PROBLEMS_MAX = 16
_DETAIL_CHARACTERS = 500
_MAY_SAY = frozenset(
    {Reason.MODEL_REFUSED, Reason.TOO_LARGE, Reason.NOT_PRICEABLE, Reason.OVER_MEMORY}
)

INTAKE, INSPECT = "intake", "inspect"


@dataclass(frozen=True, slots=True)
class Task:
    """What the inspector is to do with the graph whose descriptor comes along with this.

    `intake` brings a file of ours into the form of a model; `inspect` looks at a graph of a
    stranger, which must have that form already, and whose digest is known. `name` is for people.
    """

    kind: str
    policy: str
    size_bytes: int
    name: str
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file beside the graph; `take`: as a blob, otherwise to read them."""

    take: bool
    name: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Put:
    """So many bytes follow that are to be a blob."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Done:
    """The task is done. Digests are some that the daemon gave; empty bytes: no manifest.

    Each of `tensors` is a name, a digest and a size. `at_best` is the comparator that its element
    types allow. `only_here` says why strangers would not take the model, `problems` what else its
    owner should know.
    """

    graph: bytes
    tensors: tuple[tuple[str, bytes, int], ...]
    manifest: bytes
    at_best: int
    only_here: str
    problems: tuple[str, ...]


Words = Piece | Put | Done


def task_bytes(task: Task) -> bytes:
    """Write a task."""
    return _pack([task.kind, task.policy, task.size_bytes, task.name, task.digest])


def parse_task(data: bytes) -> Task:
    """Read a task, as the inspector; the daemon writes no other than these."""
    return Task(*msgpack.unpackb(data))


def words_bytes(words: Words) -> bytes:
    """Write what the inspector says."""
    match words:
        case Piece(take, name, offset, size_bytes):
            return _pack(["take" if take else "read", name, offset, size_bytes])
        case Put(size_bytes):
            return _pack(["put", size_bytes])
        case Done(graph, tensors, manifest, at_best, only_here, problems):
            rows = [cell for row in tensors for cell in row]
            told = [_line(only_here), [*map(_line, problems)]]
            return _pack(["done", graph, rows, manifest, at_best, *told])


def refusal_bytes(refused: Refused) -> bytes:
    """Write why a graph is not taken."""
    return _pack(["refused", refused.reason.value, _line(refused.detail)])


def parse_words(data: bytes) -> Words:
    """Read what the inspector says: ValueError for nonsense, Refused for a refusal."""
    try:
        said = msgpack.unpackb(
            data,
            raw=False,
            max_array_len=3 * TENSORS_MAX,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=_NAME_BYTES_MAX,
            max_bin_len=MANIFEST_BYTES_MAX,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"no msgpack of this dialogue: {error}") from None
    match said:
        case ["take" | "read" as how, str(name), int(offset), int(size_bytes)]:
            return Piece(how == "take", _file_name(name), _size(offset), _size(size_bytes))
        case ["put", int(size_bytes)]:
            return Put(_size(size_bytes))
        case [
            "done",
            bytes(graph),
            list(rows),
            bytes(manifest),
            int(at_best),
            str(only),
            list(rest),
        ]:
            problems = tuple(map(_line, rest[:_PROBLEMS_MAX]))
            if at_best not in range(TOKENS + 1):
                raise ValueError(f"comparator {at_best}")
            tensors = _tensors(rows)
            return Done(_digest(graph), tensors, manifest, at_best, _line(only), problems)
        case ["refused", str(code), str(detail)] if code in _MAY_SAY:
            raise Refused(Reason(code), _line(detail))
    raise ValueError(f"{str(said)[:60]!a} at this point")


def broken_file_name(name: str) -> str:
    """Say what is wrong with the name of a file beside a graph; empty when nothing is.

    Only plain relative names are taken, with one spelling each: what leaves the folder, or
    means something else than a file to ONNX Runtime, is refused before anybody looks.
    """
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "replace")) > FILE_NAME_BYTES_MAX:
        return "has no file name, or one that is too long"
    if name.startswith("/") or ".." in parts:
        return f"is outside the folder of the graph: {name[:80]!a}"
    if "" in parts or "." in parts or "*" in parts or not name.isprintable():
        return f"is not under the plain name of a file: {name[:80]!a}"
    return ""


def _pack(cells: list[object]) -> bytes:
    packed: bytes = msgpack.packb(cells, unicode_errors="replace")
    return packed


def _file_name(name: str) -> str:
    if broken := broken_file_name(name):
        raise ValueError(f"a wish for data that {broken}")
    return name


def _size(number: int) -> int:
    if isinstance(number, bool) or not 0 <= number <= UINT_MAX:
        raise ValueError(f"the number {number}")
    return number


def _digest(digest: bytes) -> bytes:
    if len(digest) != 32:
        raise ValueError(f"a digest of {len(digest)} bytes")
    return digest


def _tensors(cells: list[object]) -> tuple[tuple[str, bytes, int], ...]:
    rows = []
    for row in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
        match row:
            case (str(name), bytes(digest), int(size_bytes)):
                rows.append((name, _digest(digest), _size(size_bytes)))
            case _:
                raise ValueError("a tensor without name, digest and size")
    return tuple(rows)


def _line(text: object) -> str:
    """Make one line of text that a person may read: it may come from a stranger."""
    cut = str(text)[:_DETAIL_CHARACTERS]
    line = "".join(each if each.isprintable() else " " for each in cut)
    return line.encode("utf-8", "replace").decode()
