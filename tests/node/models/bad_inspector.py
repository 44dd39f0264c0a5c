# SPDX-License-Identifier: MIT
"""Inspectors that were taken over: what they do is the name that the task gives the model.

`python -m tests.node.models.bad_inspector FD MEMORY_BYTES CPU_S`
"""

import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from node.executor.errand import Errand
from node.models.dialogue import Done, Piece, Put, parse_task, words_bytes

ZEROS = bytes(32)


def asks(
    errand: Errand, name: str, offset: int = 0, size_bytes: int = 6, *, take: bool = True
) -> None:
    """Ask past the checks of `words_bytes`; whoever is answered has won."""
    errand.say(words_bytes(Piece(take, name, offset, size_bytes)))
    errand.say(words_bytes(Done(errand.hear(), (), b"", 0, "got it", ())))


def greedy(errand: Errand) -> None:
    for offset in range(1000):
        errand.say(words_bytes(Piece(True, "weights", offset % 7, 4096)))
        errand.hear()


def many(errand: Errand) -> None:
    for number in range(100):
        put(errand, b"%d" % number)


def put(errand: Errand, data: bytes) -> bytes:
    errand.say(words_bytes(Put(len(data))))
    errand.stream(data)
    return errand.hear()


def done(errand: Errand, graph: bytes, tensors: object = (), manifest: bytes = b"") -> None:
    errand.say(words_bytes(Done(graph, tensors, manifest, 0, "", ())))  # type: ignore[arg-type]  # wrong on purpose


def flood(errand: Errand) -> None:
    errand.stream(struct.pack("<I", 0xFFFF_FFFF))
    while True:
        errand.stream(bytes(1 << 20))


def overwrites(_: Errand) -> None:
    """The graph came as a descriptor: whoever could write to it could change the owner's file."""
    os.write(DESCRIPTORS[0], b"mine")


def streams_on(errand: Errand) -> None:
    """Sends more than it said, in the hope that the rest is taken for something else."""
    errand.say(words_bytes(Put(10)))
    errand.stream(bytes(1 << 20))
    time.sleep(3600)


def starts_a_blob(errand: Errand) -> None:
    errand.say(words_bytes(Put(1 << 20)))
    errand.stream(bytes(1000))
    time.sleep(3600)


WAYS: dict[str, Callable[[Errand], object]] = {
    "outside": lambda errand: asks(errand, "../secret"),
    "outside to read": lambda errand: asks(errand, "../secret", take=False),
    "deep outside": lambda errand: asks(errand, "inner/../../secret"),
    "absolute": lambda errand: asks(errand, str(Path("/etc/hostname"))),
    "link": lambda errand: asks(errand, "link"),
    "linked folder": lambda errand: asks(errand, "linked/secret"),
    "hard name": lambda errand: asks(errand, "a\0b"),
    "folder": lambda errand: asks(errand, "inner"),
    "pipe": lambda errand: asks(errand, "pipe"),
    "missing": lambda errand: asks(errand, "nothing"),
    "beyond": lambda errand: asks(errand, "weights", 8191, 2),
    "far beyond": lambda errand: asks(errand, "weights", 1 << 62, 1 << 62),
    "reads much": lambda errand: asks(errand, "weights", 0, 4096, take=False),
    "negative": lambda errand: asks(errand, "weights", -1),
    "greedy": greedy,
    "many": many,
    "too much": lambda errand: errand.say(words_bytes(Put(1 << 40))),
    "nonsense": lambda errand: errand.say(b"\xc1what"),
    "a wrong word": lambda errand: errand.say(b"\x91\xa4open"),
    "a reason of others": lambda errand: errand.say(b"\x93\xa7refused\xa6banned\xa1x"),
    "nothing": lambda errand: errand.say(b""),
    "flood": flood,
    "hang": lambda _: time.sleep(3600),
    "starts a blob": starts_a_blob,
    "streams on": streams_on,
    "overwrites": overwrites,
    "leaves": lambda _: None,
    "another graph": lambda errand: done(errand, ZEROS),
    "another tensor": lambda errand: done(errand, put(errand, b"graph"), (("w", ZEROS, 4096),)),
    "another size": lambda errand: done(errand, (it := put(errand, b"graph")), (("w", it, 6),)),
    "half a tensor": lambda errand: done(errand, put(errand, b"graph"), (("w", ZEROS),)),
    "a wrong comparator": lambda errand: errand.say(words_bytes(Done(ZEROS, (), b"", 9, "", ()))),
    "a broken manifest": lambda errand: done(errand, put(errand, b"graph"), (), b"manifest"),
}
DESCRIPTORS: list[int] = []


def main() -> None:
    with Errand(int(sys.argv[1])) as errand:
        said, descriptors = errand.hear_with_descriptors()
        DESCRIPTORS.extend(descriptors)
        WAYS[parse_task(said).name](errand)


if __name__ == "__main__":
    main()
