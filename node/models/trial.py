# SPDX-License-Identifier: MIT
"""Tries a model on this machine: what it costs in the sandbox, beside what it costs without.

For `commons bench`. The inputs are made from a seed, in the forms that the model declares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import trio

from node.executor.executor import Group, Item, Layer, Model, Runner
from node.executor.link import PortSaid
from node.executor.pool import Pool
from node.executor.providers import Choice, choose
from node.executor.reference import Reference, measure_plain
from node.executor.runners import LinkedRunner
from node.models.folder import make_folder
from node.models.intake import TakenIn, take_in
from node.models.policy import LOCAL
from node.models.samples import RANGES, make_tensor, rows_symbol, sample, sizes
from protocol.errors import CommonsError, Refused
from protocol.limits import DIMENSION_MAX
from protocol.model import Manifest
from protocol.price import price_v1
from protocol.reasons import Reason

OWNER = Group("the owner of this machine", trusted=True)
CALL_S = 600.0
ROUNDS_MIN = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured. A model without a price says why; it can run on one's own nodes only."""

    model: TakenIn
    weights_bytes: int
    sizes: Mapping[str, int]
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    load_s: float
    run_s: float
    plain: Reference
    price: int | None
    provider: Choice
    layers: tuple[Layer, ...]

    @property
    def earns_per_s(self) -> float | None:
        """Credit that one runner earns in a second, as long as it has work."""
        return self.price / self.run_s if self.price else None


async def try_out(
    source: Path,
    workshop: Path,
    pool: Pool,
    *,
    wanted: Mapping[str, int],
    preference: Sequence[str] = (),
    threads: int = 1,
    budget_s: float = 2.0,
) -> Trial:
    """Take a model in, run it in the sandbox and without; all files go into `workshop`."""
    blobs, items = workshop / "blobs", workshop / "items"
    for each in (blobs, items):
        each.mkdir()
    taken = await take_in(source, blobs, policy=LOCAL)
    folder = make_folder(taken, blobs, workshop / "models")
    manifest = taken.manifest
    interface = manifest.interfaces()[0] if manifest else None
    offered = await pool.providers()  # starts the zygote, which is not each model's time
    chosen = choose(offered, preference, trusted=True, comparator=taken.at_best)
    begin_s = trio.current_time()
    model = Model(taken.graph, folder, interface, provider=chosen.provider)
    async with pool.lease(model, OWNER) as runner:
        load_s = trio.current_time() - begin_s
        assert isinstance(runner, LinkedRunner)
        ports = runner.link.inputs
        free, item = await _inputs(runner, ports, manifest, wanted)
        # Half before and half after the other way: a machine changes its mind meanwhile.
        runs_s = await _runs(runner, item, budget_s / 2)
        plain = await measure_plain(folder, item, items, threads=threads, budget_s=budget_s)
        runs_s += await _runs(runner, item, budget_s / 2)
        layers = pool.links[0].layers
    return Trial(
        model=taken,
        weights_bytes=sum(each.size_bytes for each in taken.tensors),
        sizes=free,
        provider=chosen,
        inputs=tuple(
            (port.name, tensor.element.name.lower(), tensor.dims)
            for port, tensor in zip(ports, item, strict=True)
        ),
        load_s=load_s,
        run_s=median(runs_s),
        plain=plain,
        price=_price(manifest, item) if manifest else None,
        layers=layers,
    )


async def _inputs(
    runner: Runner, ports: Sequence[PortSaid], manifest: Manifest | None, wanted: Mapping[str, int]
) -> tuple[dict[str, int], Item]:
    """Find sizes and numbers that the model takes."""
    refusal: CommonsError = Refused(Reason.RUN_FAILED)
    for most in RANGES:
        if manifest:
            names = manifest.symbols
            interface = manifest.interfaces()[0]
            free = sizes(names, wanted, rows=rows_symbol(interface))
            item = sample(interface, free, 0, most=most)
        else:
            names = _names(ports)
            free = sizes(names, wanted)
            item = _declared(ports, dict(zip(names, free, strict=True)), most)
        try:
            await runner.run(item, deadline_s=CALL_S)
        except CommonsError as error:
            if error.reason is not Reason.RUN_FAILED:
                raise
            refusal = error
        else:
            return dict(zip(names, free, strict=True)), item
    raise refusal


async def _runs(runner: Runner, item: Item, budget_s: float) -> list[float]:
    runs_s: list[float] = []
    end_s = trio.current_time() + budget_s
    while len(runs_s) < ROUNDS_MIN or trio.current_time() < end_s:
        begin_s = trio.current_time()
        await runner.run(item, deadline_s=CALL_S)
        runs_s.append(trio.current_time() - begin_s)
    return runs_s


def _price(manifest: Manifest, item: Item) -> int:
    interface = manifest.interfaces()[0]
    values = interface.bind([each.dims for each in item])
    return price_v1(manifest.price_facts()[0], values, interface.io_bytes(values))


def _names(ports: Sequence[PortSaid]) -> tuple[str, ...]:
    """List the sizes that are not fixed: by their names, or by where they stand."""
    names = [
        _name(port, axis)
        for port in ports
        for axis, dim in enumerate(port.dims)
        if not isinstance(dim, int)
    ]
    return tuple(dict.fromkeys(names))


def _name(port: PortSaid, axis: int) -> str:
    dim = port.dims[axis]
    return dim if isinstance(dim, str) else f"{port.name}.{axis}"


def _declared(ports: Sequence[PortSaid], chosen: Mapping[str, int], most: int) -> Item:
    item = []
    for port in ports:
        dims = tuple(
            dim if isinstance(dim, int) else min(chosen[_name(port, axis)], DIMENSION_MAX)
            for axis, dim in enumerate(port.dims)
        )
        item.append(make_tensor(port.element, dims, 0, port.name, most=most))
    return tuple(item)
