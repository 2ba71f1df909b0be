"""The command tree: which commands there are, where each is written, what is said to all of them.

Nothing here imports a command: each is imported when it is asked for, so that none waits for what
the others stand on.
"""

import os
from pathlib import Path
from types import MappingProxyType

import click

from events.terminal.command_group import CommandGroup

COMPLETE_VARIABLE = "_ROUTESTREAM_COMPLETE"
"""Set by a shell's script when it asks what to offer."""

LEVELS = ("debug", "info", "warning", "error")

PLACES = MappingProxyType(
    {
        "archive": "events.archive.commands:archive",
        "check": "consumers.doctor.check_command:check",
        "checkers": "consumers.commands:checkers",
        "completion": "consumers.completion_command:completion",
        "consume": "consumers.commands:consume",
        "dead": "consumers.dead.dead_commands:dead",
        "dead drop": "consumers.dead.requeue_commands:drop_dead",
        "dead requeue": "consumers.dead.requeue_commands:requeue_dead",
        "demo": "consumers.demo.command:demo",
        "doctor": "consumers.doctor.command:doctor",
        "endpoints": "projections.commands:endpoints",
        "endpoints create": "producers.endpoint_commands:create",
        "endpoints destroy": "producers.endpoint_commands:destroy",
        "endpoints update": "producers.endpoint_commands:update",
        "endpoints why": "projections.replay.trace_commands:why",
        "events": "events.event_commands:events",
        "events export": "events.transfer.transfer_commands:export_events",
        "events import": "producers.backend_ai.commands:import_events",
        "events import-log": "events.transfer.transfer_commands:import_exported",
        "events trace": "projections.replay.trace_commands:trace_events",
        "groups": "consumers.operating.group_commands:groups",
        "groups losses": "consumers.operating.group_details_commands:show_losses",
        "groups pending": "consumers.operating.group_details_commands:show_pending",
        "groups prune": "consumers.operating.group_change_commands:prune_groups",
        "groups remove": "consumers.operating.group_change_commands:remove_group",
        "groups reset": "consumers.operating.group_change_commands:reset_group",
        "groups show": "consumers.operating.group_details_commands:show_group",
        "health": "projections.health.health_commands:health",
        "replay": "projections.replay.replay_commands:replay",
        "replay diff": "projections.replay.past_commands:diff",
        "replay run": "events.transfer.playback_commands:run_replay",
        "replay show": "projections.replay.past_commands:show",
        "replay verify": "projections.replay.verify_commands:verify",
        "routes": "producers.route_commands:routes",
        "snapshot": "projections.snapshots.snapshot_commands:snapshot",
        "status": "producers.route_commands:status",
        "streams": "events.stream_commands:streams",
        "streams trim": "consumers.operating.retention_commands:trim",
        "top": "consumers.top.command:top",
    }
)
"""`module:name` by the path of a command; those that are written in their group are not here."""

SECTIONS = MappingProxyType(
    {
        "Look": ("top", "endpoints", "health", "events", "groups", "dead", "streams"),
        "Watch over": ("doctor", "check"),
        "Record": ("routes", "status"),
        "Run": ("consume", "checkers", "demo"),
        "Keep and repair": ("replay", "snapshot", "archive"),
        "Set up": ("completion",),
    }
)


@click.group(
    cls=CommandGroup,
    places=PLACES,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
    help="What is logged to standard error, from this level on.",
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
    from consumers.deployment import set_up  # noqa: PLC0415 - help and version need none of it

    given = {
        "ROUTESTREAM_SERVER_URL": url,
        "ROUTESTREAM_NAMESPACE": namespace,
        "ROUTESTREAM_CONFIG": None if config is None else str(config),
        "ROUTESTREAM_LOG_LEVEL": log_level,
    }
    # What was said on the command line holds for the processes that it starts, too.
    os.environ.update({name: value for name, value in given.items() if value is not None})
    set_up(context, config, log_level)
