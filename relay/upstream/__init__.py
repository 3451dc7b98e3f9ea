"""The only client of the upstream, ``upstream.base_url``, for the proxy, the submissions and the reconciler."""

from relay.upstream.client import Answer, RequestBody, Upstream
from relay.upstream.errors import UpstreamError, UpstreamReset, UpstreamTimeout, UpstreamUnreachable
from relay.upstream.headers import RawHeaders, request_headers, response_headers

__all__ = [
    "Answer",
    "RawHeaders",
    "RequestBody",
    "Upstream",
    "UpstreamError",
    "UpstreamReset",
    "UpstreamTimeout",
    "UpstreamUnreachable",
    "request_headers",
    "response_headers",
]
