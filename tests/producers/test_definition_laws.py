"""Whatever a file holds: it is a definition or has mistakes, each with a place; never a crash."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events import DeepCheck, HealthCheck, Tls
from producers.model_definitions.checked_definition import check_model_definition
from producers.model_definitions.model_definition import (
    Model,
    ModelDefinition,
    ModelMetadata,
    ModelService,
    PreStartAction,
    resolve_health_check,
)

KINDS = (ModelDefinition, Model, ModelService, ModelMetadata, PreStartAction)
KINDS_OF_CHECK = (HealthCheck, DeepCheck, Tls)
NAMES = sorted({name for kind in (*KINDS, *KINDS_OF_CHECK) for name in kind.__struct_fields__})

keys = st.sampled_from([*NAMES, *(name.replace("_", "-") for name in NAMES), "enable", "x-other"])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70_000),
    st.floats(),
    st.sampled_from(["", "/h", "h", "http", "tcp", "grpc", "yes", "200-299", "a b", "\x00", "5"]),
    st.text(max_size=5),
)
anything: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
health_checks = st.dictionaries(keys, anything, max_size=6) | anything
services = st.fixed_dictionaries({"port": st.just(80) | leaves, "health_check": health_checks})
models = st.fixed_dictionaries(
    {"name": st.just("m") | leaves, "service": services | anything}, optional={"metadata": anything}
)
definitions = st.fixed_dictionaries({"models": st.lists(models, max_size=3)}) | anything


@given(definitions)
@settings(deadline=None)
@example({"models": [{"name": "\U00010000", "service": {"port": "\U00010000"}}]})
def test_whatever_a_file_holds_is_a_definition_or_has_mistakes_with_places(content: object) -> None:
    read = check_model_definition(written(content), "file")
    assert (read.definition is None) == bool(read.mistakes)
    assert all(one.line is not None for one in (*read.mistakes, *read.warnings))
    for variant in ("custom", "vllm", "none-such"):
        resolve_health_check(variant, read.definition)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    read = check_model_definition(content, "file")
    assert (read.definition is None) == bool(read.mistakes)


@given(health_checks)
@settings(deadline=None)
def test_a_health_check_that_is_read_is_the_same_when_it_is_read_again(content: object) -> None:
    check = read_again(content)
    if check is not None:
        assert read_again(msgspec.to_builtins(check)) == check


def read_again(health_check: object) -> HealthCheck | None:
    service = {"port": 80, "health_check": health_check}
    content = written({"models": [{"name": "m", "service": service}]})
    definition = check_model_definition(content, "file").definition
    return None if definition is None else definition.health_check


def written(content: object) -> bytes:
    """Return *content* as JSON, which is YAML; with what JSON cannot say it is some other text."""
    return json.dumps(content).encode()
