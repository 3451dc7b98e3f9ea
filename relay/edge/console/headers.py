"""The response headers of each file of the console. Pure.

The page shows what strangers wrote, and may hold an API token. So it runs nothing but its own files, talks to nobody
but its own relay, and is framed by nobody (https://www.w3.org/TR/CSP3/). Only the outputs of tasks come from elsewhere:
images, video and audio, over https, and without a referrer that would tell where relay is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_LOOPBACK_MEDIA: Final = "http://127.0.0.1:* http://localhost:*"
"""Where a simulated upstream may keep its outputs; only pages on loopback may load from there."""


ASK_AGAIN: Final = "no-cache"
FOR_GOOD: Final = "public, max-age=31536000, immutable"
"""What ``Cache-Control`` may say (RFC 9111, RFC 8246): a browser asks each time whether its copy is right; or never."""


def headers_of(media_type: str, tag: str, *, on_loopback: bool) -> Mapping[str, str]:
    """The headers of one file, without for how long it may be kept. ``tag`` is its entity tag, quotes included."""
    return MappingProxyType(
        {
            "Content-Type": media_type,
            "ETag": tag,
            "Content-Security-Policy": content_security_policy(on_loopback=on_loopback),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
    )


def content_security_policy(*, on_loopback: bool) -> str:
    """The policy; on loopback it lets outputs of a simulated upstream be shown, too."""
    media = f"https: {_LOOPBACK_MEDIA}" if on_loopback else "https:"
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": f"'self' {media}",
        "media-src": media,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())
