"""The last net for configured secrets, as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.conceal import Concealed, Cover
from relay.core.tasks.address import KEY_BYTES, Keys, nonce, secret_of
from tests.unit.drafts import draft

KEY = "sk-upstream-key-0123456789"
ODD = 'pass/"word"\\with/slashes'
CONCEALED = Concealed([KEY, ODD, "short"])


@pytest.mark.parametrize(
    "text",
    [KEY.encode(), b'{"a":"Bearer ' + KEY.encode() + b'!"}', KEY.encode() * 2, b"x" + KEY.encode()[1:] + KEY.encode()],
)
def test_an_answer_shows_no_secret_and_keeps_its_length(text: bytes) -> None:
    """A client would read the key of the upstream; or its answer would not be as long as its head says."""
    covered = CONCEALED.covered(text)
    assert KEY.encode() not in covered
    assert len(covered) == len(text)


@pytest.mark.parametrize("form", [rb"pass/\"word\"\\with/slashes", rb"pass\/\"word\"\\with\/slashes", ODD.encode()])
def test_a_secret_is_known_as_json_writes_it(form: bytes) -> None:
    """A secret with a quote or a slash in it would be shown wherever JSON escapes it."""
    assert CONCEALED.covered(b'{"m":"' + form + b'"}') == b'{"m":"' + b"*" * len(form) + b'"}'


def test_what_is_short_stays() -> None:
    """Every answer with the word in it would be unreadable."""
    assert CONCEALED.covered(b"a short text") == b"a short text"


@given(st.data())
def test_pieces_are_covered_like_the_whole(data: st.DataObject) -> None:
    """A secret would slip through where an answer is cut into pieces, or bytes would be lost there."""
    parts = st.sampled_from([KEY.encode(), KEY.encode()[:7], KEY.encode()[5:], ODD.encode(), b"sk-", b"abc", b"*"])
    text = b"".join(data.draw(st.lists(parts, max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    cover = Cover(CONCEALED)
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown = b"".join([*map(cover.take, pieces), cover.rest()])
    assert len(shown) == len(text)
    assert KEY.encode() not in shown
    assert all(a in (b, ord("*")) for a, b in zip(shown, text, strict=True))


def test_nothing_is_held_back_but_the_beginning_of_a_secret() -> None:
    """Answers would come later than the upstream sends them."""
    cover = Cover(CONCEALED)
    assert cover.take(b"hello") == b"hello"
    assert cover.take(b"hello sk-up") == b"hello "
    assert cover.take(b"per") == b"sk-upper"
    assert cover.rest() == b""


def test_the_address_of_a_task_is_covered_in_a_whole_answer() -> None:
    """A client that polls could forge the result of the task."""
    secret = secret_of(nonce(b"r" * 16, 1), Keys(b"o" * KEY_BYTES, (b"s",))).encode()
    text = b'{"url":"https://r/webhooks/novita/' + secret + b'","n":1}'
    assert Concealed().covered(text) == text.replace(secret, b"*" * len(secret))


def test_an_event_and_a_line_of_the_log_are_redacted() -> None:
    """Anyone who reads topics or logs would have the key."""
    dirty = draft("a")
    dirty = dirty._replace(event=dirty.event._replace(data=b'{"m":"' + KEY.encode() + b'"}'))
    assert CONCEALED.in_draft(dirty).event.data == b'{"m":"[redacted]"}'
    clean = draft("a")
    assert CONCEALED.in_draft(clean) is clean
    assert CONCEALED.in_text(f"key {KEY}.") == "key [redacted]."
    assert CONCEALED.in_text("\ud800 none") == "\ud800 none"
    assert KEY not in repr(CONCEALED)
