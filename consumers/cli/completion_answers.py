"""The answers: what may stand where a word is not finished yet.

Names of groups and types are known here. Endpoints are asked for at the server, and left out where
it does not answer at once: who presses the tab key waits for nobody.
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
from projections.errors import ProjectionsError
from projections.route_table.lookup import live_endpoints

ANSWER_MAX_S = 0.3
"""For the server to tell its endpoints."""

OFFERED_MAX = 100

_SAFE_NAME = re.compile(r"[A-Za-z0-9][\w.@/-]*\Z", re.ASCII)
"""A shell would run what else a name may hold."""


def groups(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the groups that begin so."""
    return [CompletionItem(name) for name in GROUPS if name.startswith(incomplete)]


def types(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the types of events that begin so."""
    return [CompletionItem(name) for name in BY_WIRE_NAME if name.startswith(incomplete)]


def endpoints(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids of endpoints that begin so, and for an argument their names."""
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
