# SPDX-License-Identifier: MIT
"""What a runner says of itself once its model is loaded: its ports, and what contains it.

It is read as the words of an enemy. Where an interface says it better, the interface counts.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from node.executor.executor import Layer
from protocol.errors import RemoteProtocolError
from protocol.limits import DIMENSION_MAX, PORTS_MAX, RANK_MAX, TENSOR_NAME_BYTES_MAX
from protocol.reasons import Reason
from protocol.tensors import Buffer, ElementType

# Ports with as many dimensions as they may have are described with fewer; a document of empty
# lists would keep the daemon busy for a while.
_VALUES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class PortSaid:
    """A port as the runner says it is. Used where no interface says it better."""

    name: str
    element: ElementType
    dims: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """All that it says."""

    inputs: tuple[PortSaid, ...] = ()
    outputs: tuple[PortSaid, ...] = ()
    layers: tuple[Layer, ...] = ()


def parse_description(document: Buffer) -> Description:
    """Read it; RemoteProtocolError says that it is none."""
    document = bytes(document)
    if document.count(b",") > _VALUES_MAX:
        raise _broken("far more values than ports could need")
    try:
        said: dict[str, Any] = json.loads(document)
        rows = [said[name] for name in ("inputs", "outputs", "layers")]
        if any(not isinstance(each, list) or len(each) > PORTS_MAX for each in rows):
            raise _broken("ports or layers that are no list, or too many")
        inputs, outputs, layers = rows
        return Description(
            _ports(inputs),
            _ports(outputs),
            tuple(Layer(_text(name), bool(on), _text(why)) for name, on, why in layers),
        )
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _broken(_text(f"{type(error).__name__}: {error}")) from None


def _ports(rows: Iterable[Any]) -> tuple[PortSaid, ...]:
    return tuple(
        PortSaid(_text(name), ElementType(element), _dimensions(dims))
        for name, element, dims in rows
    )


def _dimensions(said: Sequence[object]) -> tuple[int | str | None, ...]:
    """Read sizes, or the names of some."""
    if len(said) > RANK_MAX:
        raise _broken(f"{len(said)} dimensions")
    return tuple(_text(dim) if isinstance(dim, str) else _size(dim) for dim in said)


def _size(said: object) -> int | None:
    return said if isinstance(said, int) and 0 <= said <= DIMENSION_MAX else None


def _text(said: object) -> str:
    """Read a name: a bounded one, and nothing in it speaks to a terminal."""
    text = str(said)[:TENSOR_NAME_BYTES_MAX]
    return "".join(each if each.isprintable() else " " for each in text)


def _broken(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(Reason.BROKEN_FRAME, detail)
