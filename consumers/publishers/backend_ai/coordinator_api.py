"""Calls the HTTP API of AppProxy's coordinator."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import aiohttp
import anyio
import msgspec

from consumers.errors import ConsumersError, UnreachableProxyError
from consumers.publishers.backend_ai.bulk_request import ANY_VARIANT, BulkItem, Creation
from consumers.publishers.backend_ai.settings import BackendAISettings

TOKEN_HEADER = "X-BackendAI-Token"  # noqa: S105 - the header's name
REVISION_HEADER = "X-Routestream-Revision"
"""Says in every request which revision of the route table it is from."""

ITEMS_MAX = 50
"""Endpoints of one request."""

REQUEST_BYTES_MAX = 512 * 1024
"""Bytes of one request with more than one endpoint; the coordinator takes up to 1 MiB."""

_ANSWER_BYTES_MAX = 1024 * 1024
_ALONE_MAX = 20
_CLOSE_TIMEOUT_S = 1.0
_WHY_MAX = 300
_VARIANTS = frozenset({ANY_VARIANT, "vllm", "nim", "huggingface-tgi", "cmd"})
"""The runtime variants that every release without a bulk API knows; it refuses all others."""


class RefusedCallError(ConsumersError):
    """The coordinator refused a whole request; *status* is its HTTP status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"HTTP {status}: {why}")
        self.status = status


class _Result(msgspec.Struct):
    deployment_id: UUID
    success: bool = True
    error: str | None = None


class _Answer(msgspec.Struct):
    endpoints: list[_Result]


class _Problem(msgspec.Struct):
    title: str = ""
    msg: str = ""


class CoordinatorApi:
    """The API of one coordinator; `open_coordinator` makes it."""

    def __init__(self, session: aiohttp.ClientSession, settings: BackendAISettings) -> None:
        self._session = session
        self._url = settings.coordinator_url.rstrip("/") + "/v2/endpoints"
        self._timeout_s = settings.timeout_s

    async def bulk(
        self, method: str, path: str, items: Sequence[BulkItem], revision: str
    ) -> dict[UUID, str]:
        """Send *items* in as many requests as it takes; return why which endpoints were refused.

        A request that is refused as a whole is halved until those alone are refused that are to
        blame; after `_ALONE_MAX` of them the others of a request share its fate.

        Raises:
            UnreachableProxyError: There was no answer, or the token is wrong; or every item failed
                by the coordinator's own fault.
        """
        refused: dict[UUID, str] = {}
        waiting = list(reversed(_chunks(items)))
        server_failed = True
        while waiting:
            chunk = waiting.pop()
            try:
                refused |= await self._bulk_once(method, path, chunk, revision)
                server_failed = False
            except RefusedCallError as error:
                if len(chunk) > 1 and len(refused) < _ALONE_MAX:
                    middle = len(chunk) // 2
                    waiting += [chunk[middle:], chunk[:middle]]
                    continue
                server_failed = server_failed and error.status >= 500
                refused |= {item.deployment_id: str(error) for item in chunk}
        if items and server_failed:
            why = next(iter(refused.values()))
            raise UnreachableProxyError(f"{method} {path}: {why}")
        return refused

    async def create_one(self, creation: Creation, revision: str) -> None:
        """Make one endpoint, or keep it, at a coordinator that has no bulk API.

        Raises:
            RefusedCallError: It was refused.
            UnreachableProxyError: There was no answer, or the token is wrong.
        """
        session, endpoint = creation.tags.session, creation.tags.endpoint
        variant = endpoint.runtime_variant
        body = msgspec.json.encode(
            {
                "version": creation.version,
                "service_name": creation.service_name,
                "tags": {
                    "session": {
                        "user_uuid": session.user_uuid,
                        "group_id": session.project_id,
                        "domain_name": session.domain_name,
                    },
                    "endpoint": {
                        "id": endpoint.id,
                        "runtime_variant": variant if variant in _VARIANTS else ANY_VARIANT,
                        "existing_url": None,
                    },
                },
                "open_to_public": creation.open_to_public,
                "health_check": None,
            }
        )
        await self.call("POST", f"/{creation.deployment_id}", body, revision)

    async def delete_one(self, endpoint_id: UUID, revision: str) -> None:
        """Delete one endpoint; one that is not there is deleted, too.

        Raises:
            RefusedCallError: It was refused.
            UnreachableProxyError: There was no answer, or the token is wrong.
        """
        try:
            await self.call("DELETE", f"/{endpoint_id}", b"", revision)
        except RefusedCallError as error:
            if error.status != 404:
                raise

    async def call(self, method: str, path: str, body: bytes, revision: str) -> bytes:
        """Return the body of a successful answer.

        Raises:
            RefusedCallError: The answer is another.
            UnreachableProxyError: There was none, or the token is wrong.
        """
        headers = {"Content-Type": "application/json", REVISION_HEADER: revision}
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            ) as response:
                answer = await _read(response)
        except TimeoutError:
            raise UnreachableProxyError(
                f"the coordinator did not answer {method} {path} within {self._timeout_s:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            why = str(error) or type(error).__name__
            raise UnreachableProxyError(f"the coordinator cannot be reached: {why}") from None
        if response.status in {401, 403}:
            raise UnreachableProxyError(
                f"the coordinator refused the token (HTTP {response.status}): set"
                " publish.backend_ai.token to its api_secret"
            )
        if response.status != 200:
            raise RefusedCallError(response.status, _why(answer))
        return answer

    async def _bulk_once(
        self, method: str, path: str, items: Sequence[BulkItem], revision: str
    ) -> Mapping[UUID, str]:
        body = msgspec.json.encode({"endpoints": items})
        try:
            answer = await self.call(method, path, body, revision)
            results = msgspec.json.decode(answer, type=_Answer).endpoints
        except RefusedCallError as error:
            if error.status in {404, 405}:
                raise UnreachableProxyError(
                    f"the coordinator has no {method} {path}, which came with 26.4.4: set"
                    " publish.backend_ai.form to handoff for older ones"
                ) from None
            raise
        except msgspec.MsgspecError as error:
            raise UnreachableProxyError(
                f"the answer to {method} {path} is none of a coordinator: {error}"
            ) from None
        told = {result.deployment_id: result for result in results}
        refused = {}
        for item in items:
            result = told.get(item.deployment_id)
            if result is None:
                refused[item.deployment_id] = "the coordinator's answer does not name it"
            elif not result.success:
                refused[item.deployment_id] = (result.error or "no reason given")[:_WHY_MAX]
        return refused


@asynccontextmanager
async def open_coordinator(settings: BackendAISettings) -> AsyncIterator[CoordinatorApi]:
    """Open the session that all requests go through, one after another."""
    headers = {TOKEN_HEADER: settings.token, "User-Agent": "routestream"}
    connector = aiohttp.TCPConnector(limit=1, force_close=True)
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=headers
    )
    try:
        yield CoordinatorApi(session, settings)
    finally:
        # Cut off by a cancellation, it would leave its connection open.
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            await session.close()


def _chunks(items: Sequence[BulkItem]) -> list[list[BulkItem]]:
    """Return *items* in requests within the limits of number and size."""
    chunks: list[list[BulkItem]] = []
    size = 0
    for item in items:
        own = len(msgspec.json.encode(item)) + 1
        size += own
        if not chunks or len(chunks[-1]) == ITEMS_MAX or size > REQUEST_BYTES_MAX:
            chunks.append([])
            size = own
        chunks[-1].append(item)
    return chunks


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of *response*, up to a limit that no answer of a coordinator reaches."""
    found = b""
    while len(found) < _ANSWER_BYTES_MAX:
        chunk = await response.content.read(_ANSWER_BYTES_MAX - len(found))
        if not chunk:
            break
        found += chunk
    return found


def _why(answer: bytes) -> str:
    try:
        problem = msgspec.json.decode(answer, type=_Problem)
    except msgspec.MsgspecError:
        return " ".join(answer[:_WHY_MAX].decode("utf-8", "replace").split())
    return (problem.msg or problem.title)[:_WHY_MAX]
