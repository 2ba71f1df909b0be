"""Asks one vllm-router what it has, and adds and removes its workers."""

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from consumers.errors import UnreachableProxyError

WORKERS_MAX = 10_000
_ANSWER_BYTES_MAX = 8 * 1024 * 1024
_SHOWN = 200


class RouterWorker(msgspec.Struct, frozen=True):
    """A worker as the router shows it: *is_healthy* is what its own check says."""

    url: str
    is_healthy: bool = True


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
        body = await self._ask("GET", "/workers", None)
        try:
            found = msgspec.json.decode(body, type=RouterWorkers).workers
        except (msgspec.DecodeError, RecursionError):
            raise UnreachableProxyError(
                f"{self._url}/workers answers with something else than a router's workers"
            ) from None
        return {worker.url: worker for worker in found[:WORKERS_MAX]}

    async def remove(self, worker: str) -> None:
        """Ask to remove a worker; that it is gone is only known from `workers`.

        Raises:
            UnreachableProxyError: The router does not answer.
        """
        await self._ask("POST", "/remove_worker", worker)

    async def add(self, worker: str, deadline_s: float) -> None:
        """Add a worker, or find it there.

        Raises:
            RefusedWorkerError: The router did not add it within *deadline_s*.
        """
        timeout = ClientTimeout(total=deadline_s)
        url = f"{self._url}/add_worker"
        try:
            async with self._session.post(url, params={"url": worker}, timeout=timeout) as answer:
                said = (await answer.content.read(_SHOWN)).decode("utf-8", "replace").strip()
        except TimeoutError:
            raise RefusedWorkerError(
                f"the router did not add it within {deadline_s:g} s: it does not answer the "
                "router's requests for /health"
            ) from None
        except (ClientError, OSError) as error:
            raise RefusedWorkerError(f"the router did not answer: {error}") from None
        # Of what is there already the router says so with status 400, which has no other mark.
        if answer.status >= 300 and "already exists" not in said:
            raise RefusedWorkerError(f"the router answered {answer.status}: {said}")

    async def _ask(self, method: str, path: str, worker: str | None) -> bytes:
        url, params = f"{self._url}{path}", {"url": worker} if worker is not None else None
        try:
            async with self._session.request(
                method, url, params=params, timeout=self._timeout
            ) as answer:
                body = b""
                while len(body) < _ANSWER_BYTES_MAX and (part := await answer.content.readany()):
                    body += part
        except TimeoutError:
            raise UnreachableProxyError(
                f"{url} did not answer within {self._timeout.total:g} s"
            ) from None
        except (ClientError, OSError) as error:
            raise UnreachableProxyError(f"{url} does not answer: {error}") from None
        if answer.status >= 300:
            raise UnreachableProxyError(f"{url} answers {answer.status}")
        return body
