"""Plays calls of the vendor's own ``novita-client`` package, and says what it made of them.

    python -S novita_calls.py < cases.json > results.json

It is run by the interpreter of the tests with no other package than those of the SDK, and knows nothing of the relay.
A case has ``url``, ``headers``, ``prompt`` and ``call``, a name of ``CALLS``. The SDK polls every 0.5 s.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from novita_client import NovitaClient, Txt2VideoPrompt

Json = dict[str, Any]

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def txt2img(client: NovitaClient, prompt: str) -> Json:
    """Submits and polls until the end, in one call."""
    done = client.txt2img_v3("dream.safetensors", prompt, 2, 512, 512, steps=20, download_images=False)
    return _ended(done)


def img2img(client: NovitaClient, prompt: str) -> Json:
    """The same with an image in the body."""
    return _ended(client.img2img_v3("dream.safetensors", IMAGE, prompt, 1, 512, 512, download_images=False))


def txt2video(client: NovitaClient, prompt: str) -> Json:
    """Submits, then polls by hand: the SDK's own loop would fetch the video."""
    taken = client.async_txt2video("dream.safetensors", 512, 512, 20, [Txt2VideoPrompt(prompt, 32)], 7.5)
    return _ended(client.wait_for_task_v3(taken.task_id))


def img2video(client: NovitaClient, _: str) -> Json:
    """The same with an image in the body."""
    taken = client.async_img2video(IMAGE, "SVD-XT", 20, 25, image_file_resize_mode="CROP_TO_ASPECT_RATIO")
    return _ended(client.wait_for_task_v3(taken.task_id))


def remove_background(client: NovitaClient, _: str) -> Json:
    """An endpoint that answers with the file."""
    return {"file": client.remove_background(IMAGE).image_file}


def cleanup(client: NovitaClient, _: str) -> Json:
    """An endpoint that answers with the file."""
    return {"file": client.cleanup(IMAGE, IMAGE).image_file}


def img2prompt(client: NovitaClient, _: str) -> Json:
    """An endpoint that answers with text."""
    return {"prompt": client.img2prompt(IMAGE).prompt}


CALLS: dict[str, Callable[[NovitaClient, str], Json]] = {
    call.__name__: call for call in (txt2img, img2img, txt2video, img2video, remove_background, cleanup, img2prompt)
}


def play(case: Json) -> Json:
    """One case; an exception of the SDK is a result, too."""
    client = NovitaClient("nv-test", base_url=case["url"])
    client.set_extra_headers(case["headers"])
    try:
        return {"id": case["id"], "answer": CALLS[case["call"]](client, case["prompt"])}
    except Exception as error:
        return {"id": case["id"], "error": [type(error).__name__, str(error)]}


def _ended(done: Any) -> Json:
    return {
        "task_id": done.task.task_id,
        "status": done.task.status.value,
        "images": len(done.images or []),
        "videos": len(done.videos or []),
    }


def main() -> None:
    """Plays the cases, several at once."""
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(play, json.load(sys.stdin)))
    json.dump({"version": version("novita-client"), "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
