# SPDX-License-Identifier: MIT
"""Models that peers have ordered and that are not here: fetched beside the work, from who orders.

A stranger can make this node fetch only what its quotas allow; they are the caller's.
"""

from collections.abc import Awaitable, Callable

import trio

from node.mesh.transport import TransportError
from node.models.fetch import fetch
from node.models.library import Library
from node.work.beside import alone
from node.work.wires import Post, Who, Wires
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.reasons import Reason

#: Models that are fetched at a time; the next one is asked for again by whoever wants it. One place
#: is for members and for those whom the owner trusts: a stranger may take an hour over its bytes.
FETCHES_MAX, FETCHES_FOR_STRANGERS_MAX = 2, 1

#: For so long a failed fetch is not tried again, and its reason is told to who asks.
FAILED_S = 30.0

#: One fetch takes no longer: a model of 10 GB over a line of 3 MB/s.
FETCH_S_MAX = 3600.0

MayFetchFor = Callable[[Who, int], Awaitable[tuple[Reason | None, str]]]
"""Whether so many bytes may be fetched because this peer wants them, or why not."""


class Fetching:
    """Fetches models in the background of a nursery."""

    def __init__(
        self,
        nursery: trio.Nursery,
        library: Library,
        wires: Wires,
        may_fetch: MayFetchFor,
        post: Post,
    ) -> None:
        """Fetch nothing yet."""
        self._nursery = nursery
        self._library = library
        self._wires = wires
        self._may_fetch = may_fetch
        self._post = post
        self._running: dict[bytes, bool] = {}  # by model: whether a stranger wants it
        self._failed: dict[tuple[bytes, bytes], tuple[float, CommonsError]] = {}

    def want(self, peer: Who, model: bytes) -> None:
        """Begin to fetch a model from a peer, unless that goes on already.

        Refused: it was tried just now and will not be possible soon.
        """
        if model in self._running:
            return
        now_s = trio.current_time()
        self._failed = {key: each for key, each in self._failed.items() if each[0] > now_s}
        if failed := self._failed.get((peer.key, model)):
            raise Refused(failed[1].reason, failed[1].detail)
        is_strange = not (peer.member or peer.trusted)
        for_strangers = sum(self._running.values())
        no_more = is_strange and for_strangers >= FETCHES_FOR_STRANGERS_MAX
        if no_more or len(self._running) >= FETCHES_MAX:
            raise Refused(Reason.BUSY, f"{len(self._running)} models are being fetched")
        self._running[model] = is_strange
        self._nursery.start_soon(alone, self._fetch, peer, model)

    async def _fetch(self, peer: Who, model: bytes) -> None:
        async def may_fetch(size_bytes: int) -> tuple[Reason | None, str]:
            return await self._may_fetch(peer, size_bytes)

        try:
            with trio.move_on_after(FETCH_S_MAX):
                taken = await fetch(self._library, self._wires.wire, peer.key, model, may_fetch)
                self._post("model_fetched", model=taken.manifest.name, peer=peer.key.hex())
        except RemoteProtocolError as error:
            self._wires.blame(peer.key, error.reason, error.detail)
            self._fail(peer, model, error)
        except CommonsError as error:
            self._fail(peer, model, error)
        except (TransportError, OSError) as error:
            self._post("model_not_fetched", peer=peer.key.hex(), error=str(error))
        finally:
            self._running.pop(model, None)

    def _fail(self, peer: Who, model: bytes, error: CommonsError) -> None:
        self._failed[peer.key, model] = (trio.current_time() + FAILED_S, error)
        self._post("model_not_fetched", peer=peer.key.hex(), error=str(error))
