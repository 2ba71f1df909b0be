"""Completes unfinished words of the command line: names of groups, event types and endpoints.

Groups and types are known without a server. Endpoints are read from the server, and left out where
it does not answer at once: the tab key must not make a person wait.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import click
from click.shell_completion import CompletionItem

from consumers.errors import ConsumersError
from consumers.settings import PREFIX, Settings, read_settings
from consumers.shipped import GROUPS
from events.catalogue.registry import BY_WIRE_NAME
from events.errors import EventsError
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.server import open_server
from producers.errors import ProducersError
from producers.model_definitions.runtime_variant import known_variants
from projections.errors import ProjectionsError
from projections.route_table.lookup import live_endpoints
from projections.route_table.phase import endpoint_phase

ANSWER_MAX_S = 0.3
"""Time limit for reading the endpoints from the server."""

OFFERED_MAX = 100

_SAFE_NAME = re.compile(r"[A-Za-z0-9][\w.@/-]*\Z", re.ASCII)
"""Names that are offered; a shell could run other characters of a name as code."""


def groups(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the groups that begin with *incomplete*."""
    return [CompletionItem(name) for name in GROUPS if name.startswith(incomplete)]


def types(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the types of events that begin with *incomplete*."""
    return [CompletionItem(name) for name in BY_WIRE_NAME if name.startswith(incomplete)]


def variants(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the runtime variants that begin with *incomplete*."""
    known: Mapping[str, object] = {}
    with suppress(ConsumersError, ProducersError):
        known = known_variants(_settings(context.find_root().params).model_definition)
    names = (name for name in known if name.startswith(incomplete) and _SAFE_NAME.match(name))
    return [CompletionItem(name) for name in names]


def paths(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete files and folders."""
    return [CompletionItem(incomplete, type="file")]


def endpoints(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids of endpoints that begin with *incomplete*; for an argument names, too."""
    found: dict[str, str] = {}
    has_names = isinstance(parameter, click.Argument)
    # A shell that completes a word cannot show an error.
    with suppress(EventsError, ProjectionsError, ConsumersError, click.ClickException, OSError):
        anyio.run(_collect, context, incomplete.lower(), has_names, found)
    return [CompletionItem(word, help=about) for word, about in sorted(found.items())]


async def _collect(
    context: click.Context,
    beginning: str,
    has_names: bool,  # noqa: FBT001 - anyio passes by position
    found: dict[str, str],
) -> None:
    """Fill *found* with ids, and with names if *has_names*; what was found in time is kept."""
    settings = _settings(context.find_root().params)
    with anyio.move_on_after(ANSWER_MAX_S):
        async with open_server(settings.server) as server:
            log = await EventLog.open(server, Keys(settings.namespace), create=False)
            async for _, endpoint in live_endpoints(log):
                endpoint_id, name = str(endpoint.endpoint_id), endpoint.name or ""
                if endpoint_id.startswith(beginning):
                    found[endpoint_id] = f"{name}, {endpoint_phase(endpoint)}".removeprefix(", ")
                if has_names and name.lower().startswith(beginning) and _SAFE_NAME.match(name):
                    found[name] = f"{endpoint_id}, {endpoint_phase(endpoint)}"
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
