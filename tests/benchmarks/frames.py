# SPDX-License-Identifier: MIT
"""What the frames cost: a tensor sent and received through channels, against copying its bytes.

Both sides of the ratio walk over the same 64 MiB four times in the same pieces, in turns, so
that a busy machine is busy for both. The channels do what a node does: each piece is framed,
its buffers are joined into what the stream takes (the one copy), cut out again by the
receiver, counted against the window, and the window is granted again.
"""

from statistics import median
from time import perf_counter

from protocol.channel import Channel, NoFrame
from protocol.frames import TENSOR_DATA_BYTES_MAX, TensorData, TensorStart
from protocol.tensors import ElementType, TensorHeader

SIZE_BYTES = 64 << 20
WALKS = 4
ROUNDS = 7


def copy(pieces: list[memoryview]) -> float:
    """Seconds to copy every piece."""
    began = perf_counter()
    for _ in range(WALKS):
        for piece in pieces:
            bytes(piece)
    return perf_counter() - began


def pass_through_channels(pieces: list[memoryview]) -> float:
    """Seconds to send every piece through one channel and receive it from another."""
    sender, receiver = Channel(), Channel()
    began = perf_counter()
    for walk in range(WALKS):
        header = TensorHeader(ElementType.UINT8, (SIZE_BYTES,), SIZE_BYTES)
        receiver.receive_data(b"".join(sender.send(TensorStart(walk, 0, header))))
        receiver.next_event()
        for piece in pieces:
            receiver.receive_data(b"".join(sender.send(TensorData(piece))))
            while not isinstance(event := receiver.next_event(), NoFrame):
                assert isinstance(event, TensorData)
                if window := receiver.consumed(len(event.data)):
                    sender.receive_data(b"".join(receiver.send(window)))
                    sender.next_event()
    return perf_counter() - began


def run() -> list[tuple[str, float, str]]:
    """Give the name, the ratio and what it means; 1.0 would be no cost at all."""
    source = memoryview(bytes(range(256)) * (SIZE_BYTES // 256))  # pages that are really there
    step = TENSOR_DATA_BYTES_MAX
    pieces = [source[at : at + step] for at in range(0, SIZE_BYTES, step)]
    times = [(pass_through_channels(pieces), copy(pieces)) for _ in range(ROUNDS)]
    ratio = median(ours / plain for ours, plain in times)
    best_ours, best_plain = (min(column) for column in zip(*times, strict=True))
    meaning = (
        f"channels / bytes() over {WALKS * SIZE_BYTES >> 20} MiB in 64 KiB pieces, "
        f"median of {ROUNDS} (best {best_ours / best_plain:.2f}; {best_ours:.3f} s)"
    )
    return [("frames", ratio, meaning)]


if __name__ == "__main__":
    for name, ratio, meaning in run():
        print(f"{name:12} {ratio:6.2f}  {meaning}")
