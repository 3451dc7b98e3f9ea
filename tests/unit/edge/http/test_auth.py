from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.edge.http.auth import (
    UNKNOWN,
    AddressFilter,
    SignatureRefused,
    SignatureVerifier,
    TokenSet,
    bearer,
    client_address,
    is_loopback,
    networks,
)

# Tokens ---------------------------------------------------------------------------------------------------------


def test_every_configured_token_opens_the_door() -> None:
    """During a rotation one of two valid tokens would be refused."""
    tokens = TokenSet(["old-token", "new-token"])
    assert tokens.matches("old-token")
    assert tokens.matches("new-token")


@pytest.mark.parametrize("presented", ["", "old", "old-tokenx", "OLD-TOKEN", " old-token", "öld", "\ud800"])
def test_anything_else_stays_out_and_never_raises(presented: str) -> None:
    """A prefix, another case or undecodable bytes would get in, or would end in a 500 instead of a 401."""
    assert not TokenSet(["old-token"]).matches(presented)


def test_an_empty_set_is_false_and_matches_nothing() -> None:
    """A relay without tokens would take any token for a valid one."""
    assert not TokenSet([])
    assert not TokenSet([]).matches("")
    assert TokenSet(["t"])


def test_an_empty_token_is_refused_when_it_is_configured() -> None:
    """A token file that is empty would let everybody in who presents no token."""
    with pytest.raises(ValueError, match="empty"):
        TokenSet(["good", ""])


def test_a_token_set_does_not_show_its_tokens() -> None:
    """A token would reach a log through ``repr``."""
    shown = repr(TokenSet(["s3cret"]))
    assert shown == "TokenSet(1 tokens)"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc ", "abc"),
        ("Bearer a=b/c+d~e._-", "a=b/c+d~e._-"),
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("Bearer a b", None),
        ("Bearerabc", None),
    ],
)
def test_the_bearer_token_is_read_from_its_header(header: str | None, token: str | None) -> None:
    """A valid client would be refused, or another scheme's credentials taken for a token."""
    assert bearer(header) == token


# Addresses ------------------------------------------------------------------------------------------------------

PROXIES = networks(["10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        # Headers count only behind a trusted proxy.
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["127.0.0.1"], "198.51.100.7"),
        ("198.51.100.7", ["127.0.0.1, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        # The leftmost is the attacker's text; the walk from the right never reaches it.
        ("10.0.0.1", ["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["127.0.0.1, 10.0.0.9, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3"),
        # Repeated headers are one list.
        ("10.0.0.1", ["127.0.0.1", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.7", "10.0.0.3, 10.0.0.2"], "198.51.100.7"),
        # Empty list entries say nothing.
        ("10.0.0.1", ["198.51.100.7, ,10.0.0.2,", "", " , "], "198.51.100.7"),
        ("10.0.0.1", ["", " "], "10.0.0.1"),
        # Ports.
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2:1"], "198.51.100.7"),
        # IPv6, and one spelling per machine.
        ("2001:db8:1::1", ["2001:DB8:0:0::7"], "2001:db8::7"),
        ("2001:db8:2::1", ["198.51.100.7"], "2001:db8:2::1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:198.51.100.7", ["127.0.0.1"], "198.51.100.7"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        # What is no address ends the walk; it never lends the proxy's own address to a stranger.
        ("10.0.0.1", ["unknown"], UNKNOWN),
        ("127.0.0.1", ["unix:"], UNKNOWN),
        ("127.0.0.1", ["127.0.0.1, _hidden"], UNKNOWN),
        ("10.0.0.1", ["198.51.100.7, garbage, 10.0.0.2"], UNKNOWN),
        ("10.0.0.1", ["garbage, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:99999"], UNKNOWN),
        ("10.0.0.1", ["198.51.100.7:"], UNKNOWN),
        ("10.0.0.1", ["198.51.100.07"], UNKNOWN),
        ("10.0.0.1", ["2130706433"], UNKNOWN),
        ("10.0.0.1", ["127.1"], UNKNOWN),
        ("10.0.0.1", ["[2001:db8::7"], UNKNOWN),
        ("10.0.0.1", ["[198.51.100.7]"], UNKNOWN),
        ("10.0.0.1", ["[2001:db8::7]x"], UNKNOWN),
        ("10.0.0.1", ['"198.51.100.7"'], UNKNOWN),
        ("10.0.0.1", ["١٩٨.51.100.7"], UNKNOWN),
        ("10.0.0.1", ["1" * 8000], UNKNOWN),
        # A peer without an IP address is nobody's proxy.
        ("", ["198.51.100.7"], ""),
    ],
)
def test_the_client_is_the_first_stranger_from_the_right(peer: str, forwarded_for: list[str], client: str) -> None:
    """A sender could forge its address, or every client behind the proxy would look like the proxy."""
    assert client_address(peer, forwarded_for, PROXIES) == client


@pytest.mark.parametrize("forged", ["127.0.0.1", "::1", "10.0.0.1", "203.0.113.5"])
def test_without_trusted_proxies_the_header_is_ignored(forged: str) -> None:
    """With the default configuration anybody could pass for loopback."""
    assert client_address("198.51.100.7", [forged], ()) == "198.51.100.7"


def test_a_client_that_no_proxy_named_has_no_rights() -> None:
    """Behind a proxy on loopback, a garbled header would make the whole internet a loopback peer."""
    client = client_address("127.0.0.1", ["unix:"], networks(["127.0.0.0/8"]))
    assert not is_loopback(client)
    assert not AddressFilter(["127.0.0.0/8", "0.0.0.0/0", "::/0"]).allows(client)


@given(st.lists(st.text(max_size=40), max_size=4), st.ip_addresses().map(str))
def test_nothing_left_of_the_client_changes_the_answer(forged: list[str], client: str) -> None:
    """Some text to the left of the real address would get through to the verdict, or raise."""
    named = client_address(
        "10.0.0.1", [*forged, f"{', '.join(forged)}, {client}, 10.0.0.2"], networks(["10.0.0.1", "10.0.0.2"])
    )
    mapped = getattr(ip_address(client), "ipv4_mapped", None)
    if client not in ("10.0.0.1", "10.0.0.2"):
        assert named == str(mapped or client)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.5", True),
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("::ffff:203.0.113.5", True),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("192.0.2.9", True),
        ("192.0.3.9", False),
        ("", False),
        (UNKNOWN, False),
    ],
)
def test_the_filter_lets_only_its_networks_pass(address: str, allowed: bool) -> None:
    """An allow-list would keep out a listed sender or let in another."""
    assert AddressFilter(["203.0.113.0/24", "2001:db8::1", "::ffff:192.0.2.0/120"]).allows(address) is allowed


def test_no_filter_lets_everybody_pass() -> None:
    """A relay without an allow-list would refuse every delivery."""
    assert not AddressFilter([])
    assert AddressFilter([]).allows("203.0.113.5")
    assert AddressFilter(["203.0.113.5"])


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "300.0.0.0/8", "example.org", "10.0.0.0/33"])
def test_what_is_no_network_is_refused_by_name(cidr: str) -> None:
    """A typing error in an allow-list would be found only when a delivery is refused, or open more than was meant."""
    with pytest.raises(ValueError, match=cidr):
        AddressFilter(["192.0.2.0/24", cidr])


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::2", False),
        ("0.0.0.0", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_loopback_is_recognized_in_every_spelling(address: str, loopback: bool) -> None:
    """A door that is open to loopback only would be open to others, or closed to a local sender."""
    assert is_loopback(address) is loopback


# Signatures -----------------------------------------------------------------------------------------------------

SPEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECOND = "whsec_YSBzZWNvbmQgc2VjcmV0IG9mIHRoZSByZWxheSwgMzI="
LONG = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwNw=="
SIGNED_AT = 1614265330


@dataclass(frozen=True)
class Signed:
    """A delivery whose signature was made by ``openssl dgst``, not by the code under test."""

    signature: str
    id: str = "msg_1"
    timestamp: str = str(SIGNED_AT)
    body: bytes = b'{"test": 2432232314}'
    secrets: tuple[str, ...] = (SPEC,)

    def verify(self, now: float = SIGNED_AT) -> None:
        headers = {
            "webhook-id": self.id,
            "webhook-timestamp": self.timestamp,
            "webhook-signature": self.signature,
        }
        SignatureVerifier(self.secrets).verify(headers, self.body, now)

    def code(self, now: float = SIGNED_AT) -> str:
        with pytest.raises(SignatureRefused) as refused:
            self.verify(now)
        return refused.value.code


PUBLISHED = Signed("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", id="msg_p5jXN8AQM9LWM0D4loKWxJek")
BY_SECOND = "v1,HIDD+VIZA4N56lggVNVN8UFF0Wklder8VdyrTejQXEI="

GOOD = {
    "the specification's own example": PUBLISHED,
    "a secret without its prefix": replace(PUBLISHED, secrets=(SPEC.removeprefix("whsec_"),)),
    "the second of two secrets": replace(PUBLISHED, signature=BY_SECOND, secrets=(SPEC, SECOND)),
    "the first of two secrets": replace(PUBLISHED, secrets=(SPEC, SECOND)),
    "two signatures, the second fits": replace(PUBLISHED, signature=f"{BY_SECOND} {PUBLISHED.signature}"),
    "an asymmetric signature beside it": replace(
        PUBLISHED, signature=f"v1a,hnO3f9T8Ytu9HwrXslvu {PUBLISHED.signature}"
    ),
    "malformed entries beside it": replace(PUBLISHED, signature=f"v1 ,, v1,\udcff {PUBLISHED.signature} v1,"),
    "a secret of 64 bytes": Signed("v1,zvciMI/KCwcQxDwWFS6m+Aw4yVQvbBrFZZ25y5j2U2s=", secrets=(LONG,)),
    "an empty body": Signed("v1,/n9JD+QvCBymh/dplZctdnJL3Jc/7vU4siQ5cz50QYY=", body=b""),
    "a body that is no text": Signed("v1,40Ar0TuNJ+bPx45y7MU2+bjD/xPFT3YaWt0W38IgwM0=", body=b"\xff\x00\xfe"),
    "a body in UTF-8": Signed("v1,omOlLdEfnnWZSrflXvNklRQCbQAtvuFGahB43Sw4lBU=", body='{"a":"é€"}'.encode()),
    "a timestamp with a leading zero": Signed(
        "v1,dFNRjNPwXWeVANvcVCkKXHOu0kw7fsBdwfyhk4JiqQo=", timestamp="01614265330"
    ),
}


@pytest.mark.parametrize("signed", GOOD.values(), ids=GOOD.keys())
def test_a_rightly_signed_delivery_passes(signed: Signed) -> None:
    """A delivery that the standard calls valid would be refused and, after a few attempts, lost."""
    signed.verify()


BAD = {
    "another body": (replace(PUBLISHED, body=b'{"test": 2432232315}'), "bad_signature"),
    "another id": (replace(PUBLISHED, id="msg_other"), "bad_signature"),
    "another time": (replace(PUBLISHED, timestamp=str(SIGNED_AT + 1)), "bad_signature"),
    "another secret": (replace(PUBLISHED, secrets=(SECOND,)), "bad_signature"),
    "no secret": (replace(PUBLISHED, secrets=()), "bad_signature"),
    "no version": (replace(PUBLISHED, signature=PUBLISHED.signature[3:]), "bad_signature"),
    "another version": (replace(PUBLISHED, signature="v2" + PUBLISHED.signature[2:]), "bad_signature"),
    "cut short": (replace(PUBLISHED, signature=PUBLISHED.signature[:-1]), "bad_signature"),
    "no signature in the list": (replace(PUBLISHED, signature=" "), "bad_signature"),
    "a dot in the id": (Signed("v1,g84Fr48iNUfeALcCN2LRQhSXJZ7Hs8lJ7kFx76VJCDU=", id="msg.1"), "bad_signature"),
    "an empty id": (Signed("v1,BbrBopkxy1IaPTmLxhGOIjtynRWNh3UqphKDPFaJ1cU=", id=""), "bad_signature"),
    "a fraction of a second": (
        Signed("v1,GNusDX0T0WlZGEj19z4vRV3VlABA0XmFvqmDuoykev0=", timestamp="1614265330.0"),
        "bad_timestamp",
    ),
    "a negative time": (Signed("v1,cGNUD//zUQEYo0cYmP8i6grJA3XswKE/k6E81XJnVWk=", timestamp="-5"), "bad_timestamp"),
    "a word": (replace(PUBLISHED, timestamp="now"), "bad_timestamp"),
    "nothing": (replace(PUBLISHED, timestamp=""), "bad_timestamp"),
    "digits of another script": (replace(PUBLISHED, timestamp="١٦١٤٢٦٥٣٣٠"), "bad_timestamp"),
    "as many digits as are read": (replace(PUBLISHED, timestamp="1" * 15), "stale_timestamp"),
    "more digits": (replace(PUBLISHED, timestamp="1" * 16), "bad_timestamp"),
    "endless digits": (replace(PUBLISHED, timestamp="1" * 5000), "bad_timestamp"),
}


@pytest.mark.parametrize(("signed", "code"), BAD.values(), ids=BAD.keys())
def test_a_wrongly_signed_delivery_is_refused_with_its_code(signed: Signed, code: str) -> None:
    """A forged delivery would become an event, or its sender would get the wrong reason."""
    assert signed.code() == code


@pytest.mark.parametrize("offset", [-300, -299.5, 0, 300])
def test_the_clock_may_be_off_by_the_tolerance(offset: float) -> None:
    """A sender whose clock is a little off would lose its deliveries."""
    PUBLISHED.verify(now=SIGNED_AT + offset)


@pytest.mark.parametrize("offset", [-301, 300.5, 301, 86_400])
def test_an_old_or_future_delivery_is_stale(offset: float) -> None:
    """A recorded delivery could be replayed forever."""
    assert PUBLISHED.code(now=SIGNED_AT + offset) == "stale_timestamp"


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    """The answer to a sender that does not sign would blame a wrong signature."""
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(SIGNED_AT), "webhook-signature": "v1,x"}
    del headers[missing]
    with pytest.raises(SignatureRefused, match=missing) as refused:
        SignatureVerifier([SPEC]).verify(headers, b"", SIGNED_AT)
    assert refused.value.code == "missing_signature"


@given(signature=st.text(max_size=200), identifier=st.text(max_size=50), stamp=st.text(max_size=30), body=st.binary())
def test_hostile_headers_are_refused_and_nothing_else(signature: str, identifier: str, stamp: str, body: bytes) -> None:
    """Odd header bytes would end in a 500, which reads as a fault of the relay."""
    headers = {"webhook-id": identifier, "webhook-timestamp": stamp, "webhook-signature": signature}
    with pytest.raises(SignatureRefused):
        SignatureVerifier([SPEC, SECOND]).verify(headers, body, SIGNED_AT)


@pytest.mark.parametrize("identifier", ["\ud800", "é"], ids=ascii)
def test_an_id_that_is_not_ascii_is_refused(identifier: str) -> None:
    """Undecodable bytes in the id would raise an encoding error instead of a refusal."""
    assert replace(PUBLISHED, id=identifier).code() == "bad_signature"


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("whsec_not base64!", "not base64"),
        ("whsec_!!!!" + SPEC.removeprefix("whsec_"), "not base64"),
        ("whsec_" + "A" * 20, "15 bytes"),
        ("whsec_" + "A" * 88, "66 bytes"),
        ("", "0 bytes"),
        ("whsec_é", "not base64"),
    ],
)
def test_a_bad_secret_is_refused_without_being_shown(secret: str, complaint: str) -> None:
    """A secret that can be guessed would be accepted, or a mistyped one printed."""
    with pytest.raises(ValueError, match=rf"no\. 2 .*{complaint}") as error:
        SignatureVerifier([SPEC, secret])
    assert not secret or secret.removeprefix("whsec_") not in str(error.value)


def test_a_refusal_shows_no_secret_and_no_expected_signature() -> None:
    """An answer or a log line would hand the sender what it has to forge."""
    with pytest.raises(SignatureRefused) as refused:
        replace(PUBLISHED, signature="v1,AAAA").verify()
    assert PUBLISHED.signature[3:] not in f"{refused.value!r} {refused.value}"
    assert SPEC[6:] not in f"{refused.value!r} {refused.value}"


def test_a_verifier_without_secrets_is_false() -> None:
    """The edge would not know whether signatures are required at all."""
    assert not SignatureVerifier([])
    assert SignatureVerifier([SPEC])
