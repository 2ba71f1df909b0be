"""Whether anybody still reads for a holder, and what helps where it holds the log back."""

from consumers.groups.state import SILENT_MS, Activity
from events.retention.retention import Holder
from projections.catalogue import READ_MODELS


def is_dead(holder: Holder) -> bool:
    """Whether it is a group that nobody reads for."""
    return holder.kind == "group" and deadness_of(holder) is not None


def deadness_of(holder: Holder) -> Activity | None:
    """Return why nobody reads for a holder, None where somebody does or it is no group."""
    if holder.is_missing:
        return "missing"
    if holder.kind != "group":
        return None
    if holder.idle_ms is None:
        return "stopped"
    return "silent" if holder.idle_ms >= SILENT_MS else None


def remedy_of(holder: Holder) -> str:
    """Say what an operator can do so that *holder* holds nothing back any more."""
    name = holder.name.partition(":")[2]
    match holder.kind:
        case "group" if name in READ_MODELS:
            return f"start its consumers again: `routestream consume {name}`"
        case "group":
            return f"start its consumers again, or `routestream groups remove {name}`"
        case "archive":
            return "`routestream archive run`, or trim without archive"
        case "snapshot" if name in READ_MODELS:
            projection = READ_MODELS[name].name
            return f"`routestream snapshot take {projection}`, or trim without snapshot"
        case _:
            return f"`routestream groups remove {name}`, once no release keeps it any more"
