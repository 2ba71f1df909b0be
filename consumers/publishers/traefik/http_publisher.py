"""Serves the route table to Traefik's HTTP provider, which reads it by long polls."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec
from aiohttp import ClientSession, web
from aiohttp.typedefs import Handler

from consumers.errors import MissingSettingError
from consumers.publishers.proxy_ledger import FORGOTTEN_S, ProxyLedger
from consumers.publishers.publisher_definition import PublisherDefinition
from consumers.publishers.serving import SHUTDOWN_S, ListenPlace, serving
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.traefik.applied_watch import AppliedWatch
from consumers.publishers.traefik.default_certificate import new_certificate
from consumers.publishers.traefik.polling_proxy import PollingProxy
from consumers.publishers.traefik.published_document import DocumentFeed, PublishedDocument
from consumers.publishers.traefik.service_counters import ServiceCounters
from consumers.publishers.traefik.traefik_settings import TraefikHttpSettings
from consumers.settings import Settings
from events.background import in_background
from events.structured_logger import structured_logger

PROXIES_MAX = 1_000
"""Proxies that may poll; the address of one more answers 503."""

_PROVIDER = "http"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_LOOK_FOR_SILENCE_S = 1.0

_log = structured_logger(__name__)


async def publish_traefik_http(feed: SnapshotFeed, ledger: ProxyLedger, settings: Settings) -> None:
    """Serve the configuration to polls until cancelled.

    Raises:
        ListenError: The port cannot be opened.
        MissingSettingError: There is none.
    """
    if (problem := _missing(settings)) is not None:
        raise MissingSettingError(problem)
    traefik = settings.publish.traefik
    certificate = await new_certificate() if traefik.default_certificate else None
    documents = DocumentFeed(feed, traefik, certificate)
    http = settings.publish.traefik_http
    watches = {
        proxy: AppliedWatch(ledger.proxy(proxy), api, _PROVIDER)
        for proxy, api in http.api_of.items()
    }
    polls = Polls(documents, ledger, http, watches)
    async with ClientSession() as session:
        looks = [partial(watch.run, session) for watch in watches.values()]
        if http.counters:
            looks += [
                partial(ServiceCounters(api, feed).run, session) for api in http.api_of.values()
            ]
        async with in_background(*looks), _listening(polls.answer, http):
            await polls.look_for_silence()


class Polls:
    """Answers the polls of all proxies."""

    def __init__(
        self,
        documents: DocumentFeed,
        ledger: ProxyLedger,
        settings: TraefikHttpSettings,
        watches: Mapping[str, AppliedWatch],
    ) -> None:
        self._documents, self._ledger, self._settings = documents, ledger, settings
        self._watches = watches
        # Those whose API is set are missed if they never poll.
        self._proxies = {
            proxy: PollingProxy(ledger.proxy(proxy), watch) for proxy, watch in watches.items()
        }

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one poll: at once where it has something to tell, else after a while."""
        proxy = self._proxy(request.match_info["proxy"])
        if proxy is None:
            return _refused(404, f"no proxy is called so, or {PROXIES_MAX} others poll already")
        # None before the first snapshot: an empty document would be the order to drop all routes.
        if self._documents.newest is None:
            return _refused(503, self._documents.problem or "there is no route table yet")
        connection = request.transport and request.transport.get_extra_info("peername")
        before = proxy.polls(connection)
        if before is not None:
            await self._documents.after(before, self._settings.hold_s)
        document = self._documents.newest
        proxy.waits()
        proxy.gets(connection, document)
        return _response(document)

    def _proxy(self, name: str) -> PollingProxy | None:
        known = self._proxies.get(name)
        if known is not None:
            return known
        if _NAME.match(name) is None or len(self._proxies) >= PROXIES_MAX:
            return None
        self._proxies[name] = PollingProxy(self._ledger.proxy(name), self._watches.get(name))
        return self._proxies[name]

    async def look_for_silence(self) -> None:
        """Note which proxies poll no longer, until cancelled."""
        while True:
            await anyio.sleep(_LOOK_FOR_SILENCE_S)
            for name, proxy in list(self._proxies.items()):
                if proxy.silent_s > self._settings.silent_s:
                    limit = f"{self._settings.silent_s:g} s"
                    proxy.is_silent(f"it has not polled for more than {limit}")
                if proxy.silent_s > FORGOTTEN_S and name not in self._watches:
                    self._ledger.forget(name)
                    del self._proxies[name]


@asynccontextmanager
async def _listening(answer: Handler, settings: TraefikHttpSettings) -> AsyncIterator[None]:
    """Serve polls during the block."""
    application = web.Application()
    application.router.add_get("/v1/traefik/{proxy}", answer)
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S
    )
    place = ListenPlace("publish.traefik_http.port", settings.port or 0, settings.host)
    async with serving(runner, place) as url:
        _log.info("polls_served", url=f"{url}/v1/traefik/PROXY")
        yield


def _response(document: PublishedDocument) -> web.Response:
    return web.Response(body=document.body, content_type="application/json")


def _refused(status: int, problem: str) -> web.Response:
    body = msgspec.json.encode({"problem": problem})
    return web.Response(body=body, status=status, content_type="application/json")


def _missing(settings: Settings) -> str | None:
    if settings.publish.traefik_http.port is not None:
        return None
    return "publish.traefik_http.port is not set: the port where Traefik polls, such as 9480"


TRAEFIK_HTTP = PublisherDefinition(
    name="traefik-http",
    about="Traefik, by its HTTP provider",
    publish=publish_traefik_http,
    section="publish.traefik_http",
    missing_setting=_missing,
)
