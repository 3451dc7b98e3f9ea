"""What is fuzzed, each with what must hold for every input. A target raises ``AssertionError`` where it does not."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import h11
import orjson

from relay.apis import apis
from relay.apis.chat_completions import ChatCompletion
from relay.app.plugins import sink_plugins
from relay.core.chat.events import Opening
from relay.core.chat.reader import StreamReader
from relay.core.chat.sse import SSEEvent, SSEParser
from relay.core.chat.tap import Capture, Tap
from relay.core.json_scan import Unwalkable, Walk
from relay.settings.errors import ConfigError
from relay.settings.load import load
from relay.upstream.wire import Malformed, body_of, lives_on, parse_head
from tests.faults.harness.corruption import FRAME, HEADER, PAGE, Files, Mutation
from tests.faults.test_corrupt_journal import Scene, outcome, written

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLES: Final = ROOT / "tests" / "samples"


@dataclass(frozen=True, slots=True)
class Target:
    """``holds`` is called with each input, of at most ``longest`` bytes; ``seeds`` are what it begins with."""

    holds: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    longest: int


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes cut in some ways: byte by byte, and at places that the bytes themselves decide."""
    yield [data[at : at + 1] for at in range(len(data))]
    dice = random.Random(data)
    for _ in range(2):
        places = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 6)))
        yield [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


# -- upstream/wire: answers of the upstream --------------------------------------------------------------------------


def wire(data: bytes) -> None:
    """However an answer is cut it is the same; and where h11 takes it as well, it is what h11 takes it for."""
    method = "HEAD" if data[:1] == b"H" and data[:5] != b"HTTP/" else "GET"
    whole = _answer(method, [data])
    for pieces in cuts(data):
        assert _answer(method, pieces) == whole, "the answer depends on where it was cut"
    if whole is None:
        return
    status, headers, content, done = whole
    try:
        theirs = _by_h11(method, data)
    except h11.RemoteProtocolError:
        return  # it is stricter about what it takes
    if theirs is not None and done:
        assert theirs == (status, _unframed(headers), content), "h11 reads another answer"


Answer = tuple[int, list[tuple[bytes, bytes]], bytes, bool]


def _answer(method: str, pieces: list[bytes]) -> Answer | None:
    """Status, fields, content, and whether it is complete; ``None``: not HTTP, or not a whole head."""
    head, body, held, content = None, None, b"", b""
    try:
        for piece in pieces:
            if body is None:
                held += piece
                end = held.find(b"\r\n\r\n") + 4
                if end < 4:
                    continue
                head = parse_head(held[:end])
                lives_on(head)
                body, piece = body_of(method, head), held[end:]
            if not body.done:
                content += body.take(piece)
    except Malformed:
        return None
    if head is None or body is None:
        return None
    return head.status, [(name.lower(), value) for name, value in head.headers], content, body.done


def _by_h11(method: str, data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.receive_data(data)
    response, content = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            return response.status_code, _unframed(response.headers), content
        else:
            return None  # not the whole of it, or an interim answer


def _unframed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without the fields that frame the body: h11 writes them again, and the content shows what was made of them."""
    return [(name, value) for name, value in headers if name not in (b"transfer-encoding", b"content-length")]


def _wire_seeds() -> Iterator[bytes]:
    for path in sorted(SAMPLES.glob("chat_completions/*.sse"))[:8]:
        body = path.read_bytes()
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%b\r\n0\r\nT: x\r\n\r\n" % (
            len(body),
            body,
        )
    yield b"HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\nendless"
    yield b"HTTP/1.1 204 No Content\r\n\r\n"
    yield b"HTTP/1.1 503 Oh\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n000\r\n\r\nHTTP/1.1 200"


# -- core/sse: streams of events -------------------------------------------------------------------------------------


def sse(data: bytes) -> None:
    """However a stream is cut its events are the same, as the standard has them; what is kept is on one line."""
    for most in (16, 1 << 20):
        whole = _events([data], most)
        for pieces in cuts(data):
            assert _events(pieces, most) == whole, "the events depend on where the stream was cut"
            assert _plainly(pieces, most) == [event.data for event in whole], "the short way reads other events"
        if most > len(data):
            assert [(event.data, event.name) for event in whole] == _by_the_standard(data), "not what the standard says"
    reader = StreamReader(ChatCompletion())
    reader.read(data)
    reader.close()
    for _, chunks in reader.released():
        for chunk in chunks:
            orjson.loads(chunk)
            assert chunk.splitlines() == [chunk], "a chunk with a line break"


def _events(pieces: list[bytes], most: int) -> list[SSEEvent]:
    parser = SSEParser(max_event=most)
    return [event for piece in pieces for event in parser.take(piece)] + parser.close()


def _plainly(pieces: list[bytes], most: int) -> list[bytes]:
    """The data of the events, read the short way where that is possible."""
    parser, found = SSEParser(max_event=most), []
    for piece in pieces:
        plain = parser.take_plain(piece)
        found += [event.data for event in parser.take(piece)] if plain is None else plain.data
    return found + [event.data for event in parser.close()]


def _by_the_standard(data: bytes) -> list[tuple[bytes, str]]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation, to the letter.

    But for what the parser leaves to its users: an event with empty data is one.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[tuple[bytes, str]] = []
    lines: list[bytes] = []
    name = b""
    for line in text.split(b"\n")[:-1]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if lines:
                found.append((b"\n".join(lines), name.decode(errors="replace")))
            lines, name = [], b""
        elif field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return found


def _sse_seeds() -> Iterator[bytes]:
    for path in sorted(SAMPLES.glob("chat_completions/*.sse")):
        yield path.read_bytes()


# -- apis: what an answer says ----------------------------------------------------------------------------------------


def apis_of_chats(data: bytes) -> None:
    """Whatever comes as an answer of any API, one end is made of it, the same however it was cut."""
    for api in apis():
        whole = _ending(api, [data], content=True)
        for pieces in cuts(data):
            assert _ending(api, pieces, content=True) == whole, "what an answer says depends on where it was cut"
        bare = _ending(api, [data], content=False)
        assert all(choice["content"] is choice["reasoning_content"] is None for choice in bare["choices"]), "a text"
        assert [bare[key] for key in _SAME] == [whole[key] for key in _SAME], "more than the texts is missing"


_SAME: Final = ("completion_id", "model", "outcome", "reason", "usage", "tokens", "chunks", "gaps")


def _ending(api: str, pieces: list[bytes], *, content: bool) -> Any:
    tap = Tap(Opening("fuzz", 0, 0.0, api=api), Capture(content=content), apis()[api])
    tap.answered(200, "text/event-stream")
    for piece in pieces:
        tap.feed(piece, 0.5)
        tap.due(0.5)
    closed = tap.end("end", 1.0)
    for draft in closed.chunks:
        for chunk in orjson.loads(draft.event.data)["chunks"]:
            assert type(chunk) is dict, "a chunk that is no object"
    return orjson.loads(closed.terminal.event.data)


def _api_seeds() -> Iterator[bytes]:
    for api in apis():
        for path in sorted(SAMPLES.glob(f"{api}/*.sse")):
            yield path.read_bytes()
        for path in sorted(SAMPLES.glob(f"{api}/*.body")):
            yield path.read_bytes()


# -- core/json_scan: the scan of a request's JSON ---------------------------------------------------------------------


def json_scan(data: bytes) -> None:
    """What orjson reads as an object, the scan reads as well, and finds the same members with the same values in it."""
    try:
        found = Walk(data).members().found
    except Unwalkable as refused:
        why = str(refused)
        assert not isinstance(_parsed(data), dict) or "too" in why, f"an object is not walked: {why}"
        return
    document = _parsed(data)
    if isinstance(document, dict):
        assert {member.key: _parsed(data[member.start : member.end]) for member in found} == document


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _json_seeds() -> Iterator[bytes]:
    for path in sorted(SAMPLES.glob("novita_task/*.json")):
        if not path.name.endswith(".expected.json"):
            yield path.read_bytes()
    yield b'{"model":"a/m","messages":[{"role":"user","content":"\\"\\\\"}],"stream":true,"n":1e3, "x" : [ ] }'
    yield b'{"model":"cheap","Model":"costly","mod\\u0065l":null}'


# -- settings: the configuration --------------------------------------------------------------------------------------


def settings(data: bytes) -> None:
    """Whatever the document says, it is read, or refused with its problems."""
    path = _scratch() / "relay.yaml"
    path.write_bytes(data)
    with suppress(ConfigError):
        load(path, {}, _sinks())


@cache
def _sinks() -> Any:
    return {name: plugin.Config for name, plugin in sink_plugins().items()}


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="relay-fuzz-"))


def _settings_seeds() -> Iterator[bytes]:
    for path in sorted((ROOT / "config").glob("*.yaml")):
        text = path.read_bytes()
        yield text
        yield from (b"\n".join(part.splitlines()) for part in text.split(b"\n\n"))
    yield b"a: &a [*a]\nb: {? [x] : y}\nserver: {port: 1e999}\njournal: {retention: 99999999999d}\n"


# -- the journal's recovery -------------------------------------------------------------------------------------------

_EDIT: Final = 5
_MOST_EDITS: Final = 8


def journal(data: bytes) -> None:
    """A journal with damaged files opens with all that was acknowledged, or is refused, or shows what it lacks."""
    scene = _scene()
    mutation = _mutation(scene, data)
    found = outcome(_scratch() / "journal" / "relay.db", scene, mutation)
    assert not found.startswith("WRONG"), found
    assert found in ("whole", "refused") or mutation.may_lose, found


@cache
def _scene() -> Scene:
    folder = _scratch() / "journal"
    folder.mkdir()
    return written(folder / "scene.db", seed=8, prefix="t")


def _mutation(scene: Scene, data: bytes) -> Mutation:
    """Edits of five bytes each: what is done, three for the place, and a value."""
    edits = [data[at : at + _EDIT] for at in range(0, min(len(data), _EDIT * _MOST_EDITS) - _EDIT + 1, _EDIT)]
    assert scene.files.main is not None
    assert scene.files.log is not None
    main, log = bytearray(scene.files.main), bytearray(scene.files.log)
    may_lose = False
    tells = scene.last_transaction - FRAME  # the commit that the last transaction continues
    hits = 0
    for what, *place, value in edits:
        at = int.from_bytes(bytes(place), "big")
        match what % 7:
            case 0 if main:
                main[at % len(main)] ^= value
            case 1 if log:
                log[at % len(log)] ^= value
                hits += bool(value) and at % len(log) >= tells
                may_lose |= hits > 1 or (hits == 1 and at % len(log) >= scene.last_transaction)
            case 2:
                del main[at % (len(main) + 1) :]
            case 3:
                del log[at % (len(log) + 1) :]
                may_lose = True
            case 4:
                _copy(main, 0, PAGE, at, value)
            case 5:
                may_lose |= _copy(log, HEADER, FRAME, at, value) >= tells
            case 6 if main:
                start = at % len(main) // PAGE * PAGE
                main[start : start + PAGE] = bytes(len(main[start : start + PAGE]))
            case _:
                pass
    return Mutation("fuzz", "edits", lambda _: Files(bytes(main), bytes(log)), may_lose)


def _copy(file: bytearray, head: int, size: int, source: int, target: int) -> int:
    """Writes one page or frame over another; answers where."""
    count = (len(file) - head) // size
    if count < 1:
        return 0
    start, end = (head + each % count * size for each in (source, target))
    file[end : end + size] = file[start : start + size]
    return end


def _journal_seeds() -> Iterator[bytes]:
    dice = random.Random(1)
    yield b""
    for what in range(7):
        for _ in range(4):
            yield bytes([what, *dice.randbytes(_EDIT - 1)])


TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "wire": Target(wire, _wire_seeds, 1024),
        "sse": Target(sse, _sse_seeds, 512),
        "apis": Target(apis_of_chats, _api_seeds, 2048),
        "json_scan": Target(json_scan, _json_seeds, 4000),
        "settings": Target(settings, _settings_seeds, 4096),
        "journal": Target(journal, _journal_seeds, _EDIT * _MOST_EDITS),
    }
)
