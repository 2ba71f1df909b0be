"""The commands about the settings."""

from typing import Any

import click

from consumers.cli.deployment import Deployment
from consumers.cli.terminal.output import OutputForm, output_option, print_rows
from consumers.cli.terminal.standard_output import quiet_on_closed_pipe
from consumers.cli.terminal.table import Column, Columns
from consumers.settings import SettingInForce, settings_in_force


@click.group()
def config() -> None:
    """Look at the settings."""


COLUMNS: Columns[SettingInForce] = (
    Column("SETTING", lambda row: row.setting),
    Column("VALUE", lambda row: _in_words(row.value), folds=True),
    Column("FROM", lambda row: row.source, folds=True),
)


@config.command("show")
@output_option
@click.pass_context
def show_settings(context: click.Context, *, output: OutputForm) -> None:
    """List every setting in force, and where it comes from; no server is asked.

    A password, a secret, and the path of a URL to call are masked. docs/settings.md says what each
    setting means.

    \b
    Example: routestream --config settings.yaml config show
    """
    deployment = context.ensure_object(Deployment)
    rows = settings_in_force(deployment.settings, deployment.sources)
    with quiet_on_closed_pipe():
        print_rows(output, SettingInForce, rows, COLUMNS)


def _in_words(value: Any) -> str:  # noqa: ANN401 - a setting may have any type
    """Return the value as it is written in the settings file."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(value) or "none"
        case _:
            return str(value) or "none"
