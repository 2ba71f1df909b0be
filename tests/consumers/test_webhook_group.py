from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from consumers.webhook.webhook_group import WEBHOOK, webhook_consumers
from consumers.webhook.webhook_settings import WebhookSettings
from events.log.log import EventLog
from tests.consumers.support.handler_group import handling_with, until_owned
from tests.consumers.support.receiver import Call, Receiver, settings_of
from tests.support.running_consumer import created, dead_letters, fill, until_dead, until_settled


@asynccontextmanager
async def webhook_runs(log: EventLog, settings: WebhookSettings) -> AsyncIterator[None]:
    async with webhook_consumers(log, "first", settings) as members, handling_with(*members):
        await until_owned(log, "first", WEBHOOK)
        yield


async def test_the_group_posts_chosen_events_from_now_on_each_once(
    log: EventLog, receiver: Receiver
) -> None:
    await fill(log, endpoints=1)
    async with webhook_runs(log, settings_of(receiver, events=("endpoint_created",))):
        new = await fill(log, endpoints=4)
        await until_settled(log, WEBHOOK)

    assert [call.event["type"] for call in receiver.calls] == ["routestream.endpoint_created"] * 4
    assert {call.endpoint_id for call in receiver.calls} == set(new)


async def test_an_event_that_is_tried_again_keeps_its_id(log: EventLog, receiver: Receiver) -> None:
    answers = [web.Response(status=503), web.Response(status=429), web.Response(status=200)]

    async def answering(_: Call) -> web.Response:
        return answers[len(receiver.calls) - 1]

    receiver.answering = answering
    async with webhook_runs(log, settings_of(receiver)):
        appended = await log.append(created())
        await until_settled(log, WEBHOOK)

    assert receiver.times(appended.entry_ids[0]) == 3
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert await dead_letters(log, WEBHOOK) == []


async def test_a_refused_event_is_a_dead_letter_at_once_and_an_unlucky_one_after_its_tries(
    log: EventLog, receiver: Receiver
) -> None:
    refused, unlucky, moved, welcome = (created() for _ in range(4))
    answers = {refused.endpoint_id: 404, unlucky.endpoint_id: 500, moved.endpoint_id: 302}

    async def answering(call: Call) -> web.Response:
        return web.Response(status=answers.get(call.endpoint_id, 204), text="because")

    receiver.answering = answering
    async with webhook_runs(log, settings_of(receiver)):
        ids = (await log.append(refused, unlucky, moved, welcome)).entry_ids
        await until_settled(log, WEBHOOK)

    dead = {one.original.entry_id: one for one in await until_dead(log, 3, WEBHOOK)}
    assert {entry_id: one.reason for entry_id, one in dead.items()} == {
        ids[0]: "http 404",
        ids[1]: "failed 3 times",
        ids[2]: "http 302",
    }
    assert dead[ids[0]].error == "HTTP 404: because"
    assert dead[ids[1]].error == "FailedRequestError: HTTP 500: because"
    assert [receiver.times(one) for one in ids] == [1, 3, 1, 1]
    assert receiver.answered == [ids[3]]


async def test_a_receiver_that_asks_for_time_gets_it(log: EventLog, receiver: Receiver) -> None:
    at: list[float] = []

    async def answering(_: Call) -> web.Response | None:
        at.append(anyio.current_time())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(at) == 1 else None

    receiver.answering = answering
    async with webhook_runs(log, settings_of(receiver)):
        await log.append(created())
        await until_settled(log, WEBHOOK)
    assert at[1] - at[0] >= 0.9


async def test_a_receiver_that_hangs_is_left_after_the_deadline(
    log: EventLog, receiver: Receiver
) -> None:
    async def answering(_: Call) -> None:
        await anyio.sleep_forever()

    receiver.answering = answering
    async with webhook_runs(log, settings_of(receiver, deadline_s=0.1)):
        await log.append(created())
        [dead] = await until_dead(log, 1, WEBHOOK)
    assert dead.error == "TimeoutError: no end within 0.1 s"
    assert len(receiver.calls) == 3
