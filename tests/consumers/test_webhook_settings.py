import subprocess
from pathlib import Path

import pytest

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.processes.supervisor import routestream_command
from consumers.settings import InvalidSettingsError, Settings, read_settings
from consumers.shipped import GROUPS, set_up_groups
from consumers.webhook.webhook_settings import WebhookSettings

URL = "https://chat.example/hooks/T0/very-secret-part"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("url: ftp://host/very-secret", "url cannot be used"),
        ("url: https:///very-secret", "url cannot be used"),
        ("url: 'http://host:99999/very-secret'", "url cannot be used"),
        ("url: very-secret", "url cannot be used"),
        ("secret: very-secret", "secret: it has 11 bytes, the least is 16"),
        ("secret: whsec_very-secret", "secret: what follows whsec_ is not base64"),
        ("secrets: [very-secret]", "secrets: it has 11 bytes, the least is 16"),
        ("secrets: ['']", "secrets: it has 0 bytes"),
        ("secrets: [a, b, c, d, e, f]", "webhook.secrets must have a length of at most 5, got 6"),
        ("events: []", "events are none"),
        ("events: [endpoint_crated]", "events has 'endpoint_crated', allowed are endpoint_created"),
        ("deadline_s: 0", "webhook.deadline_s must be at least 0.001, got 0"),
        ("policy: {first_s: -1}", "webhook.policy.first_s must be at least 0.001, got -1"),
        ("policy: {most_s: 4000}", "webhook.policy.most_s must be at most 3600, got 4000"),
        (
            "policy: {first_s: 61}",
            "webhook.policy: first_s must be at most most_s (60.0), got 61",
        ),
        ("concurrency: 0", "webhook.concurrency must be at least 1, got 0"),
        ("held_max: 5001", "webhook.held_max must be at most 5000, got 5001"),
        ("policy: {tries_max: 0}", "webhook.policy.tries_max must be at least 1, got 0"),
        ("unseen_max: 0", "webhook.unseen_max must be at least 1, got 0"),
        ("lease_ms: 99", "webhook.lease_ms must be at least 100, got 99"),
        ("block_ms: 0", "webhook.block_ms must be at least 10, got 0"),
        ("timeout: 1", "webhook.timeout is not known"),
        ("concurrency: many", "webhook.concurrency"),
    ],
)
def test_a_bad_setting_is_named_and_no_secret_shown(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"webhook: {{{text}}}")

    with pytest.raises(InvalidSettingsError, match="webhook") as caught:
        read_settings(path, {})
    assert told in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_the_environment_sets_it_up() -> None:
    found = read_settings(
        None,
        {
            "ROUTESTREAM_WEBHOOK_URL": URL,
            "ROUTESTREAM_WEBHOOK_SECRET": "0123456789abcdef",
            "ROUTESTREAM_WEBHOOK_CONCURRENCY": "3",
        },
    ).webhook
    assert (found.url, found.all_secrets, found.concurrency) == (URL, ("0123456789abcdef",), 3)


def test_neither_url_nor_secret_is_shown() -> None:
    settings = Settings(webhook=WebhookSettings(url=URL, secret="0123456789abcdef"))  # noqa: S106

    assert "very-secret" not in repr(settings)
    assert "0123456789abcdef" not in repr(settings)
    assert "https://chat.example" in repr(settings)


def test_all_groups_but_those_that_are_not_set_up_run() -> None:
    assert set(GROUPS) - set(set_up_groups(Settings())) == {"webhook", "backend-ai"}
    settings = Settings(
        webhook=WebhookSettings(url=URL),
        backend_ai=BackendAIStreamSettings(url="redis://127.0.0.1"),
    )
    assert set_up_groups(settings) == list(GROUPS)


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_webhook_without_a_url_is_a_usage_error(
    redis_url: str, processes: tuple[str, ...]
) -> None:
    command = routestream_command("--url", redis_url, "consume", "webhook", *processes)
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "Error: the group webhook needs a URL: set webhook.url or ROUTESTREAM_WEBHOOK_URL\n"
    )
