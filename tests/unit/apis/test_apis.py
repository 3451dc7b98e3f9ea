"""The APIs of conversations are found by their files."""

from __future__ import annotations

from relay.apis import apis


def test_every_file_is_an_api() -> None:
    """An API would be there and its chats pass unrecorded, or a part of one be taken for one."""
    found = apis.__wrapped__()
    assert {"chat_completions", "completions", "messages", "responses"} <= set(found)
    assert not [name for name in found if name.startswith("_")]


def test_no_two_answer_to_the_same_path() -> None:
    """A chat would be read by the rules of another API."""
    routes = [(prefix, api.route) for api in apis().values() for prefix in api.prefixes]
    assert len(routes) == len(set(routes))
    assert all(prefix.startswith("/") and prefix.endswith("/") for prefix, _ in routes)
