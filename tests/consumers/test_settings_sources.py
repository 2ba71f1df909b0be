"""Where settings come from: what is wrong is told with its place, and no secret is shown."""

import json
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest

from consumers.settings import (
    InvalidSettingsError,
    Settings,
    read_settings,
    read_with_sources,
    settings_in_force,
)

SECRET = "hunter2-secret-of-16"  # noqa: S105 - of nobody


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "namspace: a",
            "setting namspace is not known; did you mean namespace? (FILE, line 1, column 1)",
        ),
        (
            "consumer:\n  claimidle_ms: 5",
            "not known; did you mean consumer.claim_idle_ms? (FILE, line 2, column 3)",
        ),
        ("consumer: {claim-idle-ms: 5}", "did you mean consumer.claim_idle_ms? (FILE, line 1"),
        ("x: 1", "setting x is not known; docs/settings.md lists them (FILE, line 1, column 1)"),
        (
            "consumer:\n  block_ms: soon",
            "setting consumer.block_ms must be a whole number, got text (FILE, line 2, column 3)",
        ),
        ("consumer:\n  block_ms:", "consumer.block_ms must be a whole number, got null (FILE, "),
        ("metrics: {enabled: yes}", "metrics.enabled must be true or false, got text (FILE, line"),
        ("server: 5", "setting server must be fields by name, got a whole number (FILE, line 1"),
        ("server: {url: 'redis://h/x'}", "is no database; it is a number from 0 to 65535: "),
        ("webhook:\n  events: [a, 5]", "setting webhook.events[1] must be text, got a whole"),
        ("a: b: c", "FILE: line 1, column 5: mapping values are not allowed here"),
        ("a: 1\na: 2", "FILE: line 2, column 1: the key 'a' is given twice, the limit is once"),
        ("- a", "FILE: expected settings by name, found something else"),
        ("1: 2", "setting"),
        (f"webhook: {{secret: {SECRET}, url: 5}}", "setting webhook.url must be text, got a whole"),
        (f"webhook: {{secret: {SECRET}\n  url: b", "FILE: line 2, column 6: "),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place(
    tmp_path: Path, text: str, told: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidSettingsError) as raised:
        read_settings(file, {})
    assert told in str(raised.value).replace(str(file), "FILE")
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_variable_that_is_no_setting_is_refused_with_what_was_meant() -> None:
    told = r"^ROUTESTREAM_CONSUMER_CLAIMIDLE_MS is no setting; did you mean ROUTESTREAM_CONSUMER_CL"
    with pytest.raises(InvalidSettingsError, match=told):
        read_settings(None, {"ROUTESTREAM_CONSUMER_CLAIMIDLE_MS": "5"})


def test_what_kubernetes_tells_of_a_service_of_our_name_is_no_setting() -> None:
    links = {
        "ROUTESTREAM_SERVICE_HOST": "10.0.0.1",
        "ROUTESTREAM_SERVICE_PORT": "9464",
        "ROUTESTREAM_SERVICE_PORT_METRICS": "9464",
        "ROUTESTREAM_PORT": "tcp://10.0.0.1:9464",
        "ROUTESTREAM_PORT_9464_TCP": "tcp://10.0.0.1:9464",
        "ROUTESTREAM_PORT_9464_TCP_PROTO": "tcp",
        "ROUTESTREAM_PORT_9464_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings(None, links) == Settings()
    with pytest.raises(InvalidSettingsError, match="ROUTESTREAM_METRIC_PORT is no setting"):
        read_settings(None, {"ROUTESTREAM_METRIC_PORT": "9464"})


@pytest.mark.parametrize("variable", ["REDIS_URL", "ROUTESTREAM_NAMESPACE"])
def test_a_variable_that_is_no_text_is_refused(variable: str) -> None:
    with pytest.raises(InvalidSettingsError, match=f"^{variable} has bytes that are no UTF-8$"):
        read_settings(None, {variable: "redis://\udcff"})


@pytest.mark.parametrize(
    ("text", "environment", "source"),
    [
        ("", {"REDIS_URL": "redis://host/prod"}, "REDIS_URL"),
        ("", {"ROUTESTREAM_SERVER_URL": "redis://host/prod"}, "ROUTESTREAM_SERVER_URL"),
        ("server: {url: 'redis://host/prod'}", {"REDIS_URL": "redis://host"}, "FILE, line 1, col"),
    ],
)
def test_what_breaks_a_rule_of_a_part_is_told_with_what_was_set_of_it(
    tmp_path: Path, text: str, environment: dict[str, str], source: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidSettingsError, match="no database") as raised:
        read_settings(file, environment)
    assert f" ({source}" in str(raised.value).replace(str(file), "FILE")


def test_a_part_without_settings_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "consumer:\nserver:\n"), {"REDIS_URL": "redis://h"})
    assert settings.server.url == "redis://h"
    assert settings.consumer == Settings().consumer


def test_the_settings_in_force_are_shown_with_their_sources_and_without_secrets(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path,
        f"webhook:\n  url: https://user:{SECRET}@hooks.example:8443/{SECRET}?token={SECRET}\n"
        f"  secret: {SECRET}\n  secrets: [{SECRET}a, {SECRET}b]\n",
    )
    environment = {
        "REDIS_URL": f"redis://user:{SECRET}@host/2?client_name=proxy",
        "ROUTESTREAM_CONSUMER_BLOCK_MS": "100",
        "ROUTESTREAM_NAMESPACE": "test",
    }
    read = read_with_sources(file, environment, {"ROUTESTREAM_NAMESPACE": "--namespace"})
    shown = {row.setting: (row.value, row.source) for row in settings_in_force(*read)}

    assert SECRET not in repr(shown)
    assert shown["server.url"] == ("redis://user:***@host:6379/2?client_name=proxy", "REDIS_URL")
    assert shown["webhook.url"] == ("https://hooks.example:8443/***", f"{file}, line 2, column 3")
    assert shown["webhook.secrets"] == (("***", "***"), f"{file}, line 4, column 3")
    assert shown["consumer.block_ms"] == (100, "ROUTESTREAM_CONSUMER_BLOCK_MS")
    assert shown["namespace"] == ("test", "--namespace")
    assert shown["consumer.policy.tries_max"] == (5, "default")


WITHOUT_LOGIN = {
    "archive.location",
    "archive.endpoint_url",
    "publish.backend_ai.coordinator_url",
    "publish.router.routers",
}
"""They refuse a login, and hold no other secret."""


@pytest.mark.parametrize(
    "setting",
    [
        f"location: 's3://key:{SECRET}@bucket/prefix'",
        f"endpoint_url: 'https://key:{SECRET}@storage'",
        f"endpoint_url: 'storage/{SECRET}'",
        f"endpoint_url: 'https://storage:{SECRET}'",
    ],
)
def test_a_login_of_the_archive_is_refused_and_not_shown(tmp_path: Path, setting: str) -> None:
    with pytest.raises(InvalidSettingsError, match=r"^setting archive: ") as raised:
        read_settings(written(tmp_path, f"archive: {{{setting}}}"), {})
    assert SECRET not in str(raised.value)


def test_every_setting_that_may_hold_a_secret_has_its_mask() -> None:
    rows = settings_in_force(Settings(), {})
    parts = (
        *("url", "apis", "secret", "secrets", "password", "token", "key", "location"),
        *("sentinels", "admins", "routers"),
    )
    masked = {row.setting for row in rows if is_masked(row.setting)}
    assert {row.setting for row in rows if row.setting.endswith(parts)} == masked | WITHOUT_LOGIN


def is_masked(setting: str) -> bool:
    *parts, field = setting.split(".")
    return field in reduce(getattr, parts, Settings()).SECRETS


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_the_command_shows_them_without_a_server(tmp_path: Path, form: str) -> None:
    file = written(tmp_path, "reader:\n  audit_s: 9\n")
    url = ("--url", f"redis://:{SECRET}@127.0.0.1:1")
    command = [sys.executable, "-m", "consumers", *url, "--config", str(file), "config"]
    result = subprocess.run(
        [*command, "show", "-o", form], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert SECRET not in result.stdout
    if form == "table":
        assert any(
            line.split(maxsplit=2) == ["reader.audit_s", "9.0", f"{file}, line 2, column 3"]
            for line in result.stdout.splitlines()
        )
        return
    lines = result.stdout.splitlines()
    rows = json.loads(result.stdout) if form == "json" else [json.loads(line) for line in lines]
    shown = {row["setting"]: row for row in rows}
    assert shown["server.url"]["value"] == "redis://:***@127.0.0.1:1"
    assert shown["server.url"]["source"] == "--url"
    assert shown["reader.audit_s"]["value"] == 9
    assert shown["webhook.events"]["source"] == "default"
