from __future__ import annotations

from relay.simulator.chat.exchanges import Exchanges


def entered(exchanges: Exchanges, number: int) -> None:
    for _ in range(number):
        exchanges.enter(
            "POST", "/openai/v1/chat/completions?a=1", {"Authorization": "Bearer k", "X-API-Key": "k", "X-A": "b"}, 5
        )


def test_only_the_newest_are_kept_and_numbers_go_on() -> None:
    """A load test would fill the memory, or two requests would have one number."""
    exchanges = Exchanges(2)
    entered(exchanges, 3)
    assert [exchange.number for exchange in exchanges] == [2, 3]
    assert len(exchanges) == 2


def test_the_first_word_about_an_end_holds() -> None:
    """A stream that its client left would be called complete."""
    exchanges = Exchanges(5)
    entered(exchanges, 2)
    first, _ = exchanges
    first.end("client_gone", 7)
    first.end("complete", 9)
    assert (first.outcome, first.ended_at) == ("client_gone", 7)
    assert [exchange.number for exchange in exchanges.open()] == [2]


def test_no_credential_is_shown() -> None:
    """An API key would be readable by anyone who asks the simulator what it saw."""
    exchanges = Exchanges(5)
    entered(exchanges, 2)
    [shown] = exchanges.as_json(after=1)["exchanges"]
    assert shown["headers"] == {"X-A": "b"}
    assert (shown["number"], shown["target"], shown["outcome"]) == (2, "/openai/v1/chat/completions?a=1", None)
