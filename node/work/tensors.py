# SPDX-License-Identifier: MIT
"""Items of an order on their way: sent in order, and taken only as they were promised.

What will come is known before it does: from the shapes of an order follow the type, the
dimensions and the size of every tensor. So each header is held against its promise before one
byte of data is taken, and what an order can make this node keep is known when it is accepted.
Whether the values are right is no question here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from math import prod

import trio

from node.executor.aside import aside
from node.executor.executor import Item
from node.executor.rooms import own_memory
from node.mesh.framed import Framed, frames_of
from node.mesh.transport import Lost
from protocol.canon import domain_tag
from protocol.channel import NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import (
    CancelFrame,
    Frame,
    Paused,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
)
from protocol.interface import Dims, Interface
from protocol.merkle import MerkleBuilder, leaf, leaf_salt
from protocol.reasons import Reason
from protocol.tensors import (
    Buffer,
    ElementType,
    Tensor,
    TensorHeader,
    encode_header,
    item_digest_from,
    tensor_digest,
)

#: A peer that owes the next frame and says nothing for so long is not waited for.
FRAME_S_MAX = 30.0

#: Whoever sends data slower than this holds memory of ours for nothing.
LEAST_BYTES_PER_S = 16 * 1024

#: Strings say their own lengths; an order may bring so many bytes of them beyond what is priced.
STRINGS_BYTES_MAX = 8 << 20

# Fresh memory in large pages pays from here on.
_LARGE_BYTES = 1 << 20

# Hashing more than this at once is done aside: it takes a millisecond.
_HASH_BYTES = 1 << 20


class EndedEarlyError(Exception):
    """The peer has ended the order; with the code of its reason, and its statement if it came."""

    def __init__(self, reason: str, statement: bytes = b"") -> None:
        """Keep what the peer said."""
        self.reason = reason
        self.statement = statement
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Form:
    """What is known of a tensor before it comes."""

    name: str
    element: ElementType
    dims: Dims

    @property
    def size_bytes(self) -> int:
        """The size of its data; what strings are counted as."""
        return (prod(self.dims) * (self.element.bits or 256) + 7) // 8


Forms = tuple[Form, ...]


def input_forms(interface: Interface, shape: Sequence[Dims]) -> Forms:
    """Give the forms of the inputs of an item; RemoteProtocolError: it cannot have this shape."""
    interface.bind(shape)
    ports = [port for port in interface.inputs if not port.optional]
    return tuple(
        Form(port.name, port.element, tuple(dims)) for port, dims in zip(ports, shape, strict=True)
    )


def output_forms(interface: Interface, shape: Sequence[Dims]) -> Forms:
    """Give the forms of the outputs that an item of this shape has."""
    dims = interface.output_shape(interface.bind(shape))
    return tuple(
        Form(port.name, port.element, each)
        for port, each in zip(interface.outputs, dims, strict=True)
    )


def size_of(forms: Forms) -> int:
    """Give the bytes of an item."""
    return sum(each.size_bytes for each in forms)


class Root:
    """The salted Merkle root over items whose digests come one after another."""

    def __init__(self, secret: bytes, side: int) -> None:
        """Begin without items."""
        self._secret = secret
        self._side = side
        self._builder = MerkleBuilder()

    def add(self, digests: Sequence[bytes]) -> None:
        """Add the next item, by the digests of its tensors."""
        number = self._builder.count
        salt = leaf_salt(self._secret, self._side, number)
        self._builder.append(leaf(number, salt, item_digest_from(digests)))

    def root(self) -> bytes:
        """Give the root over the items so far."""
        return self._builder.root()


async def root_of(secret: bytes, side: int, items: Sequence[Item]) -> bytes:
    """Hash items that are here whole."""
    root = Root(secret, side)
    for item in items:
        digests = []
        for tensor in item:
            if len(tensor.data) > _HASH_BYTES:
                digests.append(await aside(partial(tensor_digest, tensor)))
            else:
                digests.append(tensor_digest(tensor))
        root.add(digests)
        await trio.lowlevel.checkpoint()
    return root.root()


async def send_items(
    wire: Framed,
    items: Sequence[Item],
    *,
    before: Sequence[Frame] = (),
    after: Sequence[Frame] = (),
) -> None:
    """Say all tensors of some items, in their order; small ones share their writes."""
    tensors = (
        frame
        for number, item in enumerate(items)
        for port, tensor in enumerate(item)
        for frame in frames_of(number, port, tensor)
    )
    await wire.send_all(chain(before, tensors, after))


async def take_items(
    wire: Framed,
    forms: Callable[[int], Forms],
    items: int,
    root: Root,
    *,
    deviates: Reason,
    begun: Callable[[], None] = lambda: None,
    first_s: float = FRAME_S_MAX,
) -> list[Item]:
    """Take the tensors of so many items, each as promised, and add them to a root.

    The first one may take `first_s` to come; `begun` is called when it begins.
    RemoteProtocolError: something else came; EndedEarlyError: the peer ends the order.
    """
    strings_left = STRINGS_BYTES_MAX
    taken: list[Item] = []
    for number in range(items):
        item: list[Tensor] = []
        digests: list[bytes] = []
        for port, form in enumerate(forms(number)):
            frame = await next_frame(wire, FRAME_S_MAX if number or port else first_s)
            header = _checked(frame, number, port, form, deviates)
            if number == port == 0:
                begun()
            if not form.element.bits:
                strings_left -= header.size_bytes
                if strings_left < 0:
                    detail = f"more than {STRINGS_BYTES_MAX} bytes of strings in one order"
                    raise RemoteProtocolError(deviates, detail)
            tensor, digest = await _take_tensor(wire, header)
            item.append(tensor)
            digests.append(digest)
        root.add(digests)
        taken.append(tuple(item))
    return taken


async def next_frame(wire: Framed, within_s: float = FRAME_S_MAX) -> Frame:
    """Give the frame that is due; whoever ends the order instead raises EndedEarlyError."""
    with trio.move_on_after(within_s):
        while True:
            frame = await wire.receive()
            match frame:
                case NoFrame():
                    raise Lost("the peer has ended the stream before it had said what was due")
                case Paused() | Resumed():
                    continue
                case CancelFrame(reason):
                    raise EndedEarlyError(reason, await _statement_after(wire))
            return frame
    raise Lost(f"the peer said nothing for {within_s:g} s")


async def _statement_after(wire: Framed) -> bytes:
    """Take the signed word that follows a cancel; it may be missing, and then nobody is worse."""
    with trio.move_on_after(1.0):
        while not isinstance(frame := await wire.receive(), NoFrame):
            if isinstance(frame, StatementFrame):
                return frame.wire
    return b""


def _checked(frame: Frame, item: int, port: int, form: Form, deviates: Reason) -> TensorHeader:
    """Hold a header against what was promised."""
    if not isinstance(frame, TensorStart):
        detail = f"{type(frame).__name__} where tensor {(item, port)} is due"
        raise RemoteProtocolError(Reason.UNEXPECTED, detail)
    if (frame.item, frame.port) != (item, port):
        detail = f"tensor {(frame.item, frame.port)} where {(item, port)} is due"
        raise RemoteProtocolError(deviates, detail)
    if (frame.header.element, frame.header.dims) != (form.element, form.dims):
        detail = (
            f"{form.name} of item {item} is {frame.header.element.name.lower()} "
            f"{frame.header.dims}, promised was {form.element.name.lower()} {form.dims}"
        )
        raise RemoteProtocolError(deviates, detail)
    return frame.header


async def _take_tensor(wire: Framed, header: TensorHeader) -> tuple[Tensor, bytes]:
    """Take the data of a tensor, and hash each byte as it comes."""
    hasher = sha256(domain_tag("tensor") + encode_header(header))
    size_bytes = header.size_bytes
    data: Buffer = own_memory(size_bytes) if size_bytes >= _LARGE_BYTES else bytearray(size_bytes)
    view = memoryview(data)
    at = 0
    with trio.move_on_after(FRAME_S_MAX + size_bytes / LEAST_BYTES_PER_S) as taking:
        while at < size_bytes:
            frame = await next_frame(wire)
            if not isinstance(frame, TensorData):
                detail = f"{type(frame).__name__} within a tensor"
                raise RemoteProtocolError(Reason.UNEXPECTED, detail)
            view[at : at + len(frame.data)] = frame.data
            hasher.update(frame.data)
            at += len(frame.data)
    if taking.cancelled_caught:
        raise Lost(f"{at} bytes of a tensor of {size_bytes} came in {FRAME_S_MAX:g} s and more")
    tensor = Tensor(header.element, header.dims, view.toreadonly())
    if broken := tensor.broken_rule():
        raise RemoteProtocolError(Reason.MALFORMED, f"a tensor: {broken}")
    return tensor, hasher.digest()
