# SPDX-License-Identifier: MIT
"""Every example of docs/design/control-api.md is what the API answers, and none is missing."""

import json
import re
from dataclasses import dataclass

import pytest

from node.api.control import ENDPOINTS, EVENTS, PLAIN, TRY, control_app
from node.cli.control import CODES
from node.log import Log
from tests.node.api.asking import ask
from tests.node.api.nodes import WORKER, FakeNode
from tests.tree import ROOT

PAGE = (ROOT / "docs" / "design" / "control-api.md").read_text(encoding="utf-8")
PAIR = re.compile(r"```http\n(\w+) (/v1/\S+)\n(.*?)```\n\n```(jsonl?)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    method: str
    target: str
    body: object
    answers: list[object]


def examples() -> list[Example]:
    found = []
    for method, target, body, kind, answer in PAIR.findall(PAGE):
        texts = answer.splitlines() if kind == "jsonl" else [answer]
        sent = json.loads(body) if body.strip() else None
        found.append(Example(method, target, sent, [json.loads(text) for text in texts]))
    return found


def node() -> FakeNode:
    made = FakeNode()
    made.happenings.post("peer_met", peer=WORKER, rtt_s=0.0123)
    made.happenings.post("work_paused", reason="paused")
    return made


@pytest.mark.parametrize("example", examples(), ids=lambda each: f"{each.method} {each.target}")
async def test_an_example_is_what_the_api_answers(example: Example) -> None:
    answer = await ask(control_app(node(), Log()), example.method, example.target, example.body)
    assert answer.lines == example.answers


def test_every_endpoint_has_an_example_and_its_row() -> None:
    shown = {(each.method, each.target[4:].partition("?")[0]) for each in examples()}
    assert shown == set(ENDPOINTS)
    rows = re.findall(r"^\| `(\w+) /v1/(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == [*PLAIN, ("GET", "events"), ("POST", "try")]


def test_every_field_of_a_request_stands_in_the_row_of_its_endpoint() -> None:
    forms = {**{key: form for key, (form, _) in PLAIN.items()}}
    forms |= {("GET", "events"): EVENTS, ("POST", "try"): TRY}
    rows = re.findall(r"^\| `(\w+) /v1/(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    for method, name, fields in rows:
        assert re.findall(r"`(\w+)`", fields) == list(forms[method, name])


def test_every_status_and_its_exit_code_stand_in_the_table() -> None:
    rows = dict(re.findall(r"^\| (\d{3}) \| .* \| (\d+) \|$", PAGE, re.MULTILINE))
    assert {int(status): int(code) for status, code in rows.items() if int(code) != 1} == CODES
    assert {"400", "403", "404", "405", "408", "409", "413", "415", "422", "500"} <= rows.keys()
    assert {"502", "503", "504"} <= rows.keys()
