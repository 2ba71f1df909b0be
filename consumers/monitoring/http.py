"""Serves a process's metrics and health over HTTP, on loopback by default."""

import errno
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import msgspec
from aiohttp import web
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family

from consumers.monitoring.metric import registry_of
from consumers.monitoring.settings import MetricsSettings
from consumers.monitoring.vitals import Health
from events.structured_logger import structured_logger

_STOP_TIMEOUT_S = 0.2

_log = structured_logger(__name__)


class Exposed(Protocol):
    """A process whose metrics and health are served."""

    async def metrics(self) -> Iterable[Family]:
        """Return all metrics; those read from the server may be up to 1 s old."""

    async def liveness(self) -> Health:
        """Return whether the process is alive, or should be restarted."""

    async def readiness(self) -> Health:
        """Return whether the process can do its work now."""


@asynccontextmanager
async def exposition(exposed: Exposed, settings: MetricsSettings) -> AsyncIterator[str | None]:
    """Serve `/metrics`, `/livez` and `/readyz` during the block; yield the URL, None for nowhere.

    A port that cannot be opened is a warning: the process's work matters more than its metrics.
    """
    if not settings.enabled:
        yield None
        return
    runner = web.AppRunner(
        _application(exposed),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_STOP_TIMEOUT_S,
    )
    await runner.setup()
    try:
        yield await _listen(runner, settings)
    finally:
        with anyio.move_on_after(2 * _STOP_TIMEOUT_S, shield=True):
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: MetricsSettings) -> str | None:
    why = ""
    for port in settings.ports:
        try:
            await web.TCPSite(runner, settings.host, port).start()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            if error.errno == errno.EADDRINUSE:
                continue
            break
        host, served = runner.addresses[0][:2]
        url = f"http://[{host}]:{served}" if ":" in host else f"http://{host}:{served}"
        taken = {"taken": settings.port} if settings.port not in {0, served} else {}
        _log.info("metrics_served", url=f"{url}/metrics", **taken)
        return url
    _log.warning(
        "metrics_unavailable",
        host=settings.host,
        port=settings.port,
        why=why,
        what="set another with --metrics-port or ROUTESTREAM_METRICS_PORT",
    )
    return None


def _application(exposed: Exposed) -> web.Application:
    async def metrics(request: web.Request) -> web.Response:
        families = list(await exposed.metrics())
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(registry_of(lambda: families))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def livez(_request: web.Request) -> web.Response:
        return _response(await exposed.liveness())

    async def readyz(_request: web.Request) -> web.Response:
        return _response(await exposed.readiness())

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/livez", livez)
    application.router.add_get("/readyz", readyz)
    return application


def _response(health: Health) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(health),
        status=200 if health.ok else 503,
        content_type="application/json",
    )
