# SPDX-License-Identifier: MIT
"""Invites: what people do to a text when they copy it is forgiven or noticed, never believed."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.hello import network_id
from protocol.invite import (
    _ALPHABET,
    SCHEME,
    Invite,
    _checksum,
    _to_base32,
    format_invite,
    parse_invite,
)
from protocol.limits import (
    ADDRESS_BYTES_MAX,
    ADDRESSES_MAX,
    INVITE_CHARACTERS_MAX,
    NAME_BYTES_MAX,
    UINT_MAX,
)
from protocol.reasons import Reason
from tests.strategies import messages

SALT = bytes(range(16))
INVITE = Invite(
    network=network_id("the village", SALT),
    name="the village",
    salt=SALT,
    secret_version=1,
    secret=bytes(range(32, 64)),
    expires_at_s=1_800_000_000,
    bootstrap=("/ip4/192.0.2.1/tcp/4001",),
)
TEXT = format_invite(INVITE)
NOW_S = 1_700_000_000.0
LOOKALIKES = {"0": "oO", "1": "iIlL"}


def refused(text: str, reason: Reason = Reason.INVITE_BROKEN, match: str = ".") -> None:
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        parse_invite(text, NOW_S)
    assert caught.value.reason is reason


# --- what is forgiven -----------------------------------------------------------------------------


@given(messages(Invite))
def test_an_invite_is_read_as_it_was_written(invite: Invite) -> None:
    assert parse_invite(format_invite(invite), 0.0) == invite


@pytest.mark.slow
@given(messages(Invite), st.data())
def test_case_white_space_hyphens_and_lookalikes_do_not_matter(
    invite: Invite, data: st.DataObject
) -> None:
    dice = data.draw(st.randoms(use_true_random=False))
    typed = []
    for character in format_invite(invite).removeprefix(SCHEME):
        same = character + character.upper() + LOOKALIKES.get(character, "")
        typed.append(dice.choice(same) + dice.choice(["", "", " ", "-", "\n", "\t", "\r\n"]))
    text = f"  {dice.choice([SCHEME, SCHEME.upper()])}{''.join(typed)}\n"
    assert parse_invite(text, 0.0) == invite


@pytest.mark.parametrize("space", [" ", "\t", "\r\n", "\x0b", "\f", "\xa0", "\u2003", "\u202f"])
def test_any_white_space_is_white_space(space: str) -> None:
    """A page or a mail may break lines where it likes, and with what it likes."""
    assert parse_invite(space.join(TEXT), NOW_S) == INVITE


# --- what is noticed ------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_exchange_of_one_character_is_noticed() -> None:
    for place, was in enumerate(TEXT):
        for other in set(_ALPHABET) - {was, was.lower()}:
            refused(TEXT[:place] + other + TEXT[place + 1 :])


def test_every_pair_of_neighbours_in_the_wrong_order_is_noticed() -> None:
    for place, (left, right) in enumerate(pairwise(TEXT)):
        if left != right:
            refused(TEXT[:place] + right + left + TEXT[place + 2 :])


def test_every_end_that_was_not_copied_is_noticed() -> None:
    for end in range(len(TEXT)):
        refused(TEXT[:end])


def test_every_start_that_was_not_copied_is_noticed() -> None:
    for start in range(1, len(TEXT)):
        refused(TEXT[start:])


def test_every_character_that_was_lost_or_typed_twice_is_noticed() -> None:
    for place, character in enumerate(TEXT):
        refused(TEXT[:place] + TEXT[place + 1 :])
        refused(TEXT[:place] + character + TEXT[place:])


@given(st.text(max_size=60))
def test_any_text_is_an_invite_or_says_what_is_wrong_with_it(text: str) -> None:
    for each in (text, SCHEME + text):
        refused(each)


# --- what it says ---------------------------------------------------------------------------------


def test_another_beginning_is_shown() -> None:
    refused("https://commons.example", match="it begins with 'https://comm', not 'commons://'")


def test_a_character_that_does_not_occur_is_shown_with_its_place() -> None:
    refused(TEXT[:14] + "u" + TEXT[15:], match="'u' at place 5 does not occur in an invite")
    refused(TEXT[:14] + "é" + TEXT[15:], match="'é' at place 5 does not occur in an invite")
    kelvin = "\N{KELVIN SIGN}"  # a k in lower case
    refused(TEXT.replace("k", kelvin, 1), match=f"'{kelvin}' at place")


def test_a_mistake_in_the_checksum_or_what_it_covers_is_told_apart_from_a_missing_end() -> None:
    other = "x" if TEXT[20] != "x" else "y"
    refused(TEXT[:20] + other + TEXT[21:], match="its checksum does not match")
    refused(SCHEME, match="its checksum does not match")
    refused(SCHEME + "0", match="its last character is missing or wrong")
    refused(SCHEME + "0z", match="its last character is missing or wrong")


@pytest.mark.parametrize(("late_s", "over"), [(-1, False), (0, True), (90, True)])
def test_an_invite_ends_when_it_says(late_s: int, over: bool) -> None:
    now_s = INVITE.expires_at_s + late_s
    if not over:
        assert parse_invite(TEXT, now_s) == INVITE
        return
    with pytest.raises(RemoteProtocolError, match=f"the invite ended {late_s} s ago") as caught:
        parse_invite(TEXT, now_s)
    assert caught.value.reason is Reason.EXPIRED


def test_an_invite_without_an_end_never_ends() -> None:
    endless = replace(INVITE, expires_at_s=0)
    assert parse_invite(format_invite(endless), 1e18) == endless


def test_a_text_that_no_invite_can_be_is_not_computed_with() -> None:
    refused(SCHEME + "0" * 2 * INVITE_CHARACTERS_MAX, Reason.TOO_LARGE, "8202 characters")
    refused(SCHEME + "0" * (2 * INVITE_CHARACTERS_MAX - len(SCHEME)))


def test_a_whole_text_with_a_body_that_is_none_is_malformed() -> None:
    body = b"\x91\xa6invite"
    refused(SCHEME + _to_base32(body + _checksum(body)), Reason.MALFORMED)


# --- what is written ------------------------------------------------------------------------------


def test_the_id_of_a_network_belongs_to_its_name_and_salt() -> None:
    with pytest.raises(LocalProtocolError, match="does not belong to this name and salt"):
        format_invite(replace(INVITE, name="the other village"))


def test_a_version_is_that_of_a_secret() -> None:
    with pytest.raises(LocalProtocolError, match="a version of no secret"):
        format_invite(replace(INVITE, secret=b""))
    assert format_invite(replace(INVITE, secret=b"", secret_version=0))
    assert format_invite(replace(INVITE, secret_version=0))


def test_an_invite_stays_under_one_screen() -> None:
    name = "n" * NAME_BYTES_MAX
    longest = Invite(
        network=network_id(name, SALT),
        name=name,
        salt=SALT,
        secret_version=UINT_MAX,
        secret=bytes(32),
        expires_at_s=UINT_MAX,
        bootstrap=("a" * ADDRESS_BYTES_MAX,) * ADDRESSES_MAX,
    )
    assert len(format_invite(longest)) <= INVITE_CHARACTERS_MAX
    with pytest.raises(LocalProtocolError, match="rows are not within"):
        format_invite(replace(INVITE, bootstrap=("/a",) * (ADDRESSES_MAX + 1)))
