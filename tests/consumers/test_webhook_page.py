"""What docs/webhook.md shows is what is sent, how it is verified, and what can be set."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

import msgspec
import yaml

from consumers.webhook.cloud_event import cloud_event
from consumers.webhook.signature import sign
from consumers.webhook.webhook_settings import WebhookSettings
from events.catalogue.model_service import ModelServiceStatusEvent
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent

PAGE = (Path(__file__).parents[2] / "docs" / "webhook.md").read_text()


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


RECORDED = RecordedEvent(
    EntryId(1_769_896_800_123, 7),
    0,
    ModelServiceStatusEvent(
        endpoint_id=UUID("6f1d7a52-5a43-4a1c-9a55-0d1f3c1b7e11"),
        route_id=UUID("c0ffee00-0000-4000-8000-00000000000a"),
        new_status="unhealthy",
        reason="HTTP 503",
        observed_at=datetime(2026, 1, 31, 22, tzinfo=UTC),
        consecutive_failures=10,
    ),
    "019c15d5-917b-7a60-8b9d-2f7f6f0c3f11",
    "checker",
    Metadata(),
)


def test_the_event_that_is_shown_is_the_one_that_is_sent() -> None:
    assert json.loads(cloud_event(RECORDED, "routestream")) == json.loads(block("json"))


def test_the_receiver_that_is_shown_takes_ours_and_nothing_else() -> None:
    given: dict[str, Any] = {}
    exec(block("python"), given)  # noqa: S102 - our own page
    is_ours = given["is_ours"]
    secret = yaml.safe_load(block("yaml"))["webhook"]["secret"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    body, now_s = cloud_event(RECORDED, "routestream"), int(time())
    headers = sign(body, RECORDED.event_id, now_s, ["another one of 21 chars", secret])

    assert is_ours(body, headers, key)
    assert not is_ours(body + b" ", headers, key)
    assert not is_ours(body, headers, b"another key")
    assert not is_ours(body, sign(body, RECORDED.event_id, now_s - 400, [secret]), key)


def test_the_settings_that_are_shown_are_the_ones_there_are() -> None:
    shown = yaml.safe_load(block("yaml"))["webhook"]

    settings = msgspec.convert(shown, WebhookSettings)

    default = WebhookSettings(url=settings.url, secret=settings.secret)
    assert settings == default
