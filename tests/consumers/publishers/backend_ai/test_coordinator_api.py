"""What is made of a coordinator's answers, whichever it gives."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from consumers.errors import UnreachableProxyError
from consumers.publishers.backend_ai.bulk_request import Deletion, creation_of
from consumers.publishers.backend_ai.coordinator_api import (
    ITEMS_MAX,
    CoordinatorApi,
    open_coordinator,
)
from consumers.publishers.backend_ai.settings import BackendAISettings
from tests.consumers.publishers.support.appproxy_snapshots import E, endpoint

Answer = Callable[[list[str]], web.Response]

ITEMS = [Deletion(UUID(int=number)) for number in range(1, 2 * ITEMS_MAX + 2)]


class Coordinator:
    """A server that answers as a test wants, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    async def make_one(self, request: web.Request) -> web.Response:
        self.asked.append([request.match_info["endpoint_id"]])
        self.bodies.append(await request.read())
        return web.json_response({}, status=404 if request.method == "DELETE" else 200)

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        asked = [item["deployment_id"] for item in json.loads(self.bodies[-1])["endpoints"]]
        self.asked.append(asked)
        self.headers.append(dict(request.headers))
        return self._answer(asked)


@asynccontextmanager
async def coordinator(answer: Answer) -> AsyncIterator[tuple[Coordinator, CoordinatorApi]]:
    served = Coordinator(answer)
    app = web.Application()
    app.router.add_route("*", "/v2/endpoints/bulk", served.handle)
    app.router.add_route("*", "/v2/endpoints/{endpoint_id}", served.make_one)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    settings = BackendAISettings(coordinator_url=url, token="known")  # noqa: S106 - of the test
    try:
        async with open_coordinator(settings) as api:
            yield served, api
    finally:
        await runner.cleanup()


def results(asked: Sequence[str], **failed: str) -> web.Response:
    answers: list[dict[str, Any]] = [
        {"deployment_id": one, "success": one not in failed, "error": failed.get(one)}
        for one in asked
    ]
    return web.json_response({"endpoints": answers})


async def test_all_items_are_sent_in_requests_of_a_bounded_size() -> None:
    async with coordinator(results) as (served, api):
        assert await api.bulk("DELETE", "/bulk", ITEMS, "5-0") == {}
    assert [len(asked) for asked in served.asked] == [ITEMS_MAX, ITEMS_MAX, 1]
    assert [one for asked in served.asked for one in asked] == [
        str(item.deployment_id) for item in ITEMS
    ]
    assert served.headers[0]["X-BackendAI-Token"] == "known"
    assert served.headers[0]["X-Routestream-Revision"] == "5-0"


async def test_an_item_that_is_refused_is_named_with_its_reason() -> None:
    broken = ITEMS[3].deployment_id
    async with coordinator(lambda asked: results(asked, **{str(broken): "it is broken"})) as (
        _,
        api,
    ):
        refused = await api.bulk("DELETE", "/bulk", ITEMS[:9], "5-0")
    assert refused == {broken: "it is broken"}


@pytest.mark.parametrize("status", [400, 500, 503])
async def test_an_item_for_which_the_whole_request_is_refused_is_found(status: int) -> None:
    broken = ITEMS[60].deployment_id

    def answer(asked: list[str]) -> web.Response:
        if str(broken) in asked:
            return web.json_response({"title": "no", "msg": "too odd"}, status=status)
        return results(asked)

    async with coordinator(answer) as (served, api):
        refused = await api.bulk("DELETE", "/bulk", ITEMS, "5-0")
    assert refused == {broken: f"HTTP {status}: too odd"}
    assert len(served.asked) < 20


async def test_many_that_are_to_blame_take_a_bounded_number_of_requests() -> None:
    async with coordinator(lambda _: web.Response(status=400, text="none of them")) as (
        served,
        api,
    ):
        refused = await api.bulk("DELETE", "/bulk", ITEMS, "5-0")
    assert refused.keys() == {item.deployment_id for item in ITEMS}
    assert len(served.asked) < 60


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (500, "down", "HTTP 500: down"),
        (401, "", "publish.backend_ai.token"),
        (404, "", "publish.backend_ai.form to handoff"),
        (200, "<html>", "is none of a coordinator"),
    ],
)
async def test_a_coordinator_that_can_do_nothing_is_told_apart(
    status: int, text: str, told: str
) -> None:
    async with coordinator(lambda _: web.Response(status=status, text=text)) as (_, api):
        with pytest.raises(UnreachableProxyError, match=told):
            await api.bulk("DELETE", "/bulk", ITEMS[:1], "5-0")


async def test_a_coordinator_that_is_away_is_named() -> None:
    settings = BackendAISettings(coordinator_url="http://127.0.0.1:9", token="t")  # noqa: S106
    async with open_coordinator(settings) as api:
        with pytest.raises(UnreachableProxyError, match="the coordinator cannot be reached"):
            await api.bulk("DELETE", "/bulk", ITEMS[:1], "5-0")


async def test_an_answer_that_leaves_an_item_out_leaves_it_refused() -> None:
    async with coordinator(lambda asked: results(asked[1:])) as (_, api):
        refused = await api.bulk("DELETE", "/bulk", ITEMS[:3], "5-0")
    assert list(refused) == [ITEMS[0].deployment_id]


@pytest.mark.parametrize(
    ("variant", "said"), [("vllm", b"vllm"), ("sglang", b"custom"), ("ours", b"custom")]
)
async def test_one_endpoint_is_made_by_these_bytes_where_there_is_no_bulk_api(
    variant: str, said: bytes
) -> None:
    settings = BackendAISettings(
        project="00000000-0000-4000-8000-0000000000c1", user="00000000-0000-4000-8000-0000000000d1"
    )
    creation = creation_of(endpoint(open_to_public=True, runtime_variant=variant), settings)
    async with coordinator(results) as (served, api):
        await api.create_one(creation, "5-0")
    assert served.asked == [[str(E)]]
    assert served.bodies == [
        b'{"version":"v2","service_name":"chat","tags":{"session":{'
        b'"user_uuid":"00000000-0000-4000-8000-0000000000d1",'
        b'"group_id":"00000000-0000-4000-8000-0000000000c1","domain_name":"default"},'
        b'"endpoint":{"id":"00000000-0000-4000-8000-0000000000e1",'
        b'"runtime_variant":"' + said + b'",'
        b'"existing_url":null}},"open_to_public":true,"health_check":null}'
    ]


async def test_an_endpoint_that_is_not_there_counts_as_deleted() -> None:
    async with coordinator(results) as (served, api):
        await api.delete_one(E, "5-0")
    assert served.asked == [[str(E)]]
