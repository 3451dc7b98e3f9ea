"""What clients post to the endpoints in scope, as the vendor's pages and clients have it.

Source: https://novita.ai/docs/api-reference, one page per endpoint; the unified video API from the vendor's own client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True)
class Shape:
    """One request. ``kind``: what its task makes; ``None``: the endpoint answers at once."""

    path: str
    body: dict[str, Any]
    kind: str | None

    def __str__(self) -> str:
        return self.path


ASYNCHRONOUS = (
    Shape(
        "/v3/async/txt2img",
        {
            "extra": {"response_image_type": "jpeg", "enable_nsfw_detection": False},
            "request": {
                "model_name": "sd_xl_base_1.0.safetensors",
                "prompt": "a kite",
                "negative_prompt": "",
                "width": 1024,
                "height": 1024,
                "image_num": 2,
                "steps": 20,
                "seed": -1,
                "clip_skip": 1,
                "sampler_name": "Euler a",
                "guidance_scale": 7.5,
            },
        },
        "image",
    ),
    Shape(
        "/v3/async/img2img",
        {
            "request": {
                "model_name": "x.safetensors",
                "image_base64": IMAGE,
                "prompt": "a kite",
                "image_num": 1,
                "steps": 20,
                "seed": 1,
                "strength": 0.7,
                "guidance_scale": 7.5,
                "sampler_name": "DPM++ 2M Karras",
            }
        },
        "image",
    ),
    Shape(
        "/v3/async/upscale",
        {"extra": {}, "request": {"model_name": "RealESRGAN_x4plus", "image_base64": IMAGE, "scale_factor": 2}},
        "image",
    ),
    Shape(
        "/v3/async/inpainting",
        {"request": {"model_name": "x", "image_base64": IMAGE, "mask_image_base64": IMAGE, "prompt": "a kite"}},
        "image",
    ),
    Shape("/v3/async/remove-background", {"image_file": IMAGE}, "image"),
    Shape("/v3/async/replace-background", {"image_file": IMAGE, "prompt": "the sea"}, "image"),
    Shape("/v3/async/qwen-image-txt2img", {"prompt": "a kite", "size": "1024*1024"}, "image"),
    Shape("/v3/async/flux-1-kontext-dev", {"prompt": "a kite", "images": [IMAGE], "size": "1024*1024"}, "image"),
    Shape(
        "/v3/async/txt2video",
        {
            "extra": {"response_video_type": "mp4", "enterprise_plan": {"enabled": False}},
            "model_name": "darkSushiMixMix_225D_64380.safetensors",
            "height": 512,
            "width": 512,
            "steps": 20,
            "prompts": [{"frames": 32, "prompt": "a kite"}],
            "guidance_scale": 7.5,
        },
        "video",
    ),
    Shape(
        "/v3/async/img2video",
        {"extra": {"response_video_type": "gif"}, "model_name": "SVD-XT", "image_file": IMAGE, "frames_num": 25},
        "video",
    ),
    Shape(
        "/v3/async/hunyuan-video-fast",
        {"model_name": "hunyuan-video-fast", "prompt": "a kite", "width": 1280, "height": 720, "seed": -1},
        "video",
    ),
    Shape(
        "/v3/async/kling-v2.1-t2v-master",
        {"prompt": "a kite", "duration": "5", "aspect_ratio": "16:9", "guidance_scale": 0.5, "negative_prompt": ""},
        "video",
    ),
    Shape(
        "/v3/async/minimax-hailuo-02",
        {"prompt": "a kite", "image": f"data:image/png;base64,{IMAGE}", "duration": 6, "resolution": "768P"},
        "video",
    ),
    Shape("/v3/async/wan-t2v", {"prompt": "a kite", "width": 832, "height": 480, "loras": []}, "video"),
    Shape("/v3/video/create", {"model": "wan-2.6-t2v", "prompt": "a kite", "seconds": 5}, "video"),
    Shape("/v3/async/minimax-speech-02-hd", {"text": "a kite", "voice_setting": {"voice_id": "x"}}, "audio"),
)

SYNCHRONOUS = (
    Shape("/v3beta/flux-1-schnell", {"prompt": "a kite", "width": 512, "height": 512, "seed": 1, "steps": 4}, "image"),
    Shape("/v3/seedream-3-0-txt2img", {"prompt": "a kite", "size": "1024x1024", "guidance_scale": 2.5}, None),
    Shape("/v3/seedream-4.0", {"prompt": "a kite", "images": [IMAGE]}, None),
    Shape("/v3/remove-background", {"image_file": IMAGE, "extra": {"response_image_type": "png"}}, None),
    Shape("/v3/replace-background", {"image_file": IMAGE, "prompt": "the sea"}, None),
)
"""FLUX answers with a task id beside its outputs, so that it makes a task all the same."""
