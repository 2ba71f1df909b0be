"""What the tests of metrics and health stand on: a served consumer, and how it is asked."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from consumers.group_definition import PartitionConsumer
from consumers.monitoring.http import Exposed, exposition
from consumers.monitoring.settings import MetricsSettings
from consumers.monitoring.targets import ExposedConsumers
from consumers.monitoring.vitals import VitalsSettings
from events.log.log import EventLog
from tests.support.waiting import wait_until

PATIENT = VitalsSettings()


class Asked:
    """What a process tells over HTTP."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def samples(self) -> dict[str, float]:
        """Scrape it; each sample by its name and, in their order, its labels' values."""
        async with self._session.get(f"{self.url}/metrics") as response:
            assert response.status == 200
            text = await response.text()
        return {
            " ".join((sample.name.removeprefix("routestream_"), *sample.labels.values())): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def told(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of `/livez` or `/readyz`."""
        async with self._session.get(f"{self.url}{path}") as response:
            return response.status, json.loads(await response.text())

    async def until(self, path: str, status: int) -> Any:  # noqa: ANN401 - JSON
        """Wait until *path* answers with *status*; return its JSON."""
        last: Any = None

        async def answers() -> bool:
            nonlocal last
            code, last = await self.told(path)
            return code == status

        await wait_until(answers, f"{path} answers {status}")
        return last


@asynccontextmanager
async def asking(exposed: Exposed, settings: MetricsSettings | None = None) -> AsyncIterator[Asked]:
    """Serve *exposed* on a free port, and ask it."""
    async with (
        exposition(exposed, settings or MetricsSettings(port=0)) as url,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
    ):
        assert url is not None
        yield Asked(url, session)


def exposed_of(
    log: EventLog, consumers: Iterable[PartitionConsumer], vitals: VitalsSettings = PATIENT
) -> ExposedConsumers:
    return ExposedConsumers(log, [consumer.progress for consumer in consumers], vitals)
