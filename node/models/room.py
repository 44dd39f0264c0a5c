# SPDX-License-Identifier: MIT
"""Makes room for a model by letting go of others. How much room there is, is not known here.

What goes are models that came from peers, the longest unused first, and blobs that no model has.
What is ours, what is served by the owner's word, and what is in use stays.
"""

from collections.abc import Collection
from functools import partial
from math import inf

import trio

from node.executor.aside import aside
from node.models.library import AtHand, Library

#: A model that was used just now is about to be used again: who ordered it comes back.
UNUSED_S_MIN = 600.0

#: A blob that no model has may belong to one that is just being taken in.
LOOSE_S_MIN = 86_400.0


async def make_room(library: Library, needed_bytes: int, in_use: Collection[bytes]) -> list[AtHand]:
    """Let go of as many models as it takes, and of none where all of them are too few.

    Gives those that went.
    """
    blobs, lending = library.blobs, library.lending
    now_s = library.clock.now().wall_s
    sizes, going, left = {}, set[bytes](), dict[bytes, int]()
    for each in await aside(blobs.kept):
        sizes[each.digest] = each.size_bytes
        unused_s = now_s - each.used_s
        if unused_s < 0:  # the clock was set back since then
            unused_s = inf
        # Who takes in a model of the owner has its blobs here before it is one.
        left[each.digest] = lending.wanted_by(each.digest) + (unused_s < UNUSED_S_MIN)
        if not left[each.digest] and unused_s >= LOOSE_S_MIN:
            going.add(each.digest)

    models = []
    for model in _unused(library, now_s, in_use):
        if sum(sizes[each] for each in going) >= needed_bytes:
            break
        models.append(model)
        for blob in lending.blobs_of(model.digest):
            left[blob] = left.get(blob, 0) - 1
            if left[blob] == 0 and blob in sizes:
                going.add(blob)
    if sum(sizes[each] for each in going) < needed_bytes:
        return []

    gone = []
    for model in models:
        # Somebody may have ordered it meanwhile.
        if now_s - library.listed.last_used_s(model.digest) >= UNUSED_S_MIN:
            await library.remove(model.digest)
            gone.append(model)
    async with library.sorting:
        free = [each for each in going if not lending.wanted_by(each)]
        with trio.CancelScope(shield=True):
            await aside(partial(_remove, library, free))
    return gone


def _unused(library: Library, now_s: float, in_use: Collection[bytes]) -> list[AtHand]:
    """List the models that may go, the longest unused first."""
    found = [
        (library.listed.last_used_s(each.digest), each.digest, each)
        for each in library
        if each.digest not in in_use and not library.lending.is_kept(each.digest)
    ]
    return [each for used_s, _, each in sorted(found) if now_s - used_s >= UNUSED_S_MIN]


def _remove(library: Library, blobs: Collection[bytes]) -> None:
    for each in blobs:
        library.blobs.remove(each)
