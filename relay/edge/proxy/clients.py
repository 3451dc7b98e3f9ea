"""Who may use the proxy, and with which key their requests go to the upstream.

Three ways: without ``proxy.clients`` anybody who reaches the relay, with their own upstream key; with clients and
``upstream.api_key``, clients show a key of the relay's, which is exchanged for the upstream's; with clients only,
their own upstream keys go on, and the relay knows their names by the keys' digests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from aiohttp import hdrs

from relay.core.chat.quota import Quota
from relay.edge.http.auth import bearer, token_digest
from relay.edge.http.problems import ProblemError
from relay.settings.model import ClientSettings, OnDisconnect, ProxySettings
from relay.telemetry.signals.clients import ClientSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import RawHeaders
from relay.upstream.headers import first, replaced

API_KEY = "x-api-key"
"""The header in which Anthropic's clients show their key; beside it, or instead of it, ``Authorization``."""

_API_KEY = API_KEY.encode()
_BEARER = b"Bearer "


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request. ``name`` is ``None`` where no clients are configured; no ``models``: all of them."""

    name: str | None = None
    models: frozenset[str] = frozenset()
    max_concurrent: int | None = None
    on_disconnect: OnDisconnect = "cancel"
    quota: Quota = field(default_factory=Quota, compare=False)

    def require_model(self, model: object) -> None:
        """Raises ``ProblemError`` where the client may not use this model."""
        if self.models and not (isinstance(model, str) and model in self.models):
            raise ProblemError("model_not_allowed", "The client may not use this model.")


class Clients:
    """The clients by the digests of their keys. ``now``: a monotonic clock, in seconds."""

    def __init__(
        self,
        proxy: ProxySettings,
        api_key: str | None = None,
        *,
        signals: ClientSignals | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signals, self._now = signals or ClientSignals(Telemetry()), now
        self._quotas: dict[str, Quota] = {}
        self.reconfigure(proxy, api_key)

    def reconfigure(self, proxy: ProxySettings, api_key: str | None) -> None:
        """Knows these clients, and this key of the upstream's, from the next request on.

        Clients that were known have used what they have used: a reload hands out no fresh minute.
        """
        self._quotas = {name: self._quotas.get(name) or Quota() for name in proxy.clients}
        self._anybody = Client(on_disconnect=proxy.on_disconnect)
        self._known = [
            (settings.key_digest, self._client(name, settings, proxy.on_disconnect_of(name)))
            for name, settings in proxy.clients.items()
        ]
        self._injected = f"Bearer {api_key}".encode("ascii") if api_key is not None else None

    def admit(self, headers: Mapping[str, str]) -> Client:
        """Whose key this is. Raises ``ProblemError`` (``unauthorized``) for one that is not known."""
        if not self._known:
            return self._anybody
        shown = headers.get(hdrs.AUTHORIZATION)
        # Novita's own SDK for JavaScript sends the key without a scheme, older ones of Anthropic's under another name.
        keys = (headers.get(API_KEY, "").strip(), bearer(shown) or (shown or "").strip())
        found: Client | None = None
        for digest in map(token_digest, keys):
            for known, client in self._known:  # no early exit: the time must not tell how many were compared
                if compare_digest(known, digest):
                    found = client
        if found is None:
            raise ProblemError("unauthorized", "No client of this relay has the key in Authorization or x-api-key.")
        return found

    def count(self, client: Client, *, chat: bool = False) -> None:
        """One request more of a client, which may begin a ``chat``.

        Raises ``ProblemError`` (``rate_limited``) where it has used up a limit of its own.
        """
        exceeded = client.quota.admit(self._now(), chat=chat)
        if exceeded is not None:
            self.limited(client, exceeded.limit)
            detail = f"{exceeded.limit} is {exceeded.allowed}, and used up."
            raise ProblemError("rate_limited", detail, retry_after=exceeded.retry_after)

    def limited(self, client: Client, limit: str) -> None:
        """A request of the client is refused because of a limit of its own."""
        self._signals.limited(client.name or "", limit)

    def spend(self, client: Client, tokens: int) -> None:
        """A chat of the client has ended, and counts so many tokens."""
        client.quota.spend(self._now(), tokens)

    def _client(self, name: str, settings: ClientSettings, on_disconnect: OnDisconnect) -> Client:
        quota = self._quotas[name]
        quota.limit(settings.requests_per_minute, settings.tokens_per_minute, self._now())
        return Client(name, frozenset(settings.models), settings.max_concurrent, on_disconnect, quota)

    def authorized(self, headers: RawHeaders) -> RawHeaders:
        """The headers as they go to the upstream: the relay's key instead of the client's, if there is one.

        An answer to such a request must not be compressed, or a key that it quotes could not be covered.
        """
        if self._injected is None:
            return headers
        if first(headers, _API_KEY) is not None:
            headers = replaced(headers, _API_KEY, self._injected.removeprefix(_BEARER))
        return replaced(replaced(headers, b"authorization", self._injected), b"accept-encoding", b"identity")
