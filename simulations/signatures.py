# SPDX-License-Identifier: MIT
"""Remembers which signatures were checked: many nodes of one process check the same adverts.

Whether a signature holds depends on its bytes alone, so a node cannot tell the difference. Only
made worlds do this. A real node hears each statement about once, and remembers what it must.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

from protocol import keys

#: Some 150 bytes each. A thousand nodes know a thousand adverts each, the same ones mostly.
REMEMBERED_MAX = 200_000


class Signatures:
    """What came out of checks, the newest of them."""

    def __init__(self, check: keys.Check, *, remembered_max: int = REMEMBERED_MAX) -> None:
        """`check` is what is asked where nothing is remembered."""
        self.asked = self.checked = 0
        self._check = check
        self._max = remembered_max
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    def is_signed(self, public: bytes, signature: bytes, data: bytes) -> bool:
        """Tell whether this is this key's signature of these bytes."""
        self.asked += 1
        # The first two have a length of their own, so no two questions have the same bytes.
        name = blake2b(b"".join((public, signature, data)), digest_size=32).digest()
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
            return known
        self.checked += 1
        self._known[name] = answer = self._check(public, signature, data)
        if len(self._known) > self._max:
            self._known.popitem(last=False)
        return answer


@contextmanager
def remembered_signatures(*, remembered_max: int = REMEMBERED_MAX) -> Iterator[Signatures]:
    """Check no signature twice inside the block, as far as so many can be remembered."""
    before = keys.is_signed
    signatures = Signatures(before, remembered_max=remembered_max)
    keys.is_signed = signatures.is_signed
    try:
        yield signatures
    finally:
        keys.is_signed = before
