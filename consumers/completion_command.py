"""The completion: what a shell offers for a word that is not finished yet.

Names of groups and types are known here. Endpoints are asked for at the server, and left out where
it does not answer at once: who presses the tab key waits for nobody.
"""

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import click
from click.shell_completion import CompletionItem, get_completion_class

from consumers.command_tree import COMPLETE_VARIABLE
from consumers.errors import ConsumersError
from consumers.groups import GROUPS
from consumers.settings import PREFIX, Settings, read_settings
from events.errors import EventsError
from events.keys import Keys
from events.log import EventLog
from events.registry import BY_WIRE_NAME
from events.server import open_server
from projections.endpoint_lookup import live_endpoints
from projections.errors import ProjectionsError

SHELLS = ("bash", "zsh", "fish")
COMMAND = "routestream"

ANSWER_MAX_S = 0.3
"""For the server to tell its endpoints."""

OFFERED_MAX = 100

_SAFE_NAME = re.compile(r"[A-Za-z0-9][\w.@/-]*\Z", re.ASCII)
"""A shell would run what else a name may hold."""

_OPTION_OF_WORD = 'set -l option (string match -r "^--[^=]+=" -- (commandline -t));'
_MENDED = {
    "zsh": [
        ("    for type key", "    [[ $PREFIX == --*=* ]] && compset -P 1 '*='\n    for type key"),
        (" -U", ' -U -i "$IPREFIX"'),
    ],
    "fish": [
        ("    for completion in", f"    {_OPTION_OF_WORD}\n\n    for completion in"),
        ('string split ","', 'string split -m 1 ","'),
        ("echo $metadata[2]", 'echo "$option$metadata[2]"'),
    ],
}
"""What click's scripts do not get right: `--option=value` is one word; a help may have commas."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, groups and endpoints.

    bash reads it from ~/.local/share/bash-completion/completions/routestream, zsh from a file
    _routestream in a folder of $fpath, fish from ~/.config/fish/completions/routestream.fish.

    \b
    Example: routestream completion bash
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"shell {shell!r} is not one of {', '.join(SHELLS)}")
    shown = kind(click.get_current_context().find_root().command, {}, COMMAND, COMPLETE_VARIABLE)
    script = shown.source_template
    for theirs, ours in _MENDED.get(shell, ()):
        script = script.replace(theirs, ours)
    click.echo(script % shown.source_vars())


def complete_by_name(command: click.Command) -> None:
    """Let the arguments and options of *command* be completed by what their names stand for."""
    for parameter in command.params:
        complete = _BY_NAME.get(parameter.name or "")
        if complete is not None and not isinstance(parameter.type, click.Choice):
            _attach(parameter, complete)


def _attach(parameter: click.Parameter, complete: Complete) -> None:
    def shell_complete(context: click.Context, incomplete: str) -> list[CompletionItem]:
        return complete(context, parameter, incomplete)

    parameter.shell_complete = shell_complete  # type: ignore[method-assign,assignment]


def _groups(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in GROUPS if name.startswith(incomplete)]


def _types(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in BY_WIRE_NAME if name.startswith(incomplete)]


def _endpoints(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    found: dict[str, str] = {}
    has_names = isinstance(parameter, click.Argument)
    # A shell that waits for words has no use for reasons.
    with suppress(EventsError, ProjectionsError, ConsumersError, click.ClickException, OSError):
        anyio.run(_collect, context, incomplete.lower(), has_names, found)
    return [CompletionItem(word, help=about) for word, about in sorted(found.items())]


async def _collect(
    context: click.Context,
    beginning: str,
    has_names: bool,  # noqa: FBT001 - anyio passes by position
    found: dict[str, str],
) -> None:
    """Fill *found* with ids, and names where they will do; what was found in time stays."""
    settings = _settings(context.find_root().params)
    with anyio.move_on_after(ANSWER_MAX_S):
        async with open_server(settings.server) as server:
            log = await EventLog.open(server, Keys(settings.namespace), create=False)
            async for _, endpoint in live_endpoints(log):
                endpoint_id, name = str(endpoint.endpoint_id), endpoint.name or ""
                if endpoint_id.startswith(beginning):
                    found[endpoint_id] = name
                if has_names and name.lower().startswith(beginning) and _SAFE_NAME.match(name):
                    found[name] = endpoint_id
                if len(found) >= OFFERED_MAX:
                    return


def _settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings that the unfinished line asks for."""
    environment = {**os.environ}
    for name, variable in (("url", "SERVER_URL"), ("namespace", "NAMESPACE"), ("config", "CONFIG")):
        if given.get(name):
            environment[f"{PREFIX}{variable}"] = str(given[name])
    config = environment.get(f"{PREFIX}CONFIG")
    return read_settings(None if config is None else Path(config), environment)


_BY_NAME: dict[str, Complete] = {
    "group": _groups,
    "groups": _groups,
    "names": _types,
    "endpoint": _endpoints,
}
"""By the name that a parameter has wherever it stands for the same thing."""
