"""A model folder behind a storage proxy that the demo runs itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from aiohttp import web

from consumers.processes.embedded import free_port

DEFINITION = """\
models:
  - name: tiny-llama
    model-path: /models/tiny-llama
    service:
      start-command: [serve, /models/tiny-llama]
      port: 8000
      health-check:
        path: /health
        interval: 0.3
        max-retries: 2
        max-wait-time: 1
        initial-delay: 1
        warm-up-time: 60
        deep:
          interval: 0.5
          max-wait-time: 1
          traffic-window: 0
"""
"""The model's definition: probed three times a second, asked for a token twice a second."""

_NAME = "model-definition.yaml"


class ModelFolder:
    """The folder; once it *is_gone*, the proxy answers 410."""

    def __init__(self, port: int) -> None:
        place = urlencode({"volume": "models", "vfid": "tiny-llama"})
        self.url = f"http://127.0.0.1:{port}?{place}"
        self.is_gone = False

    async def listed(self, _request: web.Request) -> web.Response:
        """Answer with the names of the files."""
        if self.is_gone:
            return web.json_response({"msg": "the folder is gone"}, status=410)
        return web.json_response({"items": [{"name": _NAME, "type": "FILE"}]})

    async def fetched(self, _request: web.Request) -> web.Response:
        """Answer with the model's definition."""
        if self.is_gone:
            return web.json_response({"msg": "the folder is gone"}, status=410)
        return web.Response(text=DEFINITION)


@asynccontextmanager
async def model_folder() -> AsyncIterator[ModelFolder]:
    """Serve the folder during the block."""
    port = free_port()
    folder = ModelFolder(port)
    app = web.Application()
    app.router.add_post("/folder/file/list", folder.listed)
    app.router.add_post("/folder/file/fetch", folder.fetched)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield folder
    finally:
        await runner.cleanup()
