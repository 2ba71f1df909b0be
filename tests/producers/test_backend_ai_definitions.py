"""Model definitions that Backend.AI reads are read, and an error shows none of their secrets."""

import pytest

from events.catalogue.health_check import HealthCheck
from producers.errors import InvalidModelDefinitionError
from producers.model_definitions.model_definition import resolve_health_check
from tests.producers.test_model_definition import checked, definition_of, with_health_check


def test_keys_that_mean_nothing_here_are_kept_and_named() -> None:
    read = checked(
        """
        x-anchors: {a: &check {enable: true, retry-in: 5}}
        models:
          - name: m
            info: {author: somebody}
            metadata: {an-extra: 1}
            service:
              port: 80
              command: python serve.py
              environ: {TOKEN: secret}
              pre_start_actions: [{action: a, args: {b: 1}, c: 2}]
              health_check: {<<: *check, path: /h}
        """
    )
    [model] = read.usable.models
    assert read.unused == (
        "x-anchors",
        "models[0].info",
        "models[0].service.command",
        "models[0].service.environ",
        "models[0].service.pre_start_actions[0].c",
        "models[0].service.health_check.retry_in",
    )
    assert model.extra == {"info": {"author": "somebody"}}
    assert model.metadata is not None
    assert model.metadata.extra == {"an-extra": 1}
    assert model.service is not None
    assert model.service.extra["command"] == "python serve.py"
    assert model.service.extra["health_check"] == {"retry_in": 5}
    assert model.service.health_check == HealthCheck(path="/h")


def test_what_is_not_given_has_its_default() -> None:
    [model] = definition_of("models: [{name: m, service: {port: 80}}]").models
    assert (model.model_path, model.service and model.service.health_check) == (None, None)
    definition = definition_of(with_health_check("{enable: true}"))
    assert resolve_health_check("custom", definition) == HealthCheck(path="/health")
    definition = definition_of(with_health_check("{interval: 5}"))
    assert resolve_health_check("custom", definition) == HealthCheck(path="/health", interval=5)


@pytest.mark.parametrize(
    ("block", "check"),
    [
        ("{path: v1/models}", HealthCheck(path="/v1/models")),
        ("{path: ''}", HealthCheck(path="/")),
        ("{path: /h, interval: '5'}", HealthCheck(path="/h", interval=5)),
        ("{path: /h, max_retries: 3.0}", HealthCheck(path="/h", max_retries=3)),
        ("{path: /h, max_retries: '3'}", HealthCheck(path="/h", max_retries=3)),
        ("{path: /h, max_retries: 010}", HealthCheck(path="/h", max_retries=10)),
        ("{path: /h, interval: 1e1}", HealthCheck(path="/h", interval=10)),
        ("{path: /h, enable: yes}", HealthCheck(path="/h")),
        ("{path: /h, enable: 'off'}", None),
    ],
)
def test_a_path_a_number_and_a_word_may_be_written_as_there(
    block: str, check: HealthCheck | None
) -> None:
    assert resolve_health_check("custom", definition_of(with_health_check(block))) == check


@pytest.mark.parametrize("port", ["'8000'", "8000.0"])
def test_a_port_may_be_quoted_or_integral(port: str) -> None:
    [model] = definition_of(f"models: [{{name: m, service: {{port: {port}}}}}]").models
    assert model.service is not None
    assert model.service.port == 8000


@pytest.mark.parametrize(
    "text",
    [
        "models: [{name: m, service: {start_command: [serve, --key, SECRET]}, port: 80}]",
        "models: [{name: m, service: {port: 80, start_command: {a: SECRET}}}]",
        "models: [{name: m, service: [SECRET]}]",
        "models: {token: SECRET}",
        "models: [{name: m, token: SECRET, service: {port: x, environ: {a: SECRET}}}]",
        "models: [{name: m, service: {port: 80, health_check: {path: 5, token: SECRET}}}]",
        "[SECRET]",
        "models: [{name: m, token: SECRET",
        "token: SECRET\n\tmodels: []",
    ],
)
def test_an_error_shows_no_more_of_the_file_than_the_field_that_it_names(text: str) -> None:
    with pytest.raises(InvalidModelDefinitionError, match=r"^\S+: ") as raised:
        definition_of(text)
    assert "SECRET" not in str(raised.value)
