from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from relay.settings.secret_files import MAX_BYTES, MAX_HANGING, SecretFiles, secrets_in
from relay.settings.shape import shape_of
from tests.unit.settings.specimens import SINKS, Amber, loading, problems


def secret_file(folder: Path, content: str | bytes) -> Path:
    file = folder / "secret"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("content", ["hush", "hush\n", "hush\r\n", "hush\n\n"])
def test_a_secret_is_read_without_its_line_break(tmp_path: Path, content: str) -> None:
    """A key from a mounted file would be sent with a line break, and refused by the upstream."""
    text = f"upstream: {{api_key_file: {secret_file(tmp_path, content)}}}\nproxy: {{clients: {{a: {{key: kkk}}}}}}"
    key = loading(tmp_path)(text).upstream.api_key
    assert key is not None
    assert key.get_secret_value() == "hush"


def test_a_list_of_secrets_is_read_line_by_line(tmp_path: Path) -> None:
    """A rotation with two tokens in one mounted file would not work."""
    file = secret_file(tmp_path, "first\n\nsecond \r\n")
    tokens = loading(tmp_path)(None, {"RELAY_WEBHOOKS__NOVITA__TOKENS_FILE": str(file)}).webhooks.novita.tokens
    assert [token.get_secret_value() for token in tokens] == ["first", "second"]


def test_every_secret_has_a_file_key(tmp_path: Path) -> None:
    """A client's key, the index's address or a plug-in's own secret could not be mounted."""
    file = secret_file(tmp_path, "redis://hush\n")
    text = f"""
    proxy: {{clients: {{web: {{key_file: {file}}}}}}}
    dedup: {{shared_index_file: {file}}}
    server: {{api_tokens_file: {file}}}
    sinks: [{{type: amber, tls: true, url_file: {file}}}]
    """
    settings = loading(tmp_path)(text, {"RELAY_SINKS__0__PASSWORD_FILE": str(file)})
    sink, client = settings.sinks[0], settings.proxy.clients["web"]
    assert isinstance(sink, Amber)
    found = [settings.dedup.shared_index, settings.server.api_tokens[0], client.key, sink.url, sink.password]
    assert {secret.get_secret_value() for secret in found if secret} == {"redis://hush"}
    assert None not in found


@pytest.mark.parametrize(
    ("text", "environ", "key"),
    [
        ("dedup: {shared_index: 'redis://old'}", {"RELAY_DEDUP__SHARED_INDEX_FILE": "FILE"}, "redis://hush"),
        ("dedup: {shared_index_file: FILE}", {"RELAY_DEDUP__SHARED_INDEX": "redis://new"}, "redis://new"),
        ("dedup: {shared_index_file: /none}", {"RELAY_DEDUP__SHARED_INDEX_FILE": "FILE"}, "redis://hush"),
        ("dedup: {shared_index_file: null, shared_index: 'redis://x'}", {}, "redis://x"),
    ],
)
def test_the_environment_stands_above_the_file_whichever_form_each_uses(
    tmp_path: Path, text: str, environ: dict[str, str], key: str
) -> None:
    """A secret mounted over the one in the file would be refused as given twice, or lose against it."""
    file = str(secret_file(tmp_path, "redis://hush"))
    environ = {name: value.replace("FILE", file) for name, value in environ.items()}
    index = loading(tmp_path)(text.replace("FILE", file), environ).dedup.shared_index
    assert index is not None
    assert index.get_secret_value() == key


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "is empty: write the secret into it"),
        ("\n\n", "is empty: write the secret into it"),
        (b"\xff\xfe", "is not UTF-8 text"),
        ("x" * (MAX_BYTES + 1), "is larger than 64 KiB, so it is no secret"),
    ],
)
def test_a_file_without_a_secret_is_an_error(tmp_path: Path, content: str | bytes, line: str) -> None:
    """The relay would start with an empty key, or with a whole disk in memory."""
    file = secret_file(tmp_path, content)
    assert problems(tmp_path, f"upstream: {{api_key_file: {file}}}") == [
        f"relay.yaml:1: upstream.api_key_file: the file secret {line}"
    ]


def test_an_empty_list_of_secrets_is_an_error(tmp_path: Path) -> None:
    """A webhook endpoint would lose its tokens because a mount came up empty."""
    text = f"\nwebhooks:\n  novita:\n    tokens_file: {secret_file(tmp_path, chr(10))}\n"
    assert problems(tmp_path, text) == [
        "relay.yaml:4: webhooks.novita.tokens_file: the file secret is empty: write one secret on each line"
    ]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("{folder}/none", "the file none cannot be read: No such file or directory"),
        ("{folder}", "cannot be read: Is a directory"),
        ("5", "must be the path of a file that holds the secret"),
        ("[a]", "must be the path of a file that holds the secret"),
        ("''", "must be the path of a file that holds the secret"),
    ],
)
def test_a_file_that_cannot_be_read_is_the_only_complaint(tmp_path: Path, path: str, why: str) -> None:
    """A missing mount would be followed by a complaint that the client has no key, which misleads."""
    text = f"proxy: {{clients: {{web: {{key_file: {path.format(folder=tmp_path)}}}}}}}"
    [line] = problems(tmp_path, text)
    assert line.startswith("relay.yaml:1: proxy.clients.web.key_file: ")
    assert line.endswith(why)


def test_a_secret_given_twice_in_one_place_is_an_error(tmp_path: Path) -> None:
    """Which of the two counts would be anybody's guess."""
    text = f"dedup:\n  shared_index: redis://x\n  shared_index_file: {secret_file(tmp_path, 'redis://y')}"
    line = "dedup.shared_index_file: is set together with shared_index; give one of them"
    assert problems(tmp_path, text) == [f"relay.yaml:3: {line}"]


def test_a_bad_secret_is_reported_where_its_file_is_named(tmp_path: Path) -> None:
    """A problem with a mounted secret would have no line, or show the secret."""
    file = secret_file(tmp_path, "hush hush")
    assert problems(tmp_path, f"server:\n  api_tokens_file: {file}\n") == [
        "relay.yaml:2: server.api_tokens.0: must be printable ASCII without white space;"
        " look for a stray space or line break"
    ]


def test_all_written_secrets_are_known_for_scrubbing() -> None:
    """A secret quoted by a plug-in's check would be printed."""
    from relay.settings import Settings

    value = {
        "server": {"api_tokens": ["hush-1", 12345]},
        "upstream": {"api_key": "hush-2", "base_url": "https://x"},
        "sinks": [{"type": "amber", "password": "hush-3", "nodes": ["n"]}],
        "proxy": {"clients": {"a": {"key": "abc"}}},
    }
    assert secrets_in(value, shape_of(Settings, SINKS)) == {"hush-1", "12345", "hush-2", "hush-3"}


def test_a_file_that_hangs_takes_a_bounded_number_of_threads(tmp_path: Path) -> None:
    """Broken: a relay beside a dead mount would gain a thread with each look at its secrets."""
    hangs = tmp_path / "hangs"
    os.mkfifo(hangs)
    files = SecretFiles(within=0.01)
    before = threading.active_count()
    for _ in range(2 * MAX_HANGING):
        with pytest.raises(TimeoutError, match="did not answer"):
            files.read(str(hangs))
    assert threading.active_count() == before + MAX_HANGING
    assert files.late == (str(hangs),)
    with hangs.open("wb") as writer:
        writer.write(b"late")


def test_a_file_that_hangs_keeps_what_it_held_until_it_is_another_one(tmp_path: Path) -> None:
    """Broken: a dead mount would make the whole configuration invalid, and nothing could be exchanged."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"before")
    files = SecretFiles(within=0.5)
    assert (files.read(str(secret)), files.late) == (b"before", ())
    secret.unlink()
    os.mkfifo(secret)
    assert (files.read(str(secret)), files.late) == (b"before", (str(secret),))
    with secret.open("wb") as writer:  # lets the thread go
        writer.write(b"x")
    secret.unlink()
    secret.write_bytes(b"after")
    assert (SecretFiles(within=10).read(str(secret)), files.read(str(secret)), files.late) == (b"after", b"after", ())
