"""Asks one router what it has, and adds and removes its workers.

vllm-router has `/add_worker` and `/remove_worker`; sglang-router has workers with ids under
`/workers`, and adds and removes them after it has answered.
"""

from http import HTTPStatus
from urllib.parse import quote

import anyio
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from consumers.errors import UnreachableProxyError

WORKERS_MAX = 10_000
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_SHOWN = 200
_SEEN_EVERY_S = 0.1
_SEEN_WITHIN_S = 0.5


class RouterWorker(msgspec.Struct, frozen=True):
    """A worker as the router shows it.

    Attributes:
        url: Its URL.
        is_healthy: What the router's own check says.
        id: What sglang-router calls it; vllm-router has no such name.
    """

    url: str
    is_healthy: bool = True
    id: str | None = None


class RouterWorkers(msgspec.Struct, frozen=True):
    """What a router answers about its workers."""

    workers: list[RouterWorker]


class RefusedWorkerError(Exception):
    """The router did not add a worker; the message says why."""


class RouterApi:
    """The part of a router's API that manages its workers."""

    def __init__(self, session: ClientSession, url: str, request_s: float) -> None:
        self._session = session
        self._url = url
        self._timeout = ClientTimeout(total=request_s)

    async def workers(self) -> dict[str, RouterWorker]:
        """Return the workers that the router has, by their URLs.

        Raises:
            UnreachableProxyError: It does not answer, or is no such router.
        """
        body = await self._ask("GET", "/workers")
        try:
            found = msgspec.json.decode(body, type=RouterWorkers).workers
        except (msgspec.DecodeError, RecursionError):
            raise UnreachableProxyError(
                f"{self._url}/workers answers with something else than a router's workers"
            ) from None
        return {worker.url: worker for worker in found[:WORKERS_MAX]}

    async def remove(self, worker: RouterWorker) -> None:
        """Remove a worker; whether it is gone is only known from `workers`.

        Raises:
            UnreachableProxyError: The router does not answer.
        """
        if worker.id is None:
            await self._ask("POST", f"/remove_worker?url={quote(worker.url, safe='')}")
            return
        await self._ask("DELETE", f"/workers/{quote(worker.id, safe='')}")
        with anyio.move_on_after(_SEEN_WITHIN_S):
            while worker.url in await self.workers():  # noqa: ASYNC110 - the router has no event
                await anyio.sleep(_SEEN_EVERY_S)

    async def add(self, worker: str, deadline_s: float) -> None:
        """Add a worker, or find it there.

        Raises:
            RefusedWorkerError: The router did not add it within *deadline_s*.
        """
        try:
            with anyio.fail_after(deadline_s):
                await self._add(worker)
        except TimeoutError:
            raise RefusedWorkerError(
                f"the router did not add it within {deadline_s:g} s: it does not answer the "
                "router's requests for /health"
            ) from None
        except (ClientError, OSError) as error:
            raise RefusedWorkerError(f"the router did not answer: {error}") from None
        except UnreachableProxyError as error:
            raise RefusedWorkerError(str(error)) from None

    async def _add(self, worker: str) -> None:
        url, patient = f"{self._url}/add_worker", ClientTimeout(total=None)
        async with self._session.post(url, params={"url": worker}, timeout=patient) as answer:
            said = (await answer.content.read(_SHOWN)).decode("utf-8", "replace").strip()
        if answer.status == HTTPStatus.NOT_FOUND:
            await self._add_by_id(worker)
        # Of what is there already the router says so with status 400, which has no other mark.
        elif answer.status >= HTTPStatus.MULTIPLE_CHOICES and "already exists" not in said:
            raise RefusedWorkerError(f"the router answered {answer.status}: {said}")

    async def _add_by_id(self, worker: str) -> None:
        """Ask sglang-router, which adds a worker later, once that answers."""
        url = f"{self._url}/workers"
        async with self._session.post(url, json={"url": worker}, timeout=self._timeout) as answer:
            said = (await answer.content.read(_SHOWN)).decode("utf-8", "replace").strip()
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedWorkerError(f"the router answered {answer.status}: {said}")
        while worker not in await self.workers():  # noqa: ASYNC110 - the router has no event
            await anyio.sleep(_SEEN_EVERY_S)

    async def _ask(self, method: str, path: str) -> bytes:
        url = f"{self._url}{path}"
        try:
            async with self._session.request(method, url, timeout=self._timeout) as answer:
                body = b""
                while len(body) < _ANSWER_BYTES_MAX and (part := await answer.content.readany()):
                    body += part
        except TimeoutError:
            raise UnreachableProxyError(
                f"{url} did not answer within {self._timeout.total:g} s"
            ) from None
        except (ClientError, OSError) as error:
            raise UnreachableProxyError(f"{url} does not answer: {error}") from None
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES and method == "GET":
            raise UnreachableProxyError(f"{url} answers {answer.status}")
        return body
