"""A server that behaves as vLLM's documented endpoints do, and breaks in the ways vLLM does."""

import time
from collections import Counter
from typing import Any, Literal

import anyio
from aiohttp import web

from consumers.processes.embedded import free_port

Engine = Literal["loading", "ready", "hung", "dead"]

_SHUTDOWN_S = 0.05


class VllmServer:
    """One replica on a port of its own, which refuses connections until `listen`.

    Its engine is *loading* (all but `/version` answer 503), *ready*, *hung* (`/health` is 200, and
    no token comes) or *dead* (`/health` is 503, and completions are 500).

    Attributes:
        engine: How the engine is.
        model: The name under which the model is served.
        api_key: What requests below `/v1` must carry as their bearer token; None: nothing.
        asked: How often each path was asked for.
        bodies: What was asked of the model.
        given_up: How many clients went away before their answer.
    """

    def __init__(self, model: str = "llama") -> None:
        self.port = free_port()
        self.engine: Engine = "loading"
        self.model = model
        self.api_key: str | None = None
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.given_up = 0
        self._revived = anyio.Event()
        self._runner: web.AppRunner | None = None

    async def listen(self) -> None:
        """Take connections, as the API server does once it has started."""
        application = web.Application(middlewares=[self._count])
        application.router.add_get("/version", self._version)
        application.router.add_get("/health", self._health)
        application.router.add_get("/ping", self._health)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/v1/models", self._models)
        application.router.add_post("/v1/completions", self._completions)
        application.router.add_post("/v1/chat/completions", self._chat_completions)
        application.router.add_post("/{odd:empty|text|long|broken}", self._odd)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Refuse connections from now on, and break those that are open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def hang(self) -> None:
        """Let the engine hang: requests that are in flight, and new ones, get no token."""
        self.engine = "hung"

    def revive(self) -> None:
        """Let the engine be ready; requests that it hung over are answered."""
        self.engine = "ready"
        self._revived.set()
        self._revived = anyio.Event()

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's
        self.asked[request.path] += 1
        is_guarded = self.api_key is not None and request.path.startswith("/v1")
        if is_guarded and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        if self.engine == "loading" and request.path != "/version":
            return web.Response(status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.11.0"})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=503 if self.engine == "dead" else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        running = self.asked["/v1/completions"] if self.engine == "hung" else 0
        told = (
            "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
            "# TYPE vllm:num_requests_running gauge\n"
            f'vllm:num_requests_running{{engine="0",model_name="{self.model}"}} {running}.0\n'
        )
        return web.Response(text=told)

    async def _models(self, _request: web.Request) -> web.Response:
        model = {"id": self.model, "object": "model", "owned_by": "vllm", "root": self.model}
        return web.json_response({"object": "list", "data": [model]})

    async def _completions(self, request: web.Request) -> web.Response:
        choice = {"index": 0, "text": " a", "logprobs": None, "finish_reason": "length"}
        return await self._generate(request, "text_completion", choice)

    async def _chat_completions(self, request: web.Request) -> web.Response:
        message = {"role": "assistant", "content": "a"}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        return await self._generate(request, "chat.completion", choice)

    async def _odd(self, request: web.Request) -> web.Response:
        """Answer as no vLLM does."""
        if request.path == "/broken" and request.transport is not None:
            request.transport.close()
        bodies = {"/empty": '{"choices": []}', "/long": '{"choices": [' + "1," * 100_000 + "1]}"}
        return web.Response(text=bodies.get(request.path, "well"))

    async def _generate(
        self, request: web.Request, kind: str, choice: dict[str, Any]
    ) -> web.Response:
        asked = await request.json()
        self.bodies.append(asked)
        if asked.get("model", self.model) != self.model:
            return _error(404, "NotFoundError", f"The model `{asked['model']}` does not exist.")
        if not isinstance(asked.get("prompt", asked.get("messages")), str | list):
            return _error(400, "BadRequestError", "prompt: Field required")
        await self._engine_answers()
        if self.engine == "dead":
            return _error(500, "InternalServerError", "EngineCore encountered an issue.")
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(
            {
                "id": "cmpl-1",
                "object": kind,
                "created": int(time.time()),
                "model": self.model,
                "choices": [choice],
                "usage": usage,
            }
        )

    async def _engine_answers(self) -> None:
        try:
            while self.engine == "hung":
                await self._revived.wait()
        except BaseException:
            self.given_up += 1
            raise


def _error(status: int, kind: str, message: str) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return web.json_response({"error": error}, status=status)
