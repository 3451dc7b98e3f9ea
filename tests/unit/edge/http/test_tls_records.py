"""Records of TLS are found wherever the bytes were cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.edge.http.tls_records import AT_ONCE, Records

CONTENTS = st.lists(st.binary(max_size=40), max_size=200)
CUTS = st.lists(st.integers(min_value=1, max_value=300), min_size=1, max_size=50)


def record(content: bytes) -> bytes:
    return b"\x17\x03\x03" + len(content).to_bytes(2, "big") + content


def fed(stream: bytes, sizes: list[int]) -> tuple[bytes, int, int]:
    """What came out in all, how many records were counted, and the most of one piece."""
    records, out, at, numbers = Records(), b"", 0, [0]
    for turn in range(len(stream)):
        if at >= len(stream):
            break
        size = sizes[turn % len(sizes)]
        for piece, number in records.pieces(stream[at : at + size]):
            out += bytes(piece)
            numbers.append(number)
        at += size
    return out, sum(numbers), max(numbers)


@given(CONTENTS, CUTS)
def test_every_record_is_counted_once_and_nothing_is_changed(contents: list[bytes], sizes: list[int]) -> None:
    """A byte would be lost, which ends the connection, or a flood of records go uncounted."""
    stream = b"".join(map(record, contents))
    out, number, most = fed(stream, sizes)
    assert (out, number) == (stream, len(contents))
    assert most <= AT_ONCE


@given(st.binary(max_size=2000), CUTS)
def test_what_is_no_record_is_passed_on_but_for_less_than_a_header(stream: bytes, sizes: list[int]) -> None:
    """OpenSSL would not see, and so not refuse, what is no TLS."""
    out, _, _ = fed(stream, sizes)
    assert stream.startswith(out)
    assert len(stream) - len(out) < 5
