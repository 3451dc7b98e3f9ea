"""Which API of the upstream a path belongs to."""

from __future__ import annotations

import orjson
import pytest

from relay.apis import apis
from relay.core.errors import RelayError
from relay.edge.http.problems import KINDS, PROBLEM_JSON, ProblemError
from relay.edge.proxy.apis import Apis, plain


def test_the_upstreams_paths() -> None:
    """A path would end in the relay's own router, or an error come in the wrong shape."""
    known = Apis(apis())
    theirs = ("/openai/v1/x", "/openai/x", "/v3/openai/x", "/anthropic/x", "/v3/async/x", "/v3beta/x")
    assert all(map(known.proxied, theirs))
    ours = ("/", "/v1/events", "/openai", "/anthropic", "/v3", "/webhooks/novita", "/v3beta2/x")
    assert not any(map(known.proxied, ours))
    assert [known.family(path) is not None for path in theirs] == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    "path", ["/v1/chats", "/v1/events", "/", "/v1", "/messagesx", "/v1/v1/v1/messages", "/v1/modelsx"]
)
def test_what_is_relays_own_is_nobody_elses(path: str) -> None:
    """The consumer API or the console would answer as a vendor's API, with a 404."""
    assert Apis(apis()).meant(path) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/openai/v1/chat/completions", "chat_completions"),
        ("/openai/v1/chat/completions/", "chat_completions"),
        ("/v3/openai/v1/chat/completions", "chat_completions"),
        ("/openai/completions", "completions"),
        ("/anthropic/v1/messages", "messages"),
        ("/anthropic/v1/messages/count_tokens", None),
        ("/anthropic/v1/messages/batches", None),
        ("/anthropic/v1/chat/completions", None),
        ("/openai/v1/messages", None),
        ("/openai/v1/responses/r1/cancel", None),
        ("/v3/async/messages", None),
    ],
)
def test_which_paths_begin_a_chat(path: str, name: str | None) -> None:
    """A conversation would pass unrecorded, or something else be recorded as one."""
    called = Apis(apis()).begun(path)
    assert (called.name if called else None) == name


def test_the_path_that_a_target_may_be_taken_for() -> None:
    """A route would be missed, or one be seen where there is none."""
    assert plain("/a/b?c=/../d") == "/a/b"
    assert plain("/a//b/./c/../%64") == "/a/b/d"
    assert plain("/../../a") == "/a"


@pytest.mark.parametrize(
    ("path", "kind", "member"),
    [
        ("/openai/v1/models", "application/json", "error"),
        ("/anthropic/v1/messages/count_tokens", "application/json", "error"),
        ("/v3/async/task-result", PROBLEM_JSON, "code"),
    ],
)
def test_an_error_has_the_shape_that_the_routes_clients_read(path: str, kind: str, member: str) -> None:
    """An SDK would raise an error without a message."""
    for error in (ProblemError("unauthorized", "Who?"), RelayError("upstream_reset", "Gone.")):
        answer = Apis(apis()).answer(path, error)
        assert answer.status == KINDS[error.code].status
        assert answer.headers["Content-Type"] == kind
        assert orjson.loads(answer.body)[member]


def test_an_inner_error_is_not_described() -> None:
    """Strangers would read what went wrong inside."""
    answer = Apis(apis()).answer("/anthropic/v1/messages", RelayError("sqlite_ioerr", "write failed on page 7"))
    assert (answer.status, b"page 7" in answer.body) == (500, False)
