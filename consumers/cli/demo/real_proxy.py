"""The demo's requests through a real proxy: those that are counted, and those that always run."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from uuid import UUID

import aiohttp
import anyio
import msgspec

from consumers.cli.demo.checks import LOOK_EVERY_S, STEP_TIMEOUT_S
from consumers.cli.demo.proxy import Proxy
from projections.read_model.reader import RouteTableReader

CLIENTS = 2
"""Requests that run at the same time."""

_PAUSE_S = 0.02


class RealProxy(ABC):
    """A proxy that is another program, fed by a publisher.

    Attributes:
        called: What the demo calls it.
        has_weights: Whether it spreads requests by weight.
        has_retries: Whether it tries a request that no replica has taken at another one.
    """

    called: str
    has_weights = True
    has_retries = True

    @abstractmethod
    async def ask(self, endpoint_id: UUID) -> tuple[int | None, str]:
        """Return status and body of one answer; no status for none."""

    @abstractmethod
    async def is_current(self, endpoint_id: UUID) -> bool:
        """Whether it routes by the state that the demo's reader has of the endpoint."""

    async def until_current(self, endpoint_id: UUID) -> None:
        """Wait until it is current."""
        with anyio.move_on_after(STEP_TIMEOUT_S):
            while not await self.is_current(endpoint_id):  # noqa: ASYNC110 - another process's state
                await anyio.sleep(LOOK_EVERY_S)

    async def send(self, endpoint_id: UUID, requests: int) -> Counter[int | None]:
        """Send *requests* one after another; count the answers by port, failures under None."""
        answers: Counter[int | None] = Counter()
        for _ in range(requests):
            status, text = await self.ask(endpoint_id)
            answers[int(text) if status == 200 else None] += 1
        return answers


class FedProxy(msgspec.Struct, frozen=True):
    """A proxy that runs, and who feeds it.

    Attributes:
        publisher: Its publisher.
        environment: The variables by which that finds it.
        entrance: Makes what sends requests through it.
        is_public: Whether only endpoints that are open to the public can be asked without a token.
    """

    publisher: str
    environment: Mapping[str, str]
    entrance: Callable[[RouteTableReader, aiohttp.ClientSession], RealProxy]
    is_public: bool = False


class RunningRequests:
    """Requests that run all the time.

    Attributes:
        sent: How many have been answered, or failed.
        failed: How many of them failed.
    """

    def __init__(self, proxy: Proxy | RealProxy, *endpoints: UUID) -> None:
        self._proxy, self._endpoints = proxy, endpoints
        self._counted = anyio.Condition()
        self.sent = self.failed = 0

    async def run(self) -> None:
        """Send requests to each of the endpoints in turn, until cancelled."""
        async with anyio.create_task_group() as clients:
            for _ in range(CLIENTS):
                clients.start_soon(self._client)

    async def _client(self) -> None:
        while True:
            for endpoint_id in self._endpoints:
                answers = await self._proxy.send(endpoint_id, 1)
                async with self._counted:
                    self.sent += 1
                    self.failed += answers[None]
                    self._counted.notify_all()
                await anyio.sleep(_PAUSE_S)

    async def until_sent(self, count: int) -> None:
        """Wait until so many were sent, at most as long as a step may take."""
        with anyio.move_on_after(STEP_TIMEOUT_S):
            async with self._counted:
                while self.sent < count:
                    await self._counted.wait()
