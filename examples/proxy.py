"""A reverse proxy that routes by the live table: /ENDPOINT_ID/PATH goes to one of its routes."""

import os
from collections.abc import Mapping
from functools import partial
from uuid import UUID

import anyio
from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession, ClientTimeout, web
from yarl import URL

from projections import Route, RouteTableReader, open_reader

UNENDING = ClientTimeout(total=None, connect=5)
OF_ONE_CONNECTION = {
    *("connection", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}


async def main() -> None:
    """Forward requests until the program is ended; port 0 takes a free one."""
    async with (
        open_reader(os.environ["REDIS_URL"]) as reader,
        ClientSession(timeout=UNENDING, auto_decompress=False) as client,
    ):
        await serve(reader, client, int(os.environ.get("PORT", "8080")))


async def serve(reader: RouteTableReader, client: ClientSession, port: int) -> None:
    """Serve on loopback; a request whose client goes away is given up towards the route, too."""
    app = web.Application(client_max_size=0)
    app.router.add_route(
        "*",
        "/{endpoint:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}}{path:/.*|}",
        partial(choose_and_forward, reader, client),
    )
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print(f"serving on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def choose_and_forward(
    reader: RouteTableReader, client: ClientSession, request: web.Request
) -> web.StreamResponse:
    """Forward the request to the route whose turn it is, and report how that ended."""
    route = reader.choose(UUID(request.match_info["endpoint"]))
    if route is None:
        return web.Response(status=503, text="no route\n", headers={"Retry-After": "1"})
    try:
        response = await forward(client, request, route)
    except ClientPayloadError:  # the route broke off its answer
        reader.report(route, ok=False)
        raise
    reader.report(route, ok=response.status < 500)
    return response


async def forward(client: ClientSession, request: web.Request, route: Route) -> web.StreamResponse:
    """Pass both bodies on as they come; 502 where the route takes no connection."""
    place = URL.build(scheme="http", host=route.kernel_host or "", port=route.kernel_port)
    path = request.raw_path.removeprefix(f"/{request.match_info['endpoint']}")
    try:
        answer = await client.request(
            request.method,
            URL(f"{place}{path}", encoded=True),
            headers=passed_on(request.headers),
            data=request.content if request.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
    except ClientConnectionError:
        return web.Response(status=502, text=f"route {route.route_id} takes no connection\n")
    async with answer:
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=passed_on(answer.headers)
        )
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that are not about one connection."""
    own = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = own | OF_ONE_CONNECTION
    return [(name, value) for name, value in headers.items() if name.lower() not in dropped]


if __name__ == "__main__":
    anyio.run(main)
