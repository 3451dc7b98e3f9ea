"""docs/simulator.md against the words that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.simulator.chat import behaviour
from relay.simulator.chat.apis import APIS
from relay.simulator.chat.routes import EXCHANGES_PATH, SCRIPTS_PATH
from relay.simulator.outages import TROUBLES
from relay.simulator.server import LEDGER_PATH, OUTAGES_PATH
from relay.simulator.tasks.faults import DIRECTIVES

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text("utf-8")
TASKS, CHATS = PAGE.partition("### Tasks")[2].split("### Chats")


@pytest.mark.parametrize(("part", "words"), [(TASKS, DIRECTIVES), (CHATS, behaviour.DIRECTIVES)])
def test_every_word_is_explained(part: str, words: tuple[str, ...]) -> None:
    """Only those who read the code could ask for a fault."""
    documented = set(re.findall(r"`([a-z-]+)(?:=[^`]*)?`", part))
    assert not {word.replace("_", "-") for word in words} - documented


def test_every_rate_and_address_is_named() -> None:
    """A rate would be tried that is refused, or a route looked for where it is not."""
    rates = PAGE.partition("You can give rates for")[2].partition(".")[0]
    assert set(re.findall(r"`([a-z-]+)`", rates)) == {word.replace("_", "-") for word in behaviour.CHAT_FAULTS}
    for place in (
        *(base for api in APIS for base in api.bases),
        LEDGER_PATH,
        OUTAGES_PATH,
        SCRIPTS_PATH,
        EXCHANGES_PATH,
    ):
        assert place in PAGE
    assert all(f"`{api.route}`" in PAGE for api in APIS)
    for trouble in TROUBLES:
        assert f"`{trouble}`" in PAGE.partition("## Outages")[2]
