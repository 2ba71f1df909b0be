"""The groups that routestream ships: the one list that commands, doctor and top take them from."""

from types import MappingProxyType

from consumers.errors import UnknownGroupError
from consumers.group_definition import GroupDefinition, projector_group
from consumers.settings import Settings
from consumers.webhook.webhook_group import WEBHOOK, missing_webhook_setting, webhook_consumers
from projections.catalogue import PROJECTIONS, READ_MODELS

SHIPPED = (
    *map(projector_group, READ_MODELS.values()),
    GroupDefinition(
        name=WEBHOOK,
        about="posts chosen events to a URL",
        members=lambda log, name, settings: webhook_consumers(log, name, settings.webhook),
        section="webhook",
        missing_setting=lambda settings: missing_webhook_setting(settings.webhook),
    ),
)

GROUPS = MappingProxyType({group.name: group for group in SHIPPED})
"""Every group that can be run, by its name."""


def group_named(name: str) -> GroupDefinition:
    """Return the group that *name* stands for: its own name, or its projection's.

    So what starts a release's processes need not change with the version of a projection.

    Raises:
        UnknownGroupError: There is no such group; it names those there are.
    """
    group = PROJECTIONS[name].read_model if name in PROJECTIONS else name
    if group not in GROUPS:
        raise UnknownGroupError(f"group {name!r} is not one of {', '.join(GROUPS)}")
    return GROUPS[group]


def set_up_groups(settings: Settings) -> list[str]:
    """Return the groups that can run with *settings*."""
    return [name for name, group in GROUPS.items() if group.missing_setting(settings) is None]
