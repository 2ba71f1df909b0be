"""POSTs one event after another, and decides what each response means."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import time

import aiohttp
from yarl import URL

from consumers.errors import ConsumersError, TryLaterError, UnprocessableError
from consumers.handlers.handler_settings import TOLD_MAX_S
from consumers.webhook.cloud_event import CONTENT_TYPE, cloud_event, id_of
from consumers.webhook.signature import sign
from consumers.webhook.webhook_settings import WebhookSettings
from events.entry.recorded import RecordedEvent

ANSWER_BYTES_MAX = 1_024
"""Bytes that are read of an unsuccessful response, for the dead letter."""

_DIGITS_MAX = 9
_HEADERS = {
    "Content-Type": CONTENT_TYPE,
    "User-Agent": "routestream",
    "Accept-Encoding": "identity",
}
_TRIED_AGAIN = frozenset({408, 429})
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=None)


class FailedRequestError(ConsumersError):
    """A request had no response, or one after which a later try may succeed."""


class Webhook:
    """A handler that sends events to one receiver; `open_webhook` makes it."""

    def __init__(
        self, session: aiohttp.ClientSession, settings: WebhookSettings, namespace: str
    ) -> None:
        self._session = session
        self._settings = settings
        self._url = URL(settings.url)
        self._namespace = namespace

    async def __call__(self, recorded: RecordedEvent) -> None:
        """POST *recorded* once; the caller sets the deadline.

        Raises:
            UnprocessableError: No further try will help: a redirect, or a 4xx except 408 and 429.
            TryLaterError: The receiver said how long to wait.
            FailedRequestError: It answered anything else except 2xx, or not at all.
        """
        body = cloud_event(recorded, self._namespace)
        signed = sign(body, id_of(recorded), int(time()), self._settings.all_secrets)
        headers = {**_HEADERS, **signed}
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=_NO_TIMEOUTS,
                read_bufsize=ANSWER_BYTES_MAX,
            ) as response:
                if not 200 <= response.status < 300:
                    raise failure_of(response.status, response.headers, await _beginning(response))
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's message contains the URL, which may contain a secret.
            raise FailedRequestError(f"no answer from the receiver: {_why(error)}") from None


def failure_of(status: int, headers: Mapping[str, str], text: str) -> ConsumersError:
    """Return the error that stands for an unsuccessful response."""
    answer = f"HTTP {status}" + (f": {text}" if text else "")
    if 300 <= status < 400:
        problem = f"HTTP {status}: redirects are not followed; set url to where it leads"
        return UnprocessableError(problem, f"http {status}")
    if 400 <= status < 500 and status not in _TRIED_AGAIN:
        return UnprocessableError(answer, f"http {status}")
    after_s = _retry_after_s(headers.get("Retry-After", ""), datetime.now(UTC))
    return FailedRequestError(answer) if after_s is None else TryLaterError(answer, after_s)


def _retry_after_s(text: str, now: datetime) -> float | None:
    """Read seconds or an HTTP date, up to `TOLD_MAX_S`; None for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(TOLD_MAX_S, float(text[:_DIGITS_MAX]))
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return min(TOLD_MAX_S, max(0.0, (time - now).total_seconds()))


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of a response's body, on one line."""
    found = b""
    with suppress(aiohttp.ClientError, OSError):
        while len(found) < ANSWER_BYTES_MAX:
            chunk = await response.content.read(ANSWER_BYTES_MAX - len(found))
            if not chunk:
                break
            found += chunk
    return " ".join(found.decode("utf-8", "replace").split())


def _why(error: aiohttp.ClientError | OSError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the name of its host is not known"
        case aiohttp.ClientSSLError():
            return "TLS with it is not possible, or its certificate is not trusted"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return "the connection was closed before there was one"
        case _:
            return f"it was no valid HTTP ({type(error).__name__})"


@asynccontextmanager
async def open_webhook(settings: WebhookSettings, namespace: str) -> AsyncIterator[Webhook]:
    """Open the session that all requests of the process go through.

    Each request has a connection of its own: the receiver could close a kept connection just when
    the next request is sent, which cannot be told from a failure.
    """
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=jar, auto_decompress=False
    ) as session:
        yield Webhook(session, settings, namespace)
