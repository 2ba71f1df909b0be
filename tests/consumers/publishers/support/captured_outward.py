"""What is told of captured traffic: to a coordinator, by its Redis, and to a Traefik."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from aiohttp import ClientSession

from consumers.processes.embedded import EmbeddedServer, embedded_server, free_port
from consumers.processes.traefik_process import TraefikProcess, traefik_process
from events.background import in_background
from events.server.reply import reply, reply_or_none, reply_streams
from events.server.server import Server
from events.server.settings import ServerSettings
from tests.consumers.support.backend_ai import LIVE_DATABASE, STREAM_DATABASE
from tests.consumers.support.captured_traffic import captured_lists, expected
from tests.support.waiting import wait_until

COORDINATORS = "appproxy-coordinator"
PLACEHOLDER = "127.0.0.1:9"
TOLD_WITHIN_S = 60.0
ADDRESS = ("session_id", "route_id", "kernel_host", "kernel_port")

Routes = dict[str, list[tuple[str, ...]]]
"""For each endpoint the routes that get traffic."""


class FedProxies:
    """A coordinator's Redis and a Traefik, and what each was told."""

    def __init__(self, core: EmbeddedServer, traefik: TraefikProcess, polled: int) -> None:
        self.handoff = {
            "BACKEND_AI_FORM": "handoff",
            "BACKEND_AI_REDIS_URL": core.url,
            "BACKEND_AI_COORDINATOR_CHECKS": "true",
            "BACKEND_AI_PLACEHOLDER": PLACEHOLDER,
        }
        self.polls = {"TRAEFIK_HTTP_PORT": str(polled), "TRAEFIK_PATH": "/endpoints/{id}"}
        self._live = Server(ServerSettings(url=f"{core.url}/{LIVE_DATABASE}"))
        self._stream = Server(ServerSettings(url=f"{core.url}/{STREAM_DATABASE}"))
        self._traefik = traefik

    async def read(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:  # noqa: ANN401 - anyio's
        """Read and acknowledge the events as a coordinator does that carries each out."""
        call = self._stream.client.call
        await call("XGROUP", "CREATE", "events", COORDINATORS, "$", "MKSTREAM")
        task_status.started()
        group = ("GROUP", COORDINATORS, "one", "STREAMS", "events", ">")
        while True:
            for _, entries in reply_streams(await call("XREADGROUP", *group)):
                await call("XACK", "events", COORDINATORS, *(name for name, _ in entries))
            await anyio.sleep(0.01)

    async def handed_off(self) -> Routes:
        found: Routes = {}
        for endpoint_id, listed in (await self._keys("route_connection_info")).items():
            [(app, routes)] = listed.items()
            found[endpoint_id] = sorted(
                (app, *(str(one[name]) for name in ADDRESS))
                for one in routes
                if f"{one['kernel_host']}:{one['kernel_port']}" != PLACEHOLDER
            )
        return found

    async def health_checks(self) -> dict[str, dict[str, Any] | None]:
        enabled = await self._keys("health_check_enabled")
        configured = await self._keys("health_check_config")
        for one in configured.values():
            del one["initial_delay"]  # no release that the capture is of had it
        return {
            endpoint_id: configured.get(endpoint_id) if enabled[endpoint_id] else None
            for endpoint_id in enabled
        }

    async def statuses(self) -> dict[str, str]:
        """Return of each session of which it is expected the health that was told last."""
        told = dict(
            msgspec.msgpack.decode(args, type=tuple[str, str])
            for args in await self._arguments(b"model_service_status_updated")
        )
        return {session_id: told[session_id] for session_id in _statuses() if session_id in told}

    async def lists(self) -> set[bytes]:
        """Return the arguments of the events that told of a list of routes."""
        return set(await self._arguments(b"endpoint_route_list_updated"))

    async def _arguments(self, name: bytes) -> list[bytes]:
        """Return the arguments of all events of a name, oldest first."""
        raw = await self._stream.client.call("XRANGE", "events", "-", "+")
        entries = reply(raw, list[tuple[bytes, list[bytes]]])
        events = [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in entries]
        return [fields[b"args"] for fields in events if fields[b"name"] == name]

    async def shares(self) -> dict[str, float]:
        """Return of each session its share of the traffic, by the weights of the keys."""
        found: dict[str, float] = {}
        for endpoint_id, routes in _handed_off().items():
            weights = {
                one[1]: await self._get(f"endpoint.{endpoint_id}.session.{one[1]}.traffic_ratio")
                for one in routes
            }
            found |= _shared({name: float(weight or 0) for name, weight in weights.items()})
        return found

    async def served(self) -> dict[str, dict[str, float]]:
        """Return of each endpoint the addresses that Traefik serves, and their shares."""
        url = f"{self._traefik.api}/api/http/services?per_page=1000"
        async with ClientSession() as session, session.get(url) as response:
            services = await response.json()
        return {
            name.removeprefix("endpoint-"): _shared(
                {one["url"]: one["weight"] for one in service["loadBalancer"].get("servers", ())}
            )
            for service in services
            for name, _, provider in (service["name"].partition("@"),)
            if provider == "http"
        }

    async def _keys(self, kind: str) -> dict[str, Any]:
        """Return what the keys of a kind hold, by the ids of their endpoints."""
        names = reply(await self._live.client.call("KEYS", f"endpoint.*.{kind}"), list[bytes])
        return {
            name.decode().split(".")[1]: msgspec.json.decode(await self._get(name) or b"null")
            for name in names
        }

    async def _get(self, key: str | bytes) -> bytes | None:
        return reply_or_none(await self._live.client.call("GET", key), bytes)

    async def until_told(self) -> None:
        """Wait until both have what is expected of the capture."""
        await _until_equal(self.handed_off, _handed_off())
        await _until_equal(self.health_checks, _health_checks())
        await _until_equal(self.statuses, _statuses())
        await _until_equal(self.lists, captured_lists())
        await _until_equal(self.shares, _shares())
        await _until_equal(self.served, _served())

    async def aclose(self) -> None:
        await self._live.aclose()
        await self._stream.aclose()


@asynccontextmanager
async def fed_proxies() -> AsyncIterator[FedProxies]:
    polled = free_port()
    endpoint = f"--providers.http.endpoint=http://127.0.0.1:{polled}/v1/traefik/edge-1"
    poll = "--providers.http.pollInterval=10ms"
    with embedded_server() as core, traefik_process(endpoint, poll) as traefik:
        fed = FedProxies(core, traefik, polled)
        try:
            async with in_background(fed.read):
                yield fed
        finally:
            with anyio.CancelScope(shield=True):
                await fed.aclose()


def _with_traffic(endpoint: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the routes that get traffic by AppProxy's rule, of an endpoint that is expected."""
    for route in endpoint["routes"]:
        is_healthy = endpoint["health_check"] is None or route["health"] == "healthy"
        if is_healthy and route["traffic_ratio"] > 0:
            yield route


def _handed_off() -> Routes:
    return {
        endpoint_id: sorted(
            (one["app"], *(str(one[name]) for name in ADDRESS)) for one in _with_traffic(endpoint)
        )
        for endpoint_id, endpoint in expected().items()
    }


def _health_checks() -> dict[str, dict[str, Any] | None]:
    return {endpoint_id: endpoint["health_check"] for endpoint_id, endpoint in expected().items()}


def _statuses() -> dict[str, str]:
    return {
        route["session_id"]: route["health"]
        for endpoint in expected().values()
        for route in endpoint["routes"]
        if route["health"] is not None
    }


def _shares() -> dict[str, float]:
    found: dict[str, float] = {}
    for endpoint in expected().values():
        found |= _shared(
            {one["session_id"]: one["traffic_ratio"] for one in _with_traffic(endpoint)}
        )
    return found


def _served() -> dict[str, dict[str, float]]:
    return {
        endpoint_id: _shared(
            {
                f"http://{one['kernel_host']}:{one['kernel_port']}": one["traffic_ratio"]
                for one in _with_traffic(endpoint)
            }
        )
        for endpoint_id, endpoint in expected().items()
    }


def _shared(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each; weights are whole numbers, and 10,000 in sum."""
    whole = sum(weights.values()) or 1.0
    return {name: Share(weight / whole) for name, weight in weights.items()}


class Share(float):
    """A share of traffic; two are equal where whole weights differ no more than by rounding."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(float(self) - float(other)) < 2e-4

    __hash__ = float.__hash__


async def _until_equal(read: Callable[[], Coroutine[Any, Any, object]], wanted: object) -> None:
    """Wait until *read* finds what is *wanted*; the difference is shown where it does not."""
    found: object = None

    async def is_equal() -> bool:
        nonlocal found
        found = await read()
        return found == wanted

    with anyio.move_on_after(TOLD_WITHIN_S):
        await wait_until(is_equal, "all is told", TOLD_WITHIN_S * 2)
    assert found == wanted
