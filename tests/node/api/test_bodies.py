# SPDX-License-Identifier: MIT
"""What a client sends is bounded and read strictly; nothing that is wrong reaches the node."""

import json
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from node.api import bodies
from node.api.bodies import BODY_BYTES_MAX, BODY_S_MAX
from node.api.control import control_app
from node.api.failures import BadRequest
from node.log import Log
from tests.node.api.asking import HEADERS, Asking, ask
from tests.node.api.nodes import WORKER, FakeNode


async def refused(name: str, body: object, **more: Any) -> dict[str, Any]:
    """Ask for what must be refused, before the node hears of it."""
    node = FakeNode()
    answer = await ask(control_app(node, Log()), "POST", f"/v1/{name}", body, **more)
    assert 400 <= answer.status < 500, answer.body
    assert node.asked == []
    found: dict[str, Any] = answer.document["error"]
    return found


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("pause", {"for": 1}, "Did you mean `for_s`?"),
        ("pause", {"until": 1}, "There are: for_s."),
        ("rotate", {"now": True}, "There are: none."),
        ("pause", {"for_s": "2h"}, "a number from 1 to"),
        ("pause", {"for_s": 0}, "a number from 1 to"),
        ("pause", {"for_s": True}, "a number from 1 to"),
        ("pause", {"for_s": 1e300}, "a number from 1 to"),
        ("join", {}, "Send `text`."),
        ("join", {"text": None}, "Send `text`."),
        ("join", {"text": ""}, "a text of 1 to"),
        ("join", {"text": 5}, "a text of 1 to"),
        ("join", {"text": "x" * 40_000}, "a text of 1 to"),
        ("join", b'{"text": "\\ud800"}', "whole characters"),
        ("found", {"name": "a", "private": "yes"}, "true or false"),
        ("retire", {"version": -1}, "a whole number"),
        ("retire", {"version": 1.0}, "a whole number"),
        ("ban", {"peer": "12D3KooW"}, "a peer id"),
        ("ban", {"peer": ["x"]}, "a peer id"),
        ("try", {"peer": WORKER, "model": "m.onnx"}, "the whole path"),
        ("try", {"peer": WORKER, "model": "/m\0"}, "the whole path"),
        ("try", {"peer": WORKER, "model": "/m", "items": 0}, "a whole number"),
        ("try", {"peer": WORKER, "model": "/m", "sizes": {"a": 0}}, "a whole number"),
        ("try", {"peer": WORKER, "model": "/m", "sizes": [1]}, "an object"),
        ("try", {"peer": WORKER, "model": "/m", "sizes": {str(n): 1 for n in range(65)}}, "64"),
        ("limits", {"changes": {}}, "an object of 1 to"),
        ("pause", b"{", "one JSON object"),
        ("pause", b"[]", "one JSON object"),
        ("pause", b"\xff\xfe", "one JSON object"),
        ("pause", b'{"for_s": NaN}', "one JSON object"),
        ("pause", b'{"for_s": 1, "for_s": 2}', "one JSON object"),
        ("pause", b'{"for_s": ' + b"9" * 5_000 + b"}", "one JSON object"),
        ("pause", b"[" * 60_000, "one JSON object"),
        ("pause", {"for_s": [[[[[[]]]]]]}, "Look up the endpoint"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_with_what_would_be_right(
    name: str, body: object, words: str
) -> None:
    assert words in (await refused(name, body))["next"]


async def test_a_body_that_is_too_large_is_not_even_read_to_its_end() -> None:
    piece = b"x" * 1024
    pieces = [piece] * (BODY_BYTES_MAX // len(piece) + 200)
    asking = Asking(control_app(FakeNode(), Log()), "POST", "/v1/pause", pieces=pieces)
    answer = await asking.run()
    assert answer.status == 413
    assert len(asking._pieces) > 150


async def test_a_body_that_does_not_come_is_not_waited_for_without_end(
    autojump_clock: MockClock,
) -> None:
    async def never() -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    asking = Asking(control_app(FakeNode(), Log()), "POST", "/v1/pause", {})
    asking._receive = never  # type: ignore[method-assign]  # a client that sends nothing
    began = autojump_clock.current_time()
    answer = await asking.run()
    assert answer.status == 408
    assert autojump_clock.current_time() - began == BODY_S_MAX


async def test_a_body_that_is_no_json_by_its_own_words_is_refused() -> None:
    """A form of a web page can be sent without asking; JSON cannot."""
    headers = {**HEADERS, "content-type": "text/plain"}
    assert (await refused("pause", {}, headers=headers))["status"] == 415
    del headers["content-type"]
    assert (await refused("pause", {}, headers=headers))["status"] == 415


async def test_a_body_may_name_its_letters() -> None:
    headers = {**HEADERS, "content-type": "application/json; charset=utf-8"}
    answer = await ask(control_app(FakeNode(), Log()), "POST", "/v1/pause", {}, headers=headers)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/v1/peers?al=1", "Did you mean `all`?"),
        ("/v1/peers?all=yes", "true or false"),
        ("/v1/peers?all=1&all=0", "once"),
        ("/v1/events?since=-1", "a whole number"),
        ("/v1/events?since=1e3", "a whole number"),
        ("/v1/events?since=٣", "a whole number"),
        ("/v1/status?now=1", "There are: none."),
    ],
)
async def test_a_query_that_is_wrong_is_refused(target: str, words: str) -> None:
    node = FakeNode()
    answer = await ask(control_app(node, Log()), "GET", target)
    assert answer.status == 400
    assert words in answer.document["error"]["next"]
    assert node.asked == []


async def test_what_belongs_into_the_body_is_not_taken_from_the_query() -> None:
    assert "There are: none." in (await refused("pause?for_s=60", {}))["next"]


async def test_a_long_value_is_not_repeated_whole() -> None:
    assert len((await refused("retire", {"version": "x" * 30_000}))["detail"]) < 200


@settings(max_examples=30)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_depth_is_counted_as_json_nests(value: object) -> None:
    def depth(found: object) -> int:
        return 1 + max(map(depth, found), default=0) if isinstance(found, list) else 0

    assert bodies._depth([value]) == max(depth([value]), 1)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    try:
        found = bodies._document(data)
    except BadRequest:
        return
    assert found == json.loads(data)
