# SPDX-License-Identifier: MIT
"""What is measured is what moved on the line, and not how fast a buffer was filled."""

import pytest
import trio

from node.mesh.framed import Framed, running
from node.mesh.meter import GAP_S, LEAST_BYTES, Meter
from protocol.frames import TENSOR_DATA_BYTES_MAX, TensorData, TensorStart
from protocol.limits import WINDOW_BYTES_DEFAULT
from protocol.tensors import ElementType, Tensor
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.pairs import streams

KIB = 1024


class Told(list[tuple[int, int, float]]):
    def __call__(self, up_bytes: int, down_bytes: int, took_s: float) -> None:
        self.append((up_bytes, down_bytes, took_s))


def test_what_comes_is_measured_from_the_first_piece_on() -> None:
    told = Told()
    meter = Meter(told)
    for number in range(10):
        meter.came(64 * KIB, 100 + number * 0.5)
    assert told == [(0, 256 * KIB, 2.0), (0, 256 * KIB, 2.0)]


def test_a_little_is_no_measurement() -> None:
    told = Told()
    meter = Meter(told)
    for number in range(4):
        meter.came(64 * KIB, number * 0.5)
    assert told == []


def test_a_silence_is_not_counted() -> None:
    told = Told()
    meter = Meter(told)
    for at_s in (0.0, 1.0, 1.0 + GAP_S + 0.1, 5.0):
        meter.came(LEAST_BYTES - 1, at_s)
    assert told == []


def test_what_comes_at_once_is_not_divided_by_nothing() -> None:
    told = Told()
    meter = Meter(told)
    for _ in range(100):
        meter.came(64 * KIB, 7.0)
    assert told == []


def test_what_goes_is_measured_between_two_grants_of_the_peer() -> None:
    told = Told()
    meter = Meter(told)
    meter.went(4096 * KIB)  # the first window, which only fills buffers
    meter.granted(10.0)
    meter.went(1024 * KIB)
    assert told == []
    meter.granted(11.0)
    assert told == [(1024 * KIB, 0, 1.0)]
    meter.went(2048 * KIB)
    meter.granted(11.5)
    assert told[1:] == [(2048 * KIB, 0, 0.5)]


@in_virtual_time
async def test_a_stream_tells_how_fast_its_reader_lets_data_through() -> None:
    up, down = Told(), Told()
    frame_s = 0.01
    data = bytes(6 * WINDOW_BYTES_DEFAULT)
    async with (
        streams() as (near, far),
        running(Framed(near, meter=Meter(up))) as one,
        running(Framed(far, meter=Meter(down))) as other,
        trio.open_nursery() as nursery,
    ):
        tensor = Tensor(ElementType.UINT8, (len(data),), data)
        nursery.start_soon(one.send_tensor, 0, 0, tensor)
        await other.take(TensorStart)
        left_bytes = len(data)
        while left_bytes:
            left_bytes -= len((await other.take(TensorData)).data)
            await trio.sleep(frame_s)
    rate_bytes_s = TENSOR_DATA_BYTES_MAX / frame_s
    assert up
    assert down
    for up_bytes, down_bytes, took_s in (up[-1], down[-1]):
        assert (up_bytes or down_bytes) / took_s == pytest.approx(rate_bytes_s, rel=0.2)
