"""``docs/contract.md`` against the tests that it names, and against the AsyncAPI document."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from relay.contract.asyncapi import asyncapi
from relay.contract.examples import events

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "contract.md").read_text("utf-8")
TESTS = ROOT / "tests" / "contract" / "test_upstream_channels.py"
ROW = re.compile(r"^\| `([^`]+)` \| `(\w+)` \| (.+) \| ((?:`\w+`(?:, )?)+) \|$", re.MULTILINE)


def names(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_each_message_of_the_upstream_has_its_row() -> None:
    """A surface of the upstream would be without a word on what the relay does with it."""
    assert {(channel, message) for channel, message, _, _ in ROW.findall(PAGE)} == {
        ("webhook/task-result", "TaskResultWebhook"),
        ("/openai/v1/chat/completions", "ChatCompletionChunk"),
        ("/openai/v1/chat/completions", "ChatCompletionStreamDone"),
    }


def test_each_row_names_the_tests_of_its_message() -> None:
    """The page would lead to tests that are gone, or of something else."""
    classes = [node for node in ast.parse(TESTS.read_text("utf-8")).body if isinstance(node, ast.ClassDef)]
    listed = {name: (channel, message) for channel, message, _, tests in ROW.findall(PAGE) for name in names(tests)}
    assert listed.keys() == {node.name for node in classes}
    for node in classes:
        channel, message = listed[node.name]
        assert f"``{channel}``" in (ast.get_docstring(node) or "")
        assert message.removesuffix("Webhook") in node.name or message == "TaskResultWebhook"


def test_each_row_names_what_the_document_describes() -> None:
    """The page and the document would contradict each other."""
    document = asyncapi("1.2.3")
    messages = {message for channel in document["channels"].values() for message in channel["messages"]}
    for _, message, does, _ in ROW.findall(PAGE):
        types = [name for name in names(does) if name.startswith("relay.")]
        assert message in messages
        assert types
        assert set(types) <= events().keys()
