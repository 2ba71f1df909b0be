"""Finds what contradicts itself in a model definition: it can be used, but not as it says."""

from collections.abc import Iterator

from events.catalogue.health_check import HealthCheck
from producers.model_definitions.model_definition import ModelDefinition

_DEFAULT = HealthCheck(path="/")

Contradiction = tuple[str, str]
"""The field that contradicts another one, and how."""


def contradictions_in(definition: ModelDefinition) -> Iterator[Contradiction]:
    """Yield what contradicts itself within a model, and what models contradict each other."""
    names: dict[str, int] = {}
    ports: dict[int, int] = {}
    deciding: int | None = None
    for number, model in enumerate(definition.models):
        place = f"models[{number}]"
        first = names.setdefault(model.name, number)
        if first != number:
            yield f"{place}.name", f"models[{first}] has the same name"
        if model.service is None:
            continue
        first = ports.setdefault(model.service.port, number)
        if first != number:
            yield f"{place}.service.port", f"models[{first}] listens at the same port"
        if model.service.health_check is None:
            continue
        check_place = f"{place}.service.health_check"
        for field, how in _in_health_check(model.service.health_check):
            yield f"{check_place}.{field}", how
        if deciding is not None:
            yield check_place, f"it is not used: that of models[{deciding}] comes first"
        deciding = number if deciding is None else deciding


def _in_health_check(check: HealthCheck) -> Iterator[Contradiction]:
    # Backend.AI's defaults themselves have a wait longer than the interval.
    times = (check.interval, check.max_wait_time)
    if check.max_wait_time > check.interval and times != (
        _DEFAULT.interval,
        _DEFAULT.max_wait_time,
    ):
        yield "max_wait_time", _longer_wait(check.max_wait_time, check.interval)
    if check.connect_timeout is not None and check.connect_timeout > check.max_wait_time:
        yield "connect_timeout", f"max_wait_time is shorter: {check.max_wait_time:g} s"
    if check.refused_retries is not None and check.refused_retries > check.max_retries:
        yield "refused_retries", f"max_retries is reached before: {check.max_retries}"
    if check.expected_status is not None and check.expected_status_code != 200:
        yield "expected_status_code", f"it is not used: expected_status is {check.expected_status}"
    if check.warm_up_time is not None and check.warm_up_time < check.grace_s:
        yield (
            "warm_up_time",
            f"the warm-up fails before the failures count, after {check.grace_s:g} s",
        )
    deep = check.deep
    if deep is not None and deep.max_wait_time > deep.interval:
        yield "deep.max_wait_time", _longer_wait(deep.max_wait_time, deep.interval)


def _longer_wait(wait_s: float, interval_s: float) -> str:
    return (
        f"the wait of {wait_s:g} s is longer than the interval of {interval_s:g} s: a probe that"
        " hangs delays the next one"
    )
