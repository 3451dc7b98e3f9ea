"""The secrets in the webhook addresses of tasks."""

from __future__ import annotations

import base64

import pytest

from relay.core.tasks.address import KEY_BYTES, RANDOM, Keys, made_before, nonce, nonce_of, secret_of, shared_key

NOW = 1_800_000_000
LIFE = 3600
OWN = Keys(b"o" * KEY_BYTES)
ALONE = Keys(b"a" * KEY_BYTES)
FIRST, SECOND = shared_key("first-token"), shared_key("second-token")
NONCE = nonce(b"r" * RANDOM, NOW)


def taken(secret: str, keys: Keys, now: int = NOW) -> bool:
    return nonce_of(secret, keys, now, LIFE) == NONCE


def test_the_journal_that_made_an_address_knows_it_whatever_became_of_the_tokens() -> None:
    """Results would be refused after the rotation of a leaked token."""
    assert taken(secret_of(NONCE, OWN), OWN)
    assert taken(secret_of(NONCE, Keys(OWN.own, (FIRST,))), Keys(OWN.own, (SECOND,)))


def test_another_replica_knows_it_by_a_token_that_both_have() -> None:
    """Behind a balancer most results would be refused; or a stranger's relay would take them."""
    secret = secret_of(NONCE, Keys(OWN.own, (FIRST, SECOND)))
    assert taken(secret, Keys(ALONE.own, (SECOND, FIRST)))
    assert not taken(secret, Keys(ALONE.own, (SECOND,)))  # only the first of the tokens signs
    assert not taken(secret, ALONE)
    assert not taken(secret_of(NONCE, OWN), Keys(ALONE.own, (FIRST,)))


@pytest.mark.parametrize(("later", "good"), [(0, True), (LIFE, True), (LIFE + 1, False), (-300, True), (-301, False)])
def test_an_address_is_good_for_its_life(later: int, good: bool) -> None:
    """An address that its table has forgotten would be anybody's; or clocks a second apart would cost results."""
    assert taken(secret_of(NONCE, OWN), OWN, NOW + later) is good


def test_no_other_text_is_an_address() -> None:
    """An address could be made out of another one, or of nothing."""
    keys = Keys(OWN.own, (FIRST,))
    secret = secret_of(NONCE, keys)
    parts = secret.split(".")
    others = ["", "x", "..", secret + "\n", secret + ".", ".".join(parts[:1]), ".".join([*parts, parts[2]])]
    others += [secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :] for at in range(26)]
    others += [".".join((parts[0], "A" * 22)), ".".join((parts[0], parts[2], parts[1])), "\ud800" * len(secret)]
    assert [other for other in others if nonce_of(other, keys, NOW, LIFE) is not None] == []


def test_a_secret_holds_enough_chance_and_no_key() -> None:
    """It could be guessed; or it would give the key away with which all others are made."""
    keys = Keys(OWN.own, (FIRST,))
    first, own, shared = (base64.urlsafe_b64decode(part + "==") for part in secret_of(NONCE, keys).split("."))
    assert (len(first), len(own), len(shared)) == (20, 16, 16)
    assert RANDOM * 8 >= 128
    assert FIRST not in (own, shared)
    assert b"first-token" not in FIRST
    assert "o" * 8 not in repr(keys)


def test_the_oldest_nonces_come_first() -> None:
    """Addresses that are still good would be forgotten, and then be anybody's."""
    assert nonce(b"\xff" * RANDOM, NOW - 1) < made_before(NOW) <= nonce(b"\0" * RANDOM, NOW)
    assert made_before(-5) == b"\0\0\0\0"
