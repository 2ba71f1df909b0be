"""Checks a model definition: finds every mistake in it at once, and what contradicts itself."""

from collections.abc import Iterator

import msgspec

from events.catalogue.health_check import HealthCheck
from events.plain_yaml import PlainYaml, UnreadableYamlError, parse_yaml
from producers.errors import InvalidModelDefinitionError
from producers.model_definitions.definition_reader import DefinitionProblem, DefinitionReader
from producers.model_definitions.model_definition import ModelDefinition


class CheckedDefinition(msgspec.Struct, frozen=True):
    """A model definition, and all that is wrong with it.

    Attributes:
        source: The file, or the address, that it was read from.
        definition: None where there is a mistake.
        mistakes: Why it cannot be used, in the order of the file.
        warnings: What means nothing in it, or contradicts itself.
        unused: The places of the keys that mean nothing here, but for those of metadata.
    """

    source: str
    definition: ModelDefinition | None
    mistakes: tuple[DefinitionProblem, ...] = ()
    warnings: tuple[DefinitionProblem, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def usable(self) -> ModelDefinition:
        """The definition.

        Raises:
            InvalidModelDefinitionError: There is a mistake; the message names the first.
        """
        if self.definition is not None:
            return self.definition
        first, *others = self.mistakes
        more = f"; {len(others)} more: `routestream model-definition check`" if others else ""
        raise InvalidModelDefinitionError(f"{self.source}: {first}{more}")


def check_model_definition(content: bytes, source: str) -> CheckedDefinition:
    """Read *content* as YAML 1.2, and find every mistake at once.

    A key may be written with hyphens or underscores. Null means the default. An unknown key is kept
    in `extra`, and is a warning.
    """
    try:
        plain = parse_yaml(content)
    except UnreadableYamlError as error:
        place = error.place
        line, column = (None, None) if place is None else place
        mistake = DefinitionProblem("mistake", "", error.problem, line, column)
        return CheckedDefinition(source, None, (mistake,))
    return _checked(plain, source)


def _checked(plain: PlainYaml, source: str) -> CheckedDefinition:
    reader = DefinitionReader(plain.places)
    definition = reader.part(plain.content, ModelDefinition, "")
    warnings = [reader.problem("warning", field, "it is not used here") for field in reader.unused]
    if definition is not None:
        warnings += [
            reader.problem("warning", field, problem)
            for field, problem in contradictions_in(definition)
        ]
    return CheckedDefinition(
        source,
        definition,
        mistakes=_in_order(reader.mistakes),
        warnings=_in_order(warnings),
        unused=tuple(reader.unused),
    )


def _in_order(problems: list[DefinitionProblem]) -> tuple[DefinitionProblem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0)))


def contradictions_in(definition: ModelDefinition) -> Iterator[tuple[str, str]]:
    """Yield each field that contradicts another, and how."""
    names: dict[str, int] = {}
    ports: dict[int, int] = {}
    decides: int | None = None
    for number, model in enumerate(definition.models):
        place = f"models[{number}]"
        first = names.setdefault(model.name, number)
        if first != number:
            yield f"{place}.name", f"models[{first}] has the name {model.name!r}, too"
        if model.service is None:
            continue
        first = ports.setdefault(model.service.port, number)
        if first != number:
            yield (
                f"{place}.service.port",
                f"models[{first}] listens at port {model.service.port}, too",
            )
        if model.service.health_check is None:
            continue
        at = f"{place}.service.health_check"
        yield from ((f"{at}.{name}", how) for name, how in _of_check(model.service.health_check))
        if decides is not None:
            yield at, f"it is not used: that of models[{decides}] comes first"
        decides = number if decides is None else decides


def _of_check(check: HealthCheck) -> Iterator[tuple[str, str]]:
    if check.max_wait_time > check.interval:
        wait = (
            f"the wait of {check.max_wait_time:g} s is longer than the interval of"
            f" {check.interval:g} s: a probe that hangs delays the next one"
        )
        yield "max_wait_time", wait
