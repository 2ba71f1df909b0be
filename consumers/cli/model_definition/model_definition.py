"""The command that says what a model definition means, and what is wrong with it."""

import click

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.model_definition.definition_row import (
    MODELS,
    PROBLEMS,
    DefinitionRow,
    definition_pairs,
    definition_row,
)
from consumers.cli.terminal.command_group import CommandGroup
from consumers.cli.terminal.messages import EXIT_FAILED
from consumers.cli.terminal.output import (
    OutputForm,
    output_option,
    print_pairs,
    print_table,
    print_value,
    watch_option,
    watched,
)
from producers.model_definitions.model_folder import read_model_definition
from producers.model_definitions.runtime_variant import CUSTOM, known_variants


@click.group("model-definition", cls=CommandGroup)
def model_definition() -> None:
    """Look at model definitions, which say how models are served and checked."""


@model_definition.command("check")
@click.argument("model_source", metavar="FILE|FOLDER|URL")
@click.option("--runtime-variant", default=CUSTOM, show_default=True, help="What serves the model.")
@output_option
@watch_option
@command_of
async def check(
    deployment: Deployment,
    *,
    model_source: str,
    runtime_variant: str,
    output: OutputForm,
    watch: float | None,
) -> None:
    """Say what a model definition means, and list every mistake in it with its line and column.

    The URL of a folder behind a storage proxy is http://HOST:PORT?volume=VOLUME&vfid=VFID, and may
    have &path=PATH; no Redis is asked. The exit code is 1 where there is a mistake, 0 where there
    are warnings alone. docs/model-definition.md says what a definition may have.

    \b
    Example: routestream model-definition check examples/chat
    """
    settings = deployment.settings.model_definition
    usable = [True]

    async def show() -> None:
        checked = await read_model_definition(model_source, settings)
        row = definition_row(checked, runtime_variant, known_variants(settings))
        usable[:] = [row.is_usable]
        _print(output, row)

    await watched(watch, show)
    if not usable[0]:
        click.get_current_context().exit(EXIT_FAILED)


def _print(output: OutputForm, row: DefinitionRow) -> None:
    if not output.is_table:
        print_value(output, row, DefinitionRow)
        return
    print_pairs(output, definition_pairs(row))
    if row.models:
        click.echo()
        print_table(output, MODELS, row.models)
    if row.problems:
        click.echo()
        print_table(output, PROBLEMS, row.problems)
