"""Lists what installed packages add, and which plugins are skipped."""

from collections.abc import Iterator
from typing import Any

from consumers.doctor.finding import Finding, counted, ok, warning
from consumers.publishers.catalogue import PUBLISHERS
from consumers.shipped import GROUPS
from events.catalogue.registry import BY_WIRE_NAME
from events.plugins import Catalogue, broken_plugins
from projections.catalogue import PROJECTIONS


def plugin_findings() -> Iterator[Finding]:
    """Yield skipped plugins, then additions by package; nothing if no package adds anything."""
    _ = GROUPS.installed, PUBLISHERS.installed  # looks for all kinds of plugins
    for plugin in broken_plugins():
        yield warning(
            f"plugin {plugin.name} of {plugin.owner}",
            f"it is skipped: {plugin.why}",
            plugin.kind,
            to_do="install a version of the package that works, or uninstall the package",
        )
    added: dict[str, list[str]] = {}
    for kind, owners in (
        ("event type", _owners(BY_WIRE_NAME)),
        ("projection", _owners(PROJECTIONS)),
        ("group", _owners(GROUPS)),
        ("publisher", _owners(PUBLISHERS)),
    ):
        for name, owner in owners.items():
            added.setdefault(owner, []).append(f"{kind} {name}")
    for owner, names in sorted(added.items()):
        yield ok(f"plugins of {owner}", f"{counted(len(names), 'addition')}", ", ".join(names))


def _owners(catalogue: Catalogue[Any]) -> dict[str, str]:
    return {name: plugin.owner for name, plugin in catalogue.installed.items()}
