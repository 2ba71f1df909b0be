"""Checks a model definition: finds every mistake in it at once, and what contradicts itself."""

import msgspec

from events.plain_yaml import PlainYaml, UnreadableYamlError, parse_yaml
from producers.errors import InvalidModelDefinitionError
from producers.model_definitions.contradictions import contradictions_in
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
