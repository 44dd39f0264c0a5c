# SPDX-License-Identifier: MIT
"""Nothing in a report tells who somebody is; and all that helps is still in it."""

import json
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.api.documents import Finding
from node.config import KEYS
from node.doctor import report
from node.doctor.redact import Redactor
from node.doctor.report import report_of, write_report
from node.identity import load_or_make
from protocol.keys import Keypair, peer_id
from tests.node.doctor.scenes import OTHER, PEER, scene_at

A, B = peer_id(PEER), peer_id(OTHER)
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
INVITE = "commons://k6k6jvkpd5t6a0e422dh2740h6j8br7k851s6zasn48w81kk"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{A} met {B}, then {A}.", "peer-1 met peer-2, then peer-1."),
        (f"/ip4/192.0.2.7/tcp/4001/p2p/{A} is off.", "address-1/p2p/peer-1 is off."),
        ("/dns/a.example/tcp/1, /ip6/2001:db8::1/tcp/2", "address-1, address-2"),
        ("from 192.0.2.7:4001, and 2001:db8::1.", "from address-1:4001, and address-2."),
        ("[2001:db8::1]:80 and 192.0.2.7.", "address-1:80 and address-2."),
        (INVITE, "invite-1"),
        (f"order {DIGEST} {DIGEST[:16]}", "order id-1 id-2"),
        ("see https://a.example/x?y=z now", "see url-1 now"),
        ("write to alice@mail.example please", "write to mail-1 please"),
        ("/srv/alice/taxes.onnx: no such file", "path-1: no such file"),
        ("key k9Jh2kLmN0pQrStUvWxYz012345= here", "key secret-1 here"),
    ],
)
def test_what_has_the_form_of_a_name_gets_a_token(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "at 12:30:45 it was 10:07",
        "/ip4/127.0.0.1/tcp/4001 and /ip6/::/tcp/0 and 0.0.0.0",
        "governor.memory_free_mib is 512, NvTensorRTRTXExecutionProvider is missing",
        "`commons peers unban` lifts it; see docs/design/sandbox.md and /proc/self/mounts",
        "Linux 6.1.0-13-amd64, numpy 2.4.6, 109,105 Mflop/s",
        "no_new_privileges, seccomp_load: Operation not permitted",
        "KeyError: 'x' in task `view`, 3 of 14 layers: 1/2",
    ],
)
def test_what_helps_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text


def test_known_names_go_wherever_they_stand_and_below_home_nothing_is_shown() -> None:
    redactor = Redactor(
        {"home": ["/srv/alice"], "state": ["/srv/alice/.s"], "network": ["the reading room", "al"]}
    )
    assert redactor.text("`The Reading Room`, all of al") == "`network-1`, all of network-2"
    assert redactor.text("/srv/alice/cv/taxes.onnx, ok") == "home-1, ok"
    assert redactor.text("/srv/alice/.s/node.db is damaged") == "state-1/node.db is damaged"


def test_words_of_this_program_are_no_secrets() -> None:
    assert Redactor({"user": ["root"], "network": ["commons"]}).text("commons root") == (
        "commons root"
    )


def test_tokens_stay_the_same_within_a_report_and_reach_every_depth() -> None:
    redactor = Redactor()
    shown = redactor.value({"a": [A, {"b": (B, A)}], "n": 3, "x": None, "o": object(), A: True})
    assert shown == {
        "a": ["peer-1", {"b": ["peer-2", "peer-1"]}],
        "n": 3,
        "x": None,
        "o": "object",
        "peer-1": True,
    }


@given(
    seed=st.binary(min_size=32, max_size=32),
    before=st.text("abc .,`'(", max_size=8),
    after=st.sampled_from(["", ".", ",", ")", "`", " x", ":"]),
)
def test_no_peer_id_and_no_key_stays_whatever_stands_around_it(
    seed: bytes, before: str, after: str
) -> None:
    if before[-1:].isalnum():
        before += " "
    name = peer_id(Keypair(seed).public)
    shown = Redactor().text(f"{before}{name}{after} {seed.hex()}{after}")
    assert name not in shown
    assert seed.hex() not in shown


def test_long_texts_of_strangers_take_no_time() -> None:
    """Each pattern reads a text once: one that goes back and forth would hang on these."""
    for text in ("a" * 20_000, "1:" * 10_000, "/a" * 10_000, "0.1" * 7_000, "f" * 20_000):
        Redactor().text(text)


# --- a report of a node with many names -----------------------------------------------------------


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str]]:
    """A report of a home full of names, and all of these names."""
    home = tmp_path / "alice-of-the-hill"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(socket, "gethostname", lambda: "attic-7.hill.example")
    flags = (
        f"mesh.trusted={A}",
        f"mesh.bootstrap=/dns4/gate.hill.example/tcp/4001/p2p/{B}",
        "mesh.announce=/ip4/198.51.100.23/tcp/4001",
    )
    scene = scene_at(home / "commons", *flags, told={"version": "0"})
    scene.paths.state.mkdir(parents=True, mode=0o700)
    identity = load_or_make(scene.paths, scene.clock)
    network = scene.networks().found("the reading room", private=True)
    invite = scene.networks().invite([f"/ip4/198.51.100.23/tcp/4001/p2p/{A}"], 3600.0)
    me = peer_id(identity.me)
    secrets = [each.hex() for each in network.secrets.values()]
    names = [
        *(me, A, B, "alice-of-the-hill", "the reading room", "attic-7", "hill.example"),
        *("gate.hill.example", "198.51.100.23", "2001:db8::7", "taxes", network.id.hex()),
        *(network.salt.hex(), identity.seed.hex(), *secrets, invite, DIGEST, str(tmp_path)),
    ]
    everything = " ".join(each for each in names if each != "taxes")
    findings = [
        Finding("identity", "pass", f"{me}, in {scene.paths.state}/identity.key.", everything),
        Finding("bootstrap", "warn", "gate.hill.example: refused; from [2001:db8::7]:99.", me),
        Finding("networks", "fail", f"`the reading room` at {home}/cv/taxes.onnx is lost.", "`x`"),
        Finding("sandbox", "pass", "14 of 14 layers hold: seccomp_run."),
    ]
    fields: dict[str, object] = {"peer": A, "network": "the reading room", "model": "taxes"}
    fields |= {"address": "198.51.100.23", "why": everything, "crashes": 3}
    fields |= {"more": [everything, {"deep": everything}]}
    happened: list[Mapping[str, object]] = [
        {"number": 1, "at_s": 1.5, "event": "peer_met", "fields": fields}
    ]
    return report_of(scene, findings, happened), names


def test_no_planted_name_address_path_or_secret_is_in_the_report(
    planted: tuple[dict[str, Any], list[str]],
) -> None:
    made, names = planted
    text = json.dumps(made).lower()
    assert [each for each in names if each.lower() in text] == []


def test_what_helps_is_in_the_report(planted: tuple[dict[str, Any], list[str]]) -> None:
    made, _ = planted
    assert made["running"]
    assert made["versions"]["commons"]
    assert set(made["config"]) == {"mesh.trusted", "mesh.bootstrap", "mesh.announce"}
    assert [each["state"] for each in made["findings"]] == ["pass", "warn", "fail", "pass"]
    assert made["findings"][1]["sentence"].startswith("host-")
    assert ": refused; from address-" in made["findings"][1]["sentence"]
    assert [each["name"] for each in made["layers"]] == ["sandbox"]
    [happened] = made["happenings"]
    assert (happened["event"], happened["fields"]["crashes"]) == ("peer_met", 3)
    assert happened["fields"]["peer"].startswith("peer-")


def test_a_peer_has_one_token_in_findings_config_and_happenings(
    planted: tuple[dict[str, Any], list[str]],
) -> None:
    made, _ = planted
    assert made["config"]["mesh.trusted"] == [made["happenings"][0]["fields"]["peer"]]


def test_only_the_last_happenings_are_in_it(tmp_path: Path) -> None:
    happened = [{"number": each, "event": "x", "fields": {}} for each in range(500)]
    shown: Any = report_of(scene_at(tmp_path), [], happened)["happenings"]
    assert len(shown) == report.HAPPENINGS_MAX
    assert shown[-1]["number"] == 499


def test_the_file_can_be_read_by_its_owner_alone_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o644)
    write_report(path, {"v": 1})
    assert json.loads(path.read_text()) == {"v": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_key_of_the_config_can_be_in_a_report() -> None:
    """A key that comes later must have a form that JSON and the redactor know."""
    for key in KEYS.values():
        json.dumps(Redactor().value({key.full: key.default}))
