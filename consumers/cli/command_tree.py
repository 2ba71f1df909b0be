"""Lists all commands with the module of each, and defines the options that they share.

Nothing here imports a command: each is imported when it is run, so that no command waits for the
imports of another. The first sentence of each help stands here, too, so that listing the commands
imports none of them.
"""

import os
from pathlib import Path
from types import MappingProxyType

import click

from consumers.cli.terminal.command_group import CommandGroup, CommandReference

COMPLETE_VARIABLE = "_ROUTESTREAM_COMPLETE"
"""Set by the completion script of a shell when it asks for completions."""

LEVELS = ("debug", "info", "warning", "error")

PLACES = MappingProxyType(
    {
        "acl": CommandReference(
            "consumers.cli.acl:acl",
            "Print the line of an ACL file for an account that has these ROLES, and no other"
            " rights.",
        ),
        "archive": CommandReference(
            "consumers.cli.archive.archive:archive",
            "Keep closed segments of the log outside of Redis.",
        ),
        "check": CommandReference(
            "consumers.cli.doctor.check:check",
            "Say in one line whether all is well, for a monitor.",
        ),
        "checkers": CommandReference("consumers.cli.consume:checkers", "Run the health checkers."),
        "completion": CommandReference(
            "consumers.cli.completion:completion",
            "Print the script that lets a shell complete commands, options, groups and endpoints.",
        ),
        "config": CommandReference("consumers.cli.config.config:config", "Look at the settings."),
        "consume": CommandReference(
            "consumers.cli.consume:consume",
            "Run the consumers of a group until a signal stops them.",
        ),
        "dead": CommandReference(
            "consumers.cli.dead.dead:dead",
            "Look at dead letters, the entries that a group has given up on; have them tried"
            " again.",
        ),
        "dead drop": CommandReference(
            "consumers.cli.dead.requeue:drop_dead",
            "Delete dead letters of GROUP for good, those that the options mean.",
        ),
        "dead requeue": CommandReference(
            "consumers.cli.dead.requeue:requeue_dead",
            "Have dead letters of GROUP tried again, those that the options mean.",
        ),
        "demo": CommandReference(
            "consumers.cli.demo.command:demo",
            "Run everything on this machine: servers, checkers, projectors, a proxy; and prove it.",
        ),
        "dev-server": CommandReference(
            "consumers.cli.dev_server:dev_server",
            "Run a Redis server with the right settings on this machine, until interrupted.",
        ),
        "doctor": CommandReference(
            "consumers.cli.doctor.doctor:doctor",
            "Look at the server and the log, and say what is wrong and what to do about it.",
        ),
        "endpoints": CommandReference(
            "consumers.cli.endpoints.endpoints:endpoints",
            "Look at endpoints and their routes, and record what happens to them.",
        ),
        "endpoints create": CommandReference(
            "consumers.cli.endpoints.record:create",
            "Create an endpoint, and print its id.",
        ),
        "endpoints destroy": CommandReference(
            "consumers.cli.endpoints.record:destroy",
            "Destroy an endpoint and all its routes, for good.",
        ),
        "endpoints rollout": CommandReference(
            "consumers.cli.rollout.rollout:rollout",
            "Give a revision of an endpoint its share of the traffic, at once or in steps.",
        ),
        "endpoints replicas": CommandReference(
            "consumers.cli.sessions.replicas:set_wanted",
            "Say how many routes of an endpoint are wanted, 0 to 1,000.",
        ),
        "endpoints update": CommandReference(
            "consumers.cli.endpoints.record:update",
            "Update how an endpoint's routes are checked.",
        ),
        "endpoints why": CommandReference(
            "consumers.cli.endpoints.why:why",
            "Show the chain of events behind what is routed now.",
        ),
        "events": CommandReference(
            "consumers.cli.events.tail:events", "Look at the events of the log."
        ),
        "events export": CommandReference(
            "consumers.cli.events.transfer:export_events",
            "Write the log, archive and stream, into FILE, to be brought in elsewhere by"
            " import-log.",
        ),
        "events import": CommandReference(
            "consumers.cli.events.import_backend_ai:import_events",
            "Import what another system's producers wrote, as our events.",
        ),
        "events import-log": CommandReference(
            "consumers.cli.events.transfer:import_exported",
            "Bring an export into a log: the same entries, under the same ids, on the same"
            " partitions.",
        ),
        "events trace": CommandReference(
            "consumers.cli.endpoints.trace:trace_events",
            "Show all events of one endpoint, in their order, with the change that each made.",
        ),
        "groups": CommandReference(
            "consumers.cli.groups.groups:groups",
            "Look at the groups that read the log, move them, and remove what is left of them.",
        ),
        "groups losses": CommandReference(
            "consumers.cli.groups.show:show_losses",
            "List what GROUP found gone before it had ended it, when, and why.",
        ),
        "groups pending": CommandReference(
            "consumers.cli.groups.pending:show_pending",
            "List what was delivered to GROUP and not acknowledged: what it is, with whom, since"
            " when.",
        ),
        "groups prune": CommandReference(
            "consumers.cli.groups.change:prune_groups",
            "Remove the consumers, of GROUP or of all groups, that are gone and have nothing"
            " pending.",
        ),
        "groups remove": CommandReference(
            "consumers.cli.groups.change:remove_group",
            "Remove GROUP: it holds nothing back any more, and what it had not ended nobody ends.",
        ),
        "groups reset": CommandReference(
            "consumers.cli.groups.change:reset_group",
            "Move GROUP, so that it is given next what lies at POSITION: start, end, an id, a"
            " time, -2h.",
        ),
        "groups show": CommandReference(
            "consumers.cli.groups.show:show_group",
            "Show one group: who its consumers are, what is pending, what was lost, what people"
            " did to it.",
        ),
        "health": CommandReference(
            "consumers.cli.health.health:health",
            "Look at the health of routes, as it was and as it is.",
        ),
        "log": CommandReference(
            "consumers.cli.log.log:log", "Create the log, and look after it as a whole."
        ),
        "model-definition": CommandReference(
            "consumers.cli.model_definition.model_definition:model_definition",
            "Look at model definitions, which say how models are served and checked.",
        ),
        "proxies": CommandReference(
            "consumers.cli.publishers.proxies:proxies",
            "Look at the proxies that publishers feed.",
        ),
        "publish": CommandReference(
            "consumers.cli.publishers.publish:publish",
            "Keep proxies equal to the route table until a signal stops it.",
        ),
        "replay": CommandReference(
            "consumers.cli.replay.rebuild:replay",
            "Read the recorded history again: into read models, or as of a moment that is past.",
        ),
        "replay diff": CommandReference(
            "consumers.cli.replay.past_states:diff",
            "Show what is another after --to than it was after --from, and which events did it.",
        ),
        "replay run": CommandReference(
            "consumers.cli.replay.playback:run_replay",
            "Append recorded events once more, to another namespace: real traffic for tests and"
            " load.",
        ),
        "replay show": CommandReference(
            "consumers.cli.replay.past_states:show",
            "Show a whole projection as it was after all up to POSITION had happened.",
        ),
        "replay verify": CommandReference(
            "consumers.cli.replay.verify:verify",
            "Fold the log independently, and compare each live document with what came of it.",
        ),
        "routes": CommandReference(
            "consumers.cli.endpoints.routes:routes",
            "Record what happens to the routes of an endpoint.",
        ),
        "routes drain": CommandReference(
            "consumers.cli.publishers.drain:drain",
            "Give a route no new traffic, wait for the proxies and for its requests, then"
            " terminate it.",
        ),
        "routes suggest-removal": CommandReference(
            "consumers.cli.sessions.suggest_removal:suggest",
            "List the routes that a scale-down by COUNT removes first: it records nothing.",
        ),
        "sessions": CommandReference(
            "consumers.cli.sessions.sessions:sessions",
            "Record what has become of compute sessions, and so of their routes.",
        ),
        "snapshot": CommandReference(
            "consumers.cli.replay.snapshot:snapshot",
            "Keep the state of a projection at a position in a file, and begin with it again.",
        ),
        "status": CommandReference(
            "consumers.cli.endpoints.routes:status", "Record the health of routes."
        ),
        "streams": CommandReference(
            "consumers.cli.streams.streams:streams",
            "Look at the streams that the log lies on, and at any other.",
        ),
        "streams trim": CommandReference(
            "consumers.cli.streams.trim:trim",
            "Cut the oldest events off the log, as far as nobody needs them any more.",
        ),
        "top": CommandReference(
            "consumers.cli.top.command:top",
            "Watch live: endpoints, groups, dead letters and the log, on the whole screen.",
        ),
    }
)
"""The commands by their paths; a command defined in the module of its group is not listed."""

SECTIONS = MappingProxyType(
    {
        "Look": ("top", "endpoints", "health", "proxies", "events", "groups", "dead", "streams"),
        "Watch over": ("doctor", "check"),
        "Record": ("routes", "sessions", "status"),
        "Run": ("consume", "checkers", "publish", "demo", "dev-server"),
        "Keep and repair": ("log", "replay", "snapshot", "archive"),
        "Set up": ("model-definition", "config", "acl", "completion"),
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
    from consumers.cli.deployment import set_up  # noqa: PLC0415 - help and version need none of it

    given = {
        "ROUTESTREAM_SERVER_URL": url,
        "ROUTESTREAM_NAMESPACE": namespace,
        "ROUTESTREAM_CONFIG": None if config is None else str(config),
        "ROUTESTREAM_LOG_LEVEL": log_level,
    }
    # The processes that a command starts inherit the options of its command line.
    os.environ.update({name: value for name, value in given.items() if value is not None})
    by_option = {"ROUTESTREAM_SERVER_URL": "--url", "ROUTESTREAM_NAMESPACE": "--namespace"}
    options = {name: option for name, option in by_option.items() if given[name] is not None}
    set_up(context, config, log_level, options)
