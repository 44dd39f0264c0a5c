# SPDX-License-Identifier: MIT
"""One whole order from a file: `commons try PEER MODEL.onnx`. It is the way of every later job.

The model is taken in, calibrated and priced; inputs are made from a seed; the peer fetches the
model, computes, and is checked and paid. What each part took is told with the result.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from node.executor.aside import aside
from node.executor.executor import Executor, Item, Model
from node.mesh.transport import TransportError
from node.models.calibrate import calibrated
from node.models.folder import make_folder
from node.models.intake import take_in
from node.models.library import AtHand, Library
from node.models.policy import LOCAL
from node.models.samples import RANGES, rows_symbol, sample, sizes
from node.work.accounts import Accounts
from node.work.checking import OWN
from node.work.computing import compute
from node.work.placed import Declined, Phase, Placed
from node.work.requester import Requester
from node.work.tried import Tried as Tried
from protocol.canon import encode
from protocol.cid import format_cid
from protocol.errors import Refused
from protocol.interface import Interface
from protocol.keys import peer_id
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor

#: A worker that has to fetch the model, and is asked again and again, is given up after so long.
PATIENCE_S = 900.0

#: The first pause before a worker is asked again; the next are twice as long, up to its wish.
AGAIN_S_MIN = 0.2

#: A lost connection is tried again so often before anything was accepted.
LOSSES_MAX = 3

#: So many numbers of the first output are shown.
NUMBERS_SHOWN = 8

# Asking again may help: the worker is fetching, is full, or lost the inputs on the way.
_ASK_AGAIN = frozenset(
    {Reason.MODEL_UNKNOWN, Reason.BUSY, Reason.WINDOW_FULL, Reason.REPLAYED, Reason.PAUSED}
)

_NUMBERS = {
    ElementType.FLOAT: "f",
    ElementType.DOUBLE: "d",
    ElementType.FLOAT16: "e",
    ElementType.INT64: "q",
    ElementType.INT32: "i",
    ElementType.INT16: "h",
    ElementType.INT8: "b",
    ElementType.UINT64: "Q",
    ElementType.UINT32: "I",
    ElementType.UINT16: "H",
    ElementType.UINT8: "B",
    ElementType.BOOL: "?",
}

Progress = Callable[[str, str], None]
"""Told of each part as it begins: its name, and a sentence for people."""


class _Watch:
    """Notes how long each part takes, and tells of it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._part = ""
        self._since_s = 0.0
        self.times_s: dict[str, float] = {}

    def begin(self, part: str, sentence: str = "") -> None:
        """Begin the next part; the one before ends with it."""
        self.end()
        self._part, self._since_s = part, trio.current_time()
        self._progress(part, sentence)

    def end(self) -> None:
        """End the last part."""
        if self._part:
            took_s = trio.current_time() - self._since_s
            self.times_s[self._part] = round(self.times_s.get(self._part, 0.0) + took_s, 4)
            self._part = ""


class Trying:
    """Tries models on peers."""

    def __init__(
        self, accounts: Accounts, requester: Requester, library: Library, executor: Executor
    ) -> None:
        """Use what is there for any other work."""
        self._accounts = accounts
        self._requester = requester
        self._library = library
        self._executor = executor

    async def try_model(
        self,
        worker: bytes,
        path: Path,
        *,
        items: int = 4,
        wanted: Mapping[str, int] | None = None,
        addresses: Sequence[str] = (),
        progress: Progress = lambda _part, _sentence: None,
    ) -> Tried:
        """Have some items of a model computed by a peer, and say what became of it.

        Refused says what is against the model, or why the peer does not do it; TransportError,
        that it cannot be reached; RemoteProtocolError, which rule it broke.
        """
        if worker == self._accounts.me:
            raise Refused(Reason.WRONG_PARTY, "a node gives itself no orders: name another peer")
        watch = _Watch(progress)
        watch.begin("intake", f"reading {path.name}")
        model, why, free = await self._take_in(path, wanted or {}, watch)
        watch.begin("inputs", f"making {items} items")
        inputs = await self._inputs(model, free, items)
        _, owed_before = self._accounts.totals(worker)
        watch.begin("order", f"an order to {peer_id(worker)}")
        placed = await self._place(worker, model, inputs, addresses, watch)
        watch.end()
        _, owed_after = self._accounts.totals(worker)
        output = placed.outputs[0][0] if placed.outputs and placed.outputs[0] else None
        form = f"{output.element.name.lower()}{list(output.dims)}" if output else "none"
        return Tried(
            worker=peer_id(worker),
            model=format_cid(model.digest),
            name=model.manifest.name,
            why=why,
            sizes=dict(zip(model.manifest.symbols, free, strict=True)),
            items=items,
            price_cu=placed.price,
            paid_cu=placed.paid,
            is_gift=placed.is_gift,
            acked=placed.acked,
            checked=placed.checked,
            wrong=placed.wrong.value if placed.wrong else "",
            wrong_item=placed.wrong_item,
            owed_before=owed_before,
            owed_after=owed_after,
            times_s=watch.times_s,
            output=form,
            numbers=first_numbers(output) if output else (),
        )

    async def _take_in(
        self, path: Path, wanted: Mapping[str, int], watch: _Watch
    ) -> tuple[AtHand, str, tuple[int, ...]]:
        """Make a file a model at hand; say how it is compared, and which sizes were chosen."""
        blobs = self._library.blobs_folder
        taken = await take_in(path, blobs, policy=LOCAL)
        manifest = taken.manifest
        if manifest is None or taken.only_here:
            reason = Reason.MODEL_REFUSED if taken.only_here else Reason.NOT_PRICEABLE
            detail = taken.only_here or "; ".join(taken.problems)
            raise Refused(reason, detail or "its price cannot be told beforehand")
        interface = manifest.interfaces()[0]
        free = sizes(manifest.symbols, wanted, rows=rows_symbol(interface))
        watch.begin("calibrate", "finding out how exactly its results can be compared")
        folders = self._library.folders
        folder = await aside(partial(make_folder, taken, blobs, folders))
        model = Model(taken.graph, folder, interface)
        found = await calibrated(self._executor, model, OWN, free, at_best=taken.at_best)
        exact = replace(
            manifest,
            comparator=found.comparator,
            tolerance=found.tolerance,
            spread=found.spread,
        )
        body = encode(exact)
        at_hand = await self._library.add(body, origin="", ours=True, batchable=found.batchable)
        return at_hand, found.why, free

    async def _inputs(self, model: AtHand, free: Sequence[int], count: int) -> list[Item]:
        """Make inputs that the model takes: whole numbers may be indices of a table of any size."""
        refusal = Refused(Reason.RUN_FAILED)
        for most in RANGES:
            made = [_sample(model.interface, free, seed, most) for seed in range(count)]
            try:
                await compute(self._executor, model.model(), OWN, made[:1])
            except Refused as error:
                if error.reason is not Reason.RUN_FAILED:
                    raise
                refusal = error
            else:
                return made
        raise refusal

    async def _place(
        self,
        worker: bytes,
        model: AtHand,
        inputs: Sequence[Item],
        addresses: Sequence[str],
        watch: _Watch,
    ) -> Placed:
        """Place the order, and again as long as that may help."""

        def progress(phase: Phase) -> None:
            watch.begin(_NEXT[phase][0], _NEXT[phase][1]) if phase in _NEXT else watch.end()

        patience_s = trio.current_time() + PATIENCE_S
        losses = 0
        pause_s = AGAIN_S_MIN
        while True:
            try:
                return await self._requester.place(
                    worker, model, inputs, addresses=addresses, progress=progress
                )
            except Declined as declined:
                if declined.reason not in _ASK_AGAIN or trio.current_time() > patience_s:
                    raise
                if declined.reason is Reason.MODEL_UNKNOWN:
                    watch.begin("fetch", "the peer is fetching the model")
                else:
                    watch.begin("wait", str(declined))
                # Asked to come back in seconds: a small model is there long before.
                await trio.sleep(min(pause_s, max(1.0, declined.retry_s)))
                pause_s *= 2
            except TransportError:
                losses += 1
                if losses == LOSSES_MAX:
                    raise
                watch.begin("wait", "the connection was lost")
                await trio.sleep(1.0)


# What begins when an order has come so far.
_NEXT = {
    Phase.PLACED: ("order", "waiting for an answer"),
    Phase.ACCEPTED: ("send", "sending the inputs"),
    Phase.SENT: ("work", "the peer is computing"),
    Phase.DELIVERED: ("check", "computing again what came"),
    Phase.CHECKED: ("pay", "paying what is right"),
}


def _sample(interface: Interface, free: Sequence[int], seed: int, most: int) -> Item:
    return sample(interface, free, seed, most=most)


def first_numbers(tensor: Tensor) -> tuple[float, ...]:
    """Read the first numbers of a tensor; none of a type that is not shown."""
    code = _NUMBERS.get(tensor.element)
    if code is None:
        return ()
    count = min(NUMBERS_SHOWN, tensor.header.elements)
    return struct.unpack_from(f"<{count}{code}", tensor.data)
