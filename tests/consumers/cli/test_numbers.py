"""Every number that an option takes has a floor and a ceiling."""

import click
import pytest

from consumers.cli.command_tree import routestream
from docs.pages.cli_pages import root_context, walk

NUMBERS = {
    f"{context.command_path} {parameter.opts[-1]}": parameter.type
    for command, context in walk(routestream, root_context())
    for parameter in command.params
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
}

BY_THE_EVENT = {"routestream routes ratio traffic_ratio"}
"""What an event refuses beyond its limits, with the field and its value."""


@pytest.mark.parametrize("option", sorted(NUMBERS.keys() - BY_THE_EVENT))
def test_an_option_has_a_floor_and_a_ceiling(option: str) -> None:
    kind = NUMBERS[option]
    assert isinstance(kind, click.IntRange | click.FloatRange)
    assert None not in {kind.min, kind.max}


def test_the_numbers_are_found() -> None:
    assert len(NUMBERS) > 30
    assert NUMBERS.keys() >= BY_THE_EVENT
