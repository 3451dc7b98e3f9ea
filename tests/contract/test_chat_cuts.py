"""Recorded-style answers, cut at every place and in a thousand ways: always the same events."""

from __future__ import annotations

import random

from tests.chat_samples import SAMPLES, ChatSample
from tests.unit.core.chat.test_chat_samples import EACH, by_reference, by_relay


@EACH
def test_wherever_a_sample_is_cut_it_says_the_same(sample: ChatSample) -> None:
    """What an event says would depend on how the network cut the stream."""
    expected = by_reference(sample)
    for cut in range(len(sample.body) + 1):
        pieces = [sample.body[:cut], sample.body[cut:]]
        assert by_relay(sample, pieces, due=True) == expected, cut


def test_in_a_thousand_random_cuts_the_samples_say_the_same() -> None:
    """Some way to cut a stream that nobody thought of would change its event."""
    chance = random.Random(5)
    for number in range(1000):
        sample = SAMPLES[number % len(SAMPLES)]
        cuts = sorted(chance.choices(range(len(sample.body) + 1), k=chance.randrange(1, 40)))
        pieces = [sample.body[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
        chunks = chance.choice(("coalesced", "each"))
        read = by_relay(sample, pieces, due=chance.random() < 0.5, chunks=chunks)
        assert read == by_reference(sample), (sample.api, sample.name, cuts)
