# SPDX-License-Identifier: MIT
"""What a runner says of the model that it loaded is read as the words of an enemy."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from node.executor.wire import TABLE_BYTES_MAX, Op, head_bytes
from protocol.errors import Refused
from protocol.limits import PORTS_MAX, RANK_MAX
from protocol.reasons import Reason
from tests.node.executor.lying_runner import (
    DEADLINE_S,
    DESCRIPTION,
    FOUR,
    Liar,
    assert_gone,
    deaf,
    done,
    failed,
    lied_to,
    needs,
    raw,
    ready,
    refusal,
)

# --- while it loads -------------------------------------------------------------------------------


def described(**changed: object) -> bytes:
    return ready({**DESCRIPTION, **changed})


def document(data: bytes) -> bytes:
    return head_bytes(Op.READY, data)


PORT = ["x", 1, []]
DESCRIPTIONS = {
    "garbage": document(b"\x00\xff garbage"),
    "nothing": document(b""),
    "a list": ready([]),
    "a number": ready(5),
    "null": document(b"null"),
    "a deep list": document(b"[" * TABLE_BYTES_MAX),
    "a deep object": document(b'{"inputs":' * (TABLE_BYTES_MAX // 10)),
    "a long number": document(b"9" * TABLE_BYTES_MAX),
    "a port with a long number": document(b'{"inputs":[["x",1,[' + b"9" * 100_000 + b"]]]}"),
    "not a number": described(inputs=[["x", float("nan"), []]]),
    "infinity": described(inputs=[["x", float("inf"), []]]),
    "no inputs": ready({"outputs": [], "layers": []}),
    "no layers": ready({"inputs": [], "outputs": []}),
    "inputs that are text": described(inputs="ports"),
    "inputs that are an object": described(inputs={"x": 1}),
    "inputs that are null": described(inputs=None),
    "too many inputs": described(inputs=[PORT] * (PORTS_MAX + 1)),
    "too many outputs": described(outputs=[PORT] * 80_000),
    "a million ports": document(
        b'{"inputs":[' + b"[]," * 300_000 + b'[]],"outputs":[],"layers":[]}'
    ),
    "a port of two": described(inputs=[["x", 1]]),
    "a port of four": described(inputs=[["x", 1, [], 0]]),
    "a port that is text": described(inputs=["xyz", "ab"]),
    "a type that does not exist": described(inputs=[["x", 0, []]]),
    "a type that is a long text": described(inputs=[["x", "\x1b" * 100_000, []]]),
    "a type that is a list": described(inputs=[["x", [1], []]]),
    "dimensions that are a number": described(inputs=[["x", 1, 5]]),
    "dimensions that are null": described(inputs=[["x", 1, None]]),
    "too many dimensions": described(inputs=[["x", 1, [1] * (RANK_MAX + 1)]]),
    "far too many dimensions": described(inputs=[["x", 1, [1] * 100_000]]),
    "values that nobody reads": ready({**DESCRIPTION, "more": [0] * 100_000}),
    "layers of two": described(layers=[["seccomp", True]]),
    "layers that are a number": described(layers=7),
    "too many layers": described(layers=[["a", True, "b"]] * 50_000),
    "something else": done(FOUR),
    "a need": needs(5),
    "noise": bytes(range(256)) * 300,
    "a table of 4 GB": raw(0xFFFF_FFFF, Op.READY),
    "data as well": raw(2, Op.READY, inline_bytes=4) + b"{}" + FOUR,
    "a reason that is not its business": failed(Reason.BANNED),
    "one byte more": ready() + b"!",
    "ready twice": ready() * 2,
}


@pytest.mark.parametrize("lie", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
async def test_nonsense_while_loading_refuses_the_model(lie: bytes) -> None:
    async def load(liar: Liar) -> None:
        await liar.say(lie)

    async with lied_to(load) as link:
        with pytest.raises(Refused) as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert caught.value.detail.isprintable()
        assert len(caught.value.detail) < 1000
        assert_gone(link)
        assert (await refusal(link)).reason is Reason.IDLE


async def test_a_name_cannot_speak_to_a_terminal() -> None:
    evil = "\x1b[2J\ud800" + "n" * 100_000

    async def load(liar: Liar) -> None:
        await liar.say(
            described(inputs=[[evil, 1, [evil]]], outputs=[], layers=[[evil, True, evil]])
        )

    async with lied_to(load) as link:
        await link.ready(DEADLINE_S)
        (port,), (layer,) = link.inputs, link.layers
        for text in (port.name, port.dims[0], layer.name, layer.detail):
            assert isinstance(text, str)
            assert text.isprintable()
            assert len(text) < 1000
            text.encode()


@pytest.mark.parametrize("dim", [-1, 1 << 63, 1.5, True, None, [], {}], ids=repr)
async def test_a_dimension_that_is_none_is_not_known(dim: object) -> None:
    async def load(liar: Liar) -> None:
        await liar.say(described(inputs=[["x", 1, [dim]]]))

    async with lied_to(load) as link:
        await link.ready(DEADLINE_S)
        assert link.inputs[0].dims in {(None,), (1,)}


async def test_a_load_that_says_nothing_ends_in_time(autojump_clock: MockClock) -> None:
    async def load(liar: Liar) -> None:
        for byte in ready():
            await liar.say(bytes([byte]))
            await trio.sleep(1)

    async with lied_to(load) as link:
        with pytest.raises(Refused, match="did not load within 5 s") as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert autojump_clock.current_time() == DEADLINE_S
        assert_gone(link)


async def test_a_load_that_is_cancelled_leaves_nothing(autojump_clock: MockClock) -> None:
    async with lied_to(deaf) as link:
        with trio.move_on_after(1):
            await link.ready(DEADLINE_S)
        assert autojump_clock.current_time() == 1
        assert_gone(link)


async def test_a_loader_that_dies_refuses_the_model() -> None:
    async def load(liar: Liar) -> None:
        liar.close()

    async with lied_to(load) as link:
        with pytest.raises(Refused, match="died while loading") as caught:
            await link.ready(DEADLINE_S)
        assert caught.value.reason is Reason.MODEL_REFUSED
        assert_gone(link)
