"""A storage proxy on this machine: it answers as Backend.AI's manager-facing API does."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
from aiohttp import web

from consumers.processes.embedded import free_port

VOLUME, VFID = (
    "volume1",
    "user:f38dea23-50fa-42a0-b5ae-338f5f4693f4/2f1b6c1e52a04e0c9a0a0d9e3a3c2f11",
)
TOKEN = "of-the-proxy"  # noqa: S105 - of a server on this machine


class StorageProxy:
    """One folder; what it answers may be changed at any time."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.api = f"{scheme}://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.status: int | None = None
        self.body = b""
        self.headers: dict[str, str] = {}
        self.calls: list[str] = []
        self.hangs = False

    def url(self, **query: str) -> str:
        fields = {"volume": VOLUME, "vfid": VFID, **query}
        shown = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        return f"{self.api}?{shown}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        given = await request.json()
        path = str(given["relpath"])
        self.calls.append(f"{request.path} {path}")
        if self.hangs:
            await anyio.sleep_forever()
        if request.headers.get("X-BackendAI-Storage-Auth-Token") != TOKEN:
            return web.Response(status=403)
        if self.status is not None:
            headers = {"Location": "/elsewhere"} if self.status == 302 else {}
            return web.Response(
                status=self.status, body=self.body, headers={**headers, **self.headers}
            )
        assert (given["volume"], given["vfid"]) == (VOLUME, VFID)
        return self._listed(path) if request.path.endswith("list") else self._fetched(path)

    def _listed(self, folder: str) -> web.Response:
        beginning = "" if folder == "." else f"{folder}/"
        within = [name.removeprefix(beginning) for name in self.files if name.startswith(beginning)]
        stat = {"mode": 33188, "size": 1, "created": "2026-01-31", "modified": "2026-01-31"}
        kinds = {name.partition("/")[0]: "DIRECTORY" if "/" in name else "FILE" for name in within}
        items = [
            {"name": name, "type": kind, "stat": stat, "symlink_target": ""}
            for name, kind in kinds.items()
        ]
        return web.json_response({"items": items})

    def _fetched(self, path: str) -> web.Response:
        if path not in self.files:
            missing = {"msg": "No such file or directory", "errno": 2, "paths": [path]}
            return web.json_response(missing, status=400)
        return web.Response(body=self.files[path], content_type="application/octet-stream")


@asynccontextmanager
async def storage_proxy(tls: ssl.SSLContext | None = None) -> AsyncIterator[StorageProxy]:
    """Serve an empty folder, over TLS if that is given."""
    proxy = StorageProxy(free_port(), "http" if tls is None else "https")
    app = web.Application()
    app.router.add_post("/folder/file/{call}", proxy.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", proxy.port, ssl_context=tls).start()
        yield proxy
    finally:
        await runner.cleanup()
