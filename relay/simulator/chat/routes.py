"""The routes of conversations over HTTP, under the current base paths and the older ones that clients still use."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from relay.clocks import wall_ms
from relay.simulator.access import RateLimit, admits
from relay.simulator.chat import catalog, reply, scripts
from relay.simulator.chat.apis import APIS
from relay.simulator.chat.apis.api import OPENAI_BASES, Api
from relay.simulator.chat.apis.messages import BASES as ANTHROPIC_BASES
from relay.simulator.chat.apis.messages import input_tokens
from relay.simulator.chat.behaviour import Behaviour, draw, parse
from relay.simulator.chat.delivery import Answer, End, streamed, whole
from relay.simulator.chat.exchanges import CLIENT_GONE, STOPPED, Exchanges
from relay.simulator.chat.playing import play
from relay.simulator.chat.refusals import ApiError, document, error_answer, requested_error, unrouted
from relay.simulator.directives import HEADER, UnknownFault
from relay.simulator.options import Options
from relay.simulator.requests import InvalidSubmission, Json, Lottery, read_object

_ROOTS = ("/openai", "/v3/openai", "/anthropic")
SCRIPTS_PATH = "/_simulator/scripts"
EXCHANGES_PATH = "/_simulator/exchanges"


Endpoint = Callable[[web.Request, bytes], Answer]
"""Answers a request by its body."""


class Chat:
    """Answers the routes of conversations, and reports what it saw of their clients."""

    def __init__(self, options: Options) -> None:
        self.exchanges = Exchanges(options.retained)
        self.scripts = scripts.Scripts()
        self._options = options
        self._lottery = Lottery(options.seed, options.retained)
        self._limit = RateLimit(options.chats_per_minute)
        self._serving: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.RouteDef]:
        found = [
            *((api.bases, "POST", api.route, self._chat(api)) for api in APIS),
            (ANTHROPIC_BASES, "POST", "messages/count_tokens", self._count_tokens),
            (OPENAI_BASES, "POST", "embeddings", self._in_one_piece(catalog.embeddings)),
            (OPENAI_BASES, "POST", "rerank", self._in_one_piece(catalog.rerank)),
            (OPENAI_BASES, "GET", "models", self._models),
            (OPENAI_BASES, "GET", "models/{name:.+}", self._model),
        ]
        return [
            *(web.route(m, f"{base}/{path}", self._served(end)) for bases, m, path, end in found for base in bases),
            *(web.route("*", f"{base}/{{name:.*}}", self._served(lambda *_: unrouted())) for base in _ROOTS),
            web.get(EXCHANGES_PATH, self._show_exchanges),
            web.post(SCRIPTS_PATH, self._register),
        ]

    def close(self) -> None:
        """Ends what is still being answered."""
        for serving in self._serving:
            serving.cancel(STOPPED)

    # -- what each route answers -----------------------------------------------------------------------------------

    def _chat(self, api: Api) -> Endpoint:
        def answer(call: web.Request, raw: bytes) -> Answer:
            body, rng, behaviour = self._let_in(call, raw)
            if behaviour.no_answer:
                return Answer(None, delay=behaviour.slow, end=End.RESET if behaviour.reset else End.CUT)
            if behaviour.error:
                return requested_error(behaviour, rng, _shape(call))
            request = api.read(body)
            behaviour = api.expressed(behaviour, request)
            said = reply.invent(request, behaviour, rng, int(time.time()), api.ids)
            if not request.stream:
                return whole(api.document(said, behaviour), behaviour, rng)
            broken_by = partial(api.error_frames, behaviour.error_frame, said)
            frames = api.stream(said, request, behaviour, rng)
            return streamed(frames, broken_by, behaviour, rng, said.completion_tokens)

        return answer

    def _count_tokens(self, call: web.Request, raw: bytes) -> Answer:
        body, rng, behaviour = self._let_in(call, raw)
        if behaviour.error:
            return requested_error(behaviour, rng, _shape(call))
        return document({"input_tokens": input_tokens(body)})

    def _in_one_piece(self, make: Callable[[Json, Random, int], Json]) -> Endpoint:
        def answer(call: web.Request, raw: bytes) -> Answer:
            body, rng, behaviour = self._let_in(call, raw)
            if behaviour.error:
                return requested_error(behaviour, rng)
            return whole(orjson.dumps(make(body, rng, int(time.time()))), behaviour, rng)

        return answer

    def _models(self, call: web.Request, _: bytes) -> Answer:
        self._check_key(call)
        return document(catalog.models())

    def _model(self, call: web.Request, _: bytes) -> Answer:
        self._check_key(call)
        try:
            return document(catalog.model(unquote(call.match_info["name"])))
        except KeyError:
            raise ApiError(404, "model not found") from None

    def _let_in(self, call: web.Request, raw: bytes) -> tuple[Json, Random, Behaviour]:
        """The body of a request that has a key, is within the limit and names a model that is there.

        With it the random numbers that are its own, and how it is answered: as it says itself, else by the rates.
        """
        self._check_key(call)
        if not self._limit.allows(time.monotonic()):
            raise ApiError(429, "rate limit exceeded")  # no header says when to come back
        body = read_object(raw)
        if not isinstance(body.get("model"), str):
            raise InvalidSubmission("model is not a string")
        if body["model"] not in catalog.MODELS:
            raise ApiError(404, f"model not found: {body['model']}")
        rng = self._lottery.ticket(call.path, body)
        drawn = draw(rng, self._options.chat_faults)
        header = call.headers.get(HEADER)
        return body, rng, drawn if header is None else parse(header, self._options.chat_faults)

    def _check_key(self, call: web.Request) -> None:
        """No key and a wrong key differ, as in the vendor's table and in what was observed."""
        offered = call.headers.get("Authorization") or (_anthropic(call) and call.headers.get("x-api-key")) or None
        if not admits(offered, self._options.api_keys):
            raise (
                ApiError(401, "failed to authenticate") if offered else ApiError(403, "missing key", "INVALID_API_KEY")
            )

    # -- over HTTP ---------------------------------------------------------------------------------------------------

    def _served(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            exchange = self.exchanges.enter(request.method, request.raw_path, request.headers, wall_ms())
            serving = asyncio.current_task()
            assert serving is not None
            self._serving.add(serving)
            try:
                raw = await request.read()
                exchange.body_bytes, exchange.body_sha256 = len(raw), hashlib.sha256(raw).hexdigest()
                answer = self._answer(endpoint, request, raw)
                response = await play(request, answer, exchange)
            except asyncio.CancelledError as cancelled:
                exchange.end(STOPPED if STOPPED in cancelled.args else CLIENT_GONE, wall_ms())
                raise
            except ConnectionError:  # it went between two writes
                exchange.end(CLIENT_GONE, wall_ms())
                raise
            finally:
                self._serving.discard(serving)
            exchange.end(answer.end.value, wall_ms())
            return response

        return serve

    def _answer(self, endpoint: Endpoint, call: web.Request, raw: bytes) -> Answer:
        try:
            script_id = scripts.named_in(call.headers.get(HEADER, ""))
            return self.scripts.next(script_id) if script_id is not None else endpoint(call, raw)
        except (InvalidSubmission, UnknownFault) as problem:
            return error_answer(ApiError(400, str(problem)), _shape(call))
        except ApiError as error:
            return error_answer(error, _shape(call))

    async def _show_exchanges(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        return web.json_response(self.exchanges.as_json(int(after) if after.isdecimal() else 0))

    async def _register(self, request: web.Request) -> web.Response:
        try:
            script_id = self.scripts.register(scripts.read(read_object(await request.read())))
        except (InvalidSubmission, scripts.InvalidScript) as problem:
            return web.json_response({"error": str(problem)}, status=400)
        return web.json_response({"id": script_id, "header": f"{HEADER}: {scripts.WORD}={script_id}"})


def _anthropic(call: web.Request) -> bool:
    return call.path.startswith(ANTHROPIC_BASES)


def _shape(call: web.Request) -> str:
    """Of errors on this path."""
    return "anthropic" if _anthropic(call) else "flat"
