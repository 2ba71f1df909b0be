"""Asks Traefik's own API which revision it routes by."""

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from consumers.errors import UnreachableProxyError
from consumers.publishers.traefik.traefik_configuration import REVISION, REVISION_HEADER
from events.masks import without_login

TIMEOUT_S = 3.0
_BYTES_MAX = 65_536


class _Headers(msgspec.Struct):
    custom: dict[str, str] = msgspec.field(name="customResponseHeaders", default_factory=dict)


class _Middleware(msgspec.Struct):
    headers: _Headers = msgspec.field(default_factory=_Headers)


async def applied_revision(session: ClientSession, api: str, provider: str) -> str | None:
    """Return the revision that the Traefik at *api* has from *provider*, None for none yet.

    Raises:
        UnreachableProxyError: The API does not answer, or not as Traefik's does.
    """
    url = f"{api}/api/http/middlewares/{REVISION}@{provider}"
    shown = without_login(url)
    try:
        async with session.get(url, timeout=ClientTimeout(total=TIMEOUT_S)) as response:
            if response.status == 404:
                return None
            if response.status != 200:
                raise UnreachableProxyError(f"the API at {shown} answers {response.status}")
            body = await response.content.read(_BYTES_MAX)
        return msgspec.json.decode(body, type=_Middleware).headers.custom.get(REVISION_HEADER)
    except (ClientError, OSError, TimeoutError) as error:
        why = str(error) or f"no answer within {TIMEOUT_S:g} s"
        raise UnreachableProxyError(f"the API at {shown} cannot be reached: {why}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreachableProxyError(f"{shown} does not answer as Traefik's API: {error}") from None
