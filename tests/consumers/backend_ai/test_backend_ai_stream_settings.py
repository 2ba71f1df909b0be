from pathlib import Path

import pytest

from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.cli.consume import groups_to_run
from consumers.errors import MissingSettingError
from consumers.settings import Settings, read_settings, settings_in_force


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://:s@h:6380/",
        "redis://h?socket_timeout=1",
        "unix:///run/redis.sock",
        "unix://:s@/run/redis.sock?socket_timeout=1",
    ],
)
def test_both_databases_are_reached_by_one_url(url: str) -> None:
    settings = BackendAIStreamSettings(url=url)
    stream = settings.server_of(settings.stream_database).server_url
    live = settings.server_of(settings.live_database).server_url

    assert (stream.database, live.database) == (4, 2)
    assert stream.hosts == live.hosts
    assert stream.password == ("s" if ":s@" in url else None)
    assert stream.options.socket_timeout == (1 if "timeout" in url else None)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"url": "redis://h/4"}, "url names a database; give stream_database and live_database"),
        ({"url": "http://h"}, "no scheme that can be used"),
        ({"group": "manager"}, "group is 'manager', which is Backend.AI's own; choose another"),
        ({"stream_database": -1}, "stream_database must be at least 0, got -1"),
        ({"stream": ""}, "stream"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BackendAIStreamSettings(**given)  # type: ignore[arg-type]


def test_without_a_url_one_sentence_says_what_to_set() -> None:
    with pytest.raises(
        MissingSettingError, match=r"set backend_ai\.url or ROUTESTREAM_BACKEND_AI_URL"
    ):
        groups_to_run("backend-ai", Settings())


def test_all_groups_run_it_once_it_has_a_url() -> None:
    settings = Settings(backend_ai=BackendAIStreamSettings(url="redis://h"))

    assert "backend-ai" in groups_to_run(None, settings)
    assert "backend-ai" not in groups_to_run(None, Settings())


def test_a_file_and_the_environment_set_it_and_the_password_is_masked(tmp_path: Path) -> None:
    file = tmp_path / "routestream.yaml"
    file.write_text("backend_ai:\n  stream_database: 14\n")
    settings = read_settings(file, {"ROUTESTREAM_BACKEND_AI_URL": "redis://:very-secret@h"})

    assert settings.backend_ai.server_of(14).url == "redis://:very-secret@h?db=14"
    shown = {one.setting: one.value for one in settings_in_force(settings, {})}
    assert shown["backend_ai.url"] == "redis://:***@h:6379"
