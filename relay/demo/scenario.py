"""What the demo submits, and which faults it injects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong with a task: ``simulate`` asks the simulator for it, ``description`` says it to people."""

    simulate: str
    description: str


NO_TROUBLE = Trouble("none", "nothing")
CONTRADICTED = Trouble("contradict", "contradicted by a second webhook")
TROUBLES = (
    Trouble("lost", "webhook lost for good"),
    Trouble("lost,fail", "the task fails, webhook lost"),
    Trouble("lost,poll-missing=1,poll-error=1", "webhook lost, first polls fail"),
    Trouble("dropped=1", "webhook lost on its way, sent again"),
    Trouble("unanswered=1", "our answer lost, webhook sent again"),
    Trouble("unknown-event", "webhook of an unknown kind"),
    Trouble("doubled=2", "webhook sent twice at once"),
    Trouble("late=1500ms", "webhook 1.5 s late"),
    Trouble("before", "webhook before the submit answer"),
    Trouble("resigned", "sent again with re-signed URLs"),
    Trouble("reordered", "progress webhook after the last one"),
    Trouble("bare", "webhook without its envelope"),
    Trouble("fail", "the task fails"),
    Trouble("fail,doubled=3", "the task fails, webhook sent thrice"),
)

ENDPOINTS = (
    "/v3/async/txt2img",
    "/v3/async/minimax-hailuo-02",
    "/v3/async/minimax-speech-02-hd",
    "/v3/async/qwen-image-txt2img",
    "/v3/async/kling-v2.1-t2v-master",
    "/v3/async/img2img",
    "/v3/async/wan-t2v",
    "/v3/async/upscale",
    "/v3/async/minimax-speech-2.8-turbo",
    "/v3/async/flux-1-kontext-dev",
    "/v3/async/hunyuan-video-fast",
    "/v3/async/inpainting",
    "/v3/async/img2video",
)
_NESTED = ("txt2img", "img2img", "upscale", "inpainting")


@dataclass(frozen=True, slots=True)
class Step:
    """One submission of the scenario."""

    path: str
    prompt: str
    body: Json
    trouble: Trouble


def script(tasks: int, seed: int) -> Iterator[Step]:
    """A round of submissions: every endpoint in turn, every trouble in turn, one contradiction, the rest without.

    None names a webhook: the relay adds its own.
    """
    rng = Random(seed)  # noqa: S311 - a scenario, not a secret
    plan = [CONTRADICTED, *TROUBLES, *[NO_TROUBLE] * max(0, tasks - 1 - len(TROUBLES))][:tasks]
    rng.shuffle(plan)
    for number, trouble in enumerate(plan):
        path = ENDPOINTS[number % len(ENDPOINTS)]
        prompt = f"a kite, take {seed}-{number}"
        yield Step(path, prompt, _body(path, prompt), trouble)


def _body(path: str, prompt: str) -> Json:
    if path.rpartition("/")[2] in _NESTED:
        return {"request": {"prompt": prompt}}
    return {"text" if "speech" in path else "prompt": prompt}
