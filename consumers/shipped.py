"""Lists the groups that can be run, for the commands, the doctor and top."""

from consumers.backend_ai.backend_ai_group import (
    BACKEND_AI,
    backend_ai_consumers,
    backend_ai_place,
    missing_backend_ai_setting,
)
from consumers.errors import UnknownGroupError
from consumers.group_definition import GroupDefinition, projector_group
from consumers.retention.settings import RETENTION
from consumers.settings import Settings
from consumers.webhook.webhook_group import WEBHOOK, missing_webhook_setting, webhook_consumers
from events.plugins import HANDLERS, OURS, Catalogue, Installed, InvalidPluginError, broken_plugins
from events.structured_logger import structured_logger
from projections.catalogue import PROJECTIONS

_log = structured_logger(__name__)

LIFE_CYCLE = "life-cycle"
"""What runs the keeper of the life-cycle, which reads no stream."""

RESERVED = frozenset({RETENTION, LIFE_CYCLE})
"""What `routestream consume` runs beside the groups."""

SHIPPED = (
    *map(projector_group, PROJECTIONS.shipped.values()),
    GroupDefinition(
        name=WEBHOOK,
        about="posts chosen events to a URL",
        members=lambda log, name, settings: webhook_consumers(log, name, settings.webhook),
        section="webhook",
        missing_setting=lambda settings: missing_webhook_setting(settings.webhook),
    ),
    GroupDefinition(
        name=BACKEND_AI,
        about="records what Backend.AI's own event stream says",
        members=lambda log, name, settings: backend_ai_consumers(log, name, settings.backend_ai),
        foreign_place=lambda log, settings: backend_ai_place(log, settings.backend_ai),
        section="backend_ai",
        missing_setting=lambda settings: missing_backend_ai_setting(settings.backend_ai),
    ),
)


def _of_installed_projections() -> dict[str, Installed[GroupDefinition]]:
    return {
        found.value.read_model: Installed(found.owner, projector_group(found.value))
        for found in PROJECTIONS.installed.values()
    }


def _usable(name: str, found: object) -> GroupDefinition:
    """Return the group that a plugin provides.

    Raises:
        InvalidPluginError: It is not a group, or its name is taken.
    """
    if not isinstance(found, GroupDefinition):
        raise InvalidPluginError(f"{found!r} is no consumers.GroupDefinition")
    if found.name != name:
        raise InvalidPluginError(f"its name is {found.name!r}, the entry point's is {name!r}")
    if name in RESERVED or name in PROJECTIONS:
        owner = OURS if name in RESERVED else PROJECTIONS.owner_of(name)
        raise InvalidPluginError(f"the name {name!r} is taken by {owner}")
    return found


GROUPS = Catalogue(
    HANDLERS, {group.name: group for group in SHIPPED}, _usable, _of_installed_projections
)
"""Every group that can be run, by its name."""


def group_named(name: str) -> GroupDefinition:
    """Return the group that *name* stands for: its own name, or its projection's.

    So a deployment's start commands need not change with the version of a projection.

    Raises:
        UnknownGroupError: There is no such group; the message names the groups that exist and the
            plugins that are skipped.
    """
    group = PROJECTIONS[name].read_model if name in PROJECTIONS else name
    if group not in GROUPS:
        skipped = "".join(f"; {plugin}" for plugin in broken_plugins())
        raise UnknownGroupError(f"group {name!r} is not one of {', '.join(GROUPS)}{skipped}")
    return GROUPS[group]


def set_up_groups(settings: Settings) -> list[str]:
    """Return the groups that can run with *settings*."""
    return [name for name, group in GROUPS.items() if _can_run(group, settings)]


def _can_run(group: GroupDefinition, settings: Settings) -> bool:
    try:
        return group.missing_setting(settings) is None
    except Exception as error:  # noqa: BLE001 - an installed group may raise anything
        _log.warning("group_left_out", group=group.name, error=f"{type(error).__name__}: {error}")
        return False
