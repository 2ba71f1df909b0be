"""The `routestream` command: where settings are read and all commands come together."""

import os
import sys
from pathlib import Path

import click

from consumers.commands import checkers, consume
from consumers.demo.command import demo
from consumers.errors import ConsumersError, UnknownGroupError
from consumers.garbage import collect_rarely
from consumers.group_commands import dead, groups
from consumers.logs import LEVELS, configure_logs
from consumers.settings import SETTINGS, InvalidSettingsError, read_settings
from events.commands import events, streams
from events.errors import (
    EventsError,
    InvalidEventError,
    InvalidPositionError,
    ServerUnavailableError,
    UncertainAppendError,
)
from events.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_CONNECTION,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    Deployment,
)
from producers.backend_ai.capture import UnreadableCaptureError
from producers.backend_ai.commands import import_events
from producers.endpoint_commands import create, destroy, update
from producers.errors import (
    InvalidModelDefinitionError,
    ProducersError,
    UnknownEndpointError,
    UnknownRouteError,
)
from producers.route_commands import routes, status
from projections.commands import endpoints
from projections.errors import NoLiveGenerationError, ProjectionsError

_EXIT_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((ServerUnavailableError, UncertainAppendError), EXIT_NO_CONNECTION),
    ((UnknownEndpointError, UnknownRouteError, NoLiveGenerationError), EXIT_NOT_FOUND),
    (
        (
            InvalidEventError,
            InvalidPositionError,
            InvalidModelDefinitionError,
            InvalidSettingsError,
            UnreadableCaptureError,
            UnknownGroupError,
        ),
        EXIT_USAGE,
    ),
    ((EventsError, ProjectionsError, ProducersError, ConsumersError), EXIT_FAILED),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="routestream")
@click.option("--url", metavar="URL", help="The server, before REDIS_URL and the settings file.")
@click.option("--namespace", help="The deployment's namespace.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="ROUTESTREAM_CONFIG",
    help="A YAML file of settings.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    envvar="ROUTESTREAM_LOG_LEVEL",
    show_default=True,
)
@click.pass_context
def routestream(
    context: click.Context,
    url: str | None,
    namespace: str | None,
    config: Path | None,
    log_level: str,
) -> None:
    """The durable log of model-serving routes, and the tables that a proxy routes by.

    Exit codes: 0 done, 1 failed or differs, 2 usage, 3 not found, 4 no connection, 130 interrupted.
    """
    given = {
        "ROUTESTREAM_SERVER_URL": url,
        "ROUTESTREAM_NAMESPACE": namespace,
        "ROUTESTREAM_CONFIG": None if config is None else str(config),
        "ROUTESTREAM_LOG_LEVEL": log_level,
    }
    # What was said on the command line holds for the processes that it starts, too.
    os.environ.update({name: value for name, value in given.items() if value is not None})
    configure_logs(log_level)
    settings = read_settings(config, os.environ)
    context.obj = Deployment(settings.server, settings.namespace, settings.partitions)
    context.meta[SETTINGS] = settings


for _group, _commands in (
    (endpoints, (create, update, destroy)),
    (events, (import_events,)),
    (routestream, (demo, consume, checkers)),
    (routestream, (endpoints, routes, status, events, streams, groups, dead)),
):
    for _command in _commands:
        _group.add_command(_command)


def main() -> None:
    """Run the command, and turn every known failure into one line and its exit code."""
    collect_rarely()
    try:
        sys.exit(routestream(standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        failure = _first(error)
        if isinstance(failure, click.exceptions.NoArgsIsHelpError):
            failure.show()
            sys.exit(failure.exit_code)
        if isinstance(failure, click.ClickException):
            click.echo(f"Error: {failure.format_message()}", err=True)
            sys.exit(failure.exit_code)
        for kinds, code in _EXIT_CODES:
            if isinstance(failure, kinds):
                click.echo(f"Error: {failure}", err=True)
                sys.exit(code)
        raise


def _first(error: Exception) -> Exception:
    """Return the first failure of those that happened together in task groups."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    main()
