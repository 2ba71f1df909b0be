import base64
import doctest
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from time import time
from uuid import UUID

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketAttribute, SocketStream
from msgspec.structs import replace

from consumers.errors import ConsumersError, TryLaterError, UnprocessableError
from consumers.webhook import signature
from consumers.webhook.signature import is_signed, sign
from consumers.webhook.webhook import FailedRequestError, failure_of, open_webhook
from consumers.webhook.webhook_settings import WebhookSettings
from events.catalogue.model_service import ModelServiceStatusEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent
from tests.consumers.support.receiver import Call, Receiver, receiving, settings_of

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
TEXT_SECRET = "a secret of any text"  # noqa: S105 - of a test
ENDPOINT, ROUTE = UUID(int=0xE), UUID(int=0xA)
UNHEALTHY = ModelServiceStatusEvent(
    endpoint_id=ENDPOINT,
    route_id=ROUTE,
    new_status="unhealthy",
    reason="HTTP 503",
    observed_at=datetime(2026, 1, 31, 22, tzinfo=UTC),
    consecutive_failures=10,
)
RECORDED = RecordedEvent(
    EntryId(1_769_896_800_123, 7), 3, UNHEALTHY, "0190-an-id", "check er", Metadata()
)


async def answer_to(receiver: Receiver, answer: web.Response) -> ConsumersError | None:
    """Return how POSTing an event ends that is answered with *answer*."""

    async def answering(_: Call) -> web.Response:
        return answer

    receiver.answering = answering
    async with open_webhook(settings_of(receiver), "routestream") as webhook:
        try:
            await webhook(RECORDED)
        except ConsumersError as error:
            return error
    return None


async def test_an_event_is_posted_as_a_cloud_event(receiver: Receiver) -> None:
    async with open_webhook(settings_of(receiver, secret=SECRET), "my ns") as webhook:
        await webhook(RECORDED)

    [call] = receiver.calls
    assert call.path == "/hook"
    assert call.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert call.event == {
        "specversion": "1.0",
        "id": "0190-an-id",
        "source": "/my%20ns/check%20er",
        "type": "routestream.model_service_status_updated",
        "subject": str(ENDPOINT),
        "time": "2026-01-31T22:00:00.123+00:00",
        "datacontenttype": "application/json",
        "entryid": "1769896800123-7",
        "partition": 3,
        "dataversion": 1,
        "data": {
            "endpoint_id": str(ENDPOINT),
            "route_id": str(ROUTE),
            "session_id": None,
            "new_status": "unhealthy",
            "reason": "HTTP 503",
            "observed_at": "2026-01-31T22:00:00Z",
            "consecutive_failures": 10,
        },
    }
    assert all(name.isalnum() and name == name.lower() for name in call.event)


async def test_a_trace_is_passed_on_and_an_event_without_id_has_its_place_for_it(
    receiver: Receiver,
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = replace(RECORDED, event_id="\r\nX-Evil: 1", metadata=Metadata(traceparent=parent))
    async with open_webhook(settings_of(receiver, secret=SECRET), "routestream") as webhook:
        await webhook(traced)

    [call] = receiver.calls
    assert call.event["traceparent"] == parent
    assert call.event["id"] == call.headers["webhook-id"] == "3-1769896800123-7"
    assert "x-evil" not in call.headers


async def test_a_request_is_signed_with_every_secret(receiver: Receiver) -> None:
    settings = settings_of(receiver, secret=SECRET, secrets=(TEXT_SECRET,))
    async with open_webhook(settings, "routestream") as webhook:
        await webhook(RECORDED)

    [call] = receiver.calls
    at = call.headers["webhook-timestamp"]
    assert abs(int(at) - time()) < 10
    signed = f"0190-an-id.{at}.".encode() + call.body
    expected = [
        "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
        for key in (b"0123456789abcdef01234567", TEXT_SECRET.encode())
    ]
    assert call.headers["webhook-signature"].split(" ") == expected
    for secret in (SECRET, TEXT_SECRET):
        assert is_signed(call.body, call.headers, secret, time())


def test_the_signature_is_the_one_that_the_specification_shows() -> None:
    headers = sign(
        b'{"test": 2432232314}',
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("change", "secret", "now_s"),
    [
        ({}, "another secret here", 1_000),
        ({}, TEXT_SECRET, 1_301),
        ({}, TEXT_SECRET, 699),
        ({"webhook-id": "other"}, TEXT_SECRET, 1_000),
        ({"webhook-timestamp": "1001"}, TEXT_SECRET, 1_000),
        ({"webhook-timestamp": "²"}, TEXT_SECRET, 1_000),
        ({"webhook-timestamp": ""}, TEXT_SECRET, 1_000),
        ({"webhook-signature": ""}, TEXT_SECRET, 1_000),
        ({"webhook-signature": "v1,ÿ v2,x"}, TEXT_SECRET, 1_000),
    ],
)
def test_what_was_changed_or_is_old_is_not_taken(
    change: dict[str, str], secret: str, now_s: int
) -> None:
    headers = sign(b"{}", "an-id", 1_000, [TEXT_SECRET])

    assert is_signed(b"{}", headers, TEXT_SECRET, 1_000)
    assert not is_signed(b"{ }", headers, TEXT_SECRET, 1_000)
    assert not is_signed(b"{}", {**headers, **change}, secret, now_s)


def test_the_example_of_how_to_verify_holds() -> None:
    assert doctest.testmod(signature).failed == 0
    assert doctest.testmod(signature).attempted >= 3


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    error = await answer_to(receiver, web.Response(status=status, headers={"Location": "/other"}))

    assert isinstance(error, UnprocessableError)
    assert error.reason == f"http {status}"
    assert "redirects are not followed" in str(error)
    assert [call.path for call in receiver.calls] == ["/hook"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
async def test_a_refusal_is_final(receiver: Receiver, status: int) -> None:
    error = await answer_to(receiver, web.Response(status=status, text="not\n\nhere"))

    assert isinstance(error, UnprocessableError)
    assert (error.reason, str(error)) == (f"http {status}", f"HTTP {status}: not here")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_tried_again(receiver: Receiver, status: int) -> None:
    error = await answer_to(receiver, web.Response(status=status))

    assert isinstance(error, FailedRequestError)
    assert str(error) == f"HTTP {status}"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_success_is_one(receiver: Receiver, status: int) -> None:
    assert await answer_to(receiver, web.Response(status=status)) is None


@pytest.mark.parametrize(
    ("told", "after_s"),
    [("7", 7.0), (" 0 ", 0.0), ("86400", 300.0), ("9" * 400, 300.0)],
)
def test_a_receiver_says_how_long_to_wait_within_bounds(told: str, after_s: float) -> None:
    error = failure_of(429, {"Retry-After": told}, "")
    assert isinstance(error, TryLaterError)
    assert error.after_s == after_s


@pytest.mark.parametrize(("in_s", "least", "most"), [(60, 50, 61), (-60, 0, 0), (9_000, 300, 300)])
def test_a_receiver_can_name_a_time(in_s: int, least: float, most: float) -> None:
    at = datetime.now(UTC) + timedelta(seconds=in_s)
    error = failure_of(503, {"Retry-After": format_datetime(at, usegmt=True)}, "")
    assert isinstance(error, TryLaterError)
    assert least <= error.after_s <= most


@pytest.mark.parametrize("told", ["soon", "-5", "1.5", "²", "Wed, 99 Foo 2026 99:99:99 GMT"])
def test_a_wait_that_cannot_be_read_is_left_to_us(told: str) -> None:
    assert isinstance(failure_of(503, {"Retry-After": told}, ""), FailedRequestError)


async def test_of_a_long_answer_only_the_beginning_is_read(receiver: Receiver) -> None:
    error = await answer_to(receiver, web.Response(status=400, body=b"x" * 5_000_000))

    assert str(error) == "HTTP 400: " + "x" * 1_024


async def test_a_receiver_that_is_not_there_is_named_without_its_url() -> None:
    async with receiving() as gone:
        url = gone.url.replace("/hook", "/T0/very-secret")
    async with open_webhook(WebhookSettings(url=url), "routestream") as webhook:
        with pytest.raises(FailedRequestError, match="cannot connect: ") as caught:
            await webhook(RECORDED)
    assert "secret" not in str(caught.value)


async def test_what_is_no_http_is_a_failure() -> None:
    async def talk(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"220 mail ready\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
    settings = WebhookSettings(url=f"http://127.0.0.1:{port}/")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        async with open_webhook(settings, "routestream") as webhook:
            with pytest.raises(FailedRequestError, match="no valid HTTP"):
                await webhook(RECORDED)
        tasks.cancel_scope.cancel()
