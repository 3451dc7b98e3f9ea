from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from relay.simulator.chat.catalog import MODELS, embeddings, model, models, rerank
from relay.simulator.requests import InvalidSubmission


def test_each_model_is_listed_and_found() -> None:
    """A client that picks a model from the list would not find it."""
    listed = [each["id"] for each in models()["data"]]
    assert listed == list(MODELS)
    assert all(model(model_id)["object"] == "model" for model_id in listed)
    with pytest.raises(KeyError):
        model("org/none")


def test_embeddings_are_unit_vectors_one_per_text() -> None:
    """Clients that compare vectors would get nonsense."""
    said = embeddings({"model": "org/m", "input": ["a", "b"]}, Random(1), 5)
    assert [math.hypot(*each["embedding"]) for each in said["data"]] == pytest.approx([1.0, 1.0])


def test_reranked_documents_come_best_first() -> None:
    """A client takes the first result for the best."""
    results = rerank({"model": "org/m", "query": "q", "documents": ["a", "b", "c"]}, Random(1), 5)["results"]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert {result["document"]["text"] for result in results} == {"a", "b", "c"}


@pytest.mark.parametrize("body", [{}, {"input": []}, {"input": [3]}])
def test_a_request_without_texts_is_refused(body: dict[str, Any]) -> None:
    """A client's mistake would be answered like any request."""
    with pytest.raises(InvalidSubmission, match="input"):
        embeddings({"model": "org/m", **body}, Random(1), 5)
