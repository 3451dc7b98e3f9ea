"""The models, and the routes that answer in one piece: embeddings, rerank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

from relay.simulator.chat.request import texts
from relay.simulator.requests import Json

CREATED = 1_700_000_000
MODELS: Mapping[str, str] = {
    "deepseek/deepseek-v3.1": "DeepSeek V3.1",
    "deepseek/deepseek-r1-turbo": "DeepSeek R1 Turbo",
    "meta-llama/llama-3.1-8b-instruct": "Llama 3.1 8B Instruct",
    "moonshotai/kimi-k2-thinking": "Kimi K2 Thinking",
    "qwen/qwen3-235b-a22b-instruct-2507": "Qwen3 235B A22B Instruct",
    "zai-org/glm-4.5": "GLM 4.5",
    "baai/bge-m3": "BGE M3",
    "baai/bge-reranker-v2-m3": "BGE Reranker v2 M3",
}
"""Model id and title. Any other model is answered with MODEL_NOT_FOUND."""

DIMENSIONS = 1024


def models() -> Json:
    return {"object": "list", "data": [model(model_id) for model_id in MODELS]}


def model(model_id: str) -> Json:
    """Raises ``KeyError`` for a model that is not there."""
    return {
        "id": model_id,
        "object": "model",
        "created": CREATED,
        "owned_by": "unknown",
        "title": MODELS[model_id],
        "context_size": 131_072,
        "input_token_price_per_m": 2700,
        "output_token_price_per_m": 10_000,
    }


def embeddings(body: Json, rng: Random, now: int) -> Json:
    given = texts(body, "input")
    data = [{"object": "embedding", "index": index, "embedding": _vector(rng)} for index in range(len(given))]
    return {"object": "list", "model": body["model"], "data": data, "usage": _usage(given)}


def rerank(body: Json, rng: Random, now: int) -> Json:
    """The best document first."""
    documents = texts(body, "documents")
    scores = sorted(((rng.random(), index) for index in range(len(documents))), reverse=True)
    results = [
        {"index": index, "document": {"text": documents[index]}, "relevance_score": score} for score, index in scores
    ]
    return {"id": f"rerank-{rng.getrandbits(64):016x}", "model": body["model"], "results": results}


def _vector(rng: Random) -> list[float]:
    values = [rng.uniform(-1, 1) for _ in range(DIMENSIONS)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _usage(given: list[str]) -> Json:
    prompt_tokens = sum(len(text.split()) for text in given)
    return {"prompt_tokens": prompt_tokens, "completion_tokens": 0, "total_tokens": prompt_tokens}
