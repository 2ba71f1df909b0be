"""What Traefik's HTTP provider is answered, without a Traefik."""

from collections.abc import AsyncIterator

import aiohttp
import anyio
import pytest
from msgspec.structs import replace

from consumers.errors import ListenError, MissingSettingError
from consumers.publishers.traefik.http_publisher import TRAEFIK_HTTP
from consumers.settings import Settings
from events import EventLog
from events.entry.entry_id import EntryId
from tests.consumers.publishers.support.traefik_dialects import PROXY, dialect_named
from tests.consumers.publishers.support.traefik_world import Publishing, endpoint, publishing
from tests.support.read_model import WrittenTable
from tests.support.waiting import wait_until


def at(number: int) -> EntryId:
    return EntryId(10, number)


@pytest.fixture
def settings() -> Settings:
    with dialect_named(TRAEFIK_HTTP.name) as dialect:
        return dialect.settings


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


def holding(settings: Settings, hold_s: float, **changes: object) -> Settings:
    http = replace(settings.publish.traefik_http, hold_s=hold_s, **changes)
    return replace(settings, publish=replace(settings.publish, traefik_http=http))


class Poller:
    """Polls as Traefik does."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{settings.publish.traefik_http.port}/v1/traefik"

    async def poll(self, proxy: str = PROXY) -> tuple[int, str]:
        async with self._session.get(f"{self._base}/{proxy}") as response:
            return response.status, await response.text()

    async def until_answered(self) -> tuple[int, str]:
        answers: list[tuple[int, str]] = []

        async def answered() -> bool:
            try:
                answers.append(await self.poll())
            except aiohttp.ClientError:
                return False
            return True

        await wait_until(answered, "a poll is answered")
        return answers[0]


async def test_before_the_first_snapshot_a_poll_is_answered_503(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    table = WrittenTable(log)
    await table.begin()
    poller = Poller(session, settings)
    async with publishing(log, TRAEFIK_HTTP, settings) as published:
        status, text = await poller.until_answered()
        assert (status, "no endpoint yet" in text) == (503, True)
        await table.put(endpoint(1, version=at(1)))
        await published.until_table(at(1))
        status, text = await poller.poll()
        assert (status, "endpoint-" in text) == (200, True)


async def test_a_poll_is_held_until_the_document_changes(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    table, patient = WrittenTable(log), holding(settings, 4.0)
    await table.begin(endpoint(1, version=at(1)))
    poller = Poller(session, patient)
    async with publishing(log, TRAEFIK_HTTP, patient) as published:
        assert "10-1" in (await poller.until_answered())[1]
        texts: list[str] = []

        async def poll() -> None:
            while "10-2" not in "".join(texts):
                texts.append((await poller.poll())[1])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await wait_until(
                lambda: acknowledged(published) == "10-1", "the second poll proves the first"
            )
            await table.put(endpoint(1, version=at(2)))
        assert "10-2" in texts[-1]
        assert published.ledger.proxy(PROXY).state.sent == "10-2"
        assert acknowledged(published) == "10-1"


async def test_a_new_connection_is_answered_at_once_and_proves_nothing(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    table, patient = WrittenTable(log), holding(settings, 4.0)
    await table.begin(endpoint(1, version=at(1)))
    poller = Poller(session, patient)
    async with publishing(log, TRAEFIK_HTTP, patient) as published:
        await poller.until_answered()
        async with aiohttp.ClientSession() as restarted:
            status, text = await Poller(restarted, patient).poll()
        assert (status, "10-1" in text) == (200, True)
        assert acknowledged(published) is None


async def test_a_proxy_that_polls_no_longer_is_a_problem_until_it_polls_again(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    table, strict = WrittenTable(log), holding(settings, 0.05, silent_s=1.0)
    await table.begin(endpoint(1, version=at(1)))
    poller = Poller(session, strict)
    async with publishing(log, TRAEFIK_HTTP, strict) as published:
        await poller.until_answered()
        await wait_until(lambda: problem(published) is not None, "its silence is noted")
        assert problem(published) == "it has not polled for more than 1 s"

        async def is_well() -> bool:
            await poller.poll()
            return problem(published) is None

        await wait_until(is_well, "its polls are noted")


async def test_an_api_that_cannot_be_reached_is_told_without_its_password(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    api = f"{PROXY}=http://user:a-secret@127.0.0.1:1"
    table, proved = WrittenTable(log), holding(settings, 0.05, apis=(api,))
    await table.begin(endpoint(1, version=at(1)))
    poller = Poller(session, proved)
    async with publishing(log, TRAEFIK_HTTP, proved) as published:
        await poller.until_answered()
        await poller.poll()
        await wait_until(lambda: problem(published) is not None, "the problem is noted")
        told = problem(published) or ""
        assert "http://***@127.0.0.1:1/api/http/middlewares/routestream-revision@http" in told
        assert "a-secret" not in told
        assert acknowledged(published) is None


async def test_a_name_that_no_proxy_has_is_not_found(
    log: EventLog, settings: Settings, session: aiohttp.ClientSession
) -> None:
    table = WrittenTable(log)
    await table.begin(endpoint(1, version=at(1)))
    poller = Poller(session, settings)
    async with publishing(log, TRAEFIK_HTTP, settings) as published:
        await poller.until_answered()
        assert (await poller.poll("a%20b"))[0] == 404
        assert [state.proxy for state in published.ledger.states] == [PROXY]


async def test_a_port_that_is_taken_is_named(log: EventLog, settings: Settings) -> None:
    table = WrittenTable(log)
    await table.begin(endpoint(1, version=at(1)))
    async with publishing(log, TRAEFIK_HTTP, settings) as published:
        async with aiohttp.ClientSession() as session:
            await Poller(session, settings).until_answered()
        with pytest.raises(ListenError, match=r"publish\.traefik_http\.port"):
            await TRAEFIK_HTTP.publish(published.feed, published.ledger, settings)


def test_without_a_port_there_is_no_such_publisher() -> None:
    with pytest.raises(MissingSettingError, match=r"publish\.traefik_http\.port"):
        TRAEFIK_HTTP.check(Settings())


def acknowledged(published: Publishing) -> str | None:
    return published.ledger.proxy(PROXY).state.acknowledged


def problem(published: Publishing) -> str | None:
    return published.ledger.proxy(PROXY).state.problem
