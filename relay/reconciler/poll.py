"""One poll: ``GET /v3/async/task-result`` (https://novita.ai/docs/api-reference/model-apis-task-result)."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

from relay.clocks import wall_ms
from relay.core.retry import retry_after
from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.upstream.client import Upstream
from relay.upstream.coding import decoded, is_coded
from relay.upstream.errors import UpstreamError, UpstreamTimeout

ANSWER_WITHIN: Final = 30.0
"""Seconds for a whole answer. A poll can be made again, so it need not wait as long as a paid request."""
MAX_ANSWER: Final = 1 << 20
"""Bytes of an answer; a task result has links to files, not the files."""


class TaskResults:
    """Asks the upstream for the results of tasks, with ``api_key`` where there is one."""

    def __init__(self, upstream: Upstream, api_key: str | None = None, *, within: float = ANSWER_WITHIN) -> None:
        self._upstream = upstream
        self._within = within
        self.authorize(api_key)

    def authorize(self, api_key: str | None) -> None:
        """Asks with this key from the next poll on."""
        self._headers = [(b"Accept", b"application/json"), (b"Content-Type", b"application/json")]
        if api_key is not None:
            self._headers.append((b"Authorization", b"Bearer " + api_key.encode("ascii")))

    async def __call__(self, task_id: str) -> PollAnswer | Unanswered:
        """What the upstream answers, whatever that is."""
        target = f"/v3/async/task-result?task_id={quote(task_id, safe='')}"
        try:
            async with (
                asyncio.timeout(self._within),
                self._upstream.exchange("GET", target, self._headers) as answer,
            ):
                body = received = await answer.read(MAX_ANSWER)
                if is_coded(answer.raw_headers):  # although nothing of the kind was asked for
                    body = await asyncio.to_thread(lambda: decoded(received, MAX_ANSWER) or b"")
                headers = answer.headers
                asked = retry_after(headers.get("Retry-After"), headers.get("Date"), wall_ms())
                return PollAnswer(answer.status, body, asked)
        except (TimeoutError, UpstreamTimeout):
            return Unanswered("timeout")
        except UpstreamError:
            return Unanswered("unreachable")
