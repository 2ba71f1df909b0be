from typing import Any

import pytest

from consumers.publishers.backend_ai.publisher import missing_setting
from consumers.publishers.backend_ai.settings import BackendAISettings
from consumers.publishers.settings import PublishSettings
from consumers.settings import Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("coordinator_url", "coordinator:10200"),
        ("coordinator_url", "ftp://coordinator"),
        ("coordinator_url", "http://somebody:hidden@coordinator"),
        ("coordinator_url", "http://coordinator/?token=hidden"),
        ("token", "two\r\nlines"),
        ("project", "ours"),
        ("user", "me"),
        ("redis_url", "http://:hidden@redis"),
        ("placeholder", "nowhere"),
        ("placeholder", "host:0"),
        ("redis_url", "redis://redis/3"),
        ("expiry_s", 1),
        ("expiry_s", 89),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(setting: str, value: object) -> None:
    given: dict[str, Any] = {setting: value}
    with pytest.raises(ValueError, match=f"^{setting}|Redis URL") as refused:
        BackendAISettings(**given)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, "publish.backend_ai.coordinator_url"),
        ({"coordinator_url": "http://one"}, "publish.backend_ai.token"),
        ({"form": "handoff"}, "publish.backend_ai.redis_url"),
        ({"form": "handoff", "redis_url": "redis://one"}, None),
        ({"coordinator_url": "http://one", "token": "known"}, None),
    ],
)
def test_the_setting_that_a_form_needs_is_named(given: dict[str, Any], needed: str | None) -> None:
    settings = Settings(publish=PublishSettings(backend_ai=BackendAISettings(**given)))
    problem = missing_setting(settings)
    assert problem is None if needed is None else problem is not None and needed in problem


def test_the_token_is_not_shown() -> None:
    assert "hidden" not in repr(BackendAISettings(token="hidden"))  # noqa: S106 - it is the test
