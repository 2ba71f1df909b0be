"""The holder: whether anybody still reads for it, and what helps where it holds the log back."""

from consumers.operating.group_state import SILENT_MS, Activity
from events.retention import Holder
from projections.catalogue import PROJECTIONS


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
        case "group" if name in PROJECTIONS:
            return f"start its consumers again: `routestream consume {name}`"
        case "group":
            return f"start its consumers again, or `routestream groups remove {name}`"
        case "archive":
            return "`routestream archive run`, or trim without archive"
        case _:
            return f"`routestream snapshot take {name}`, or trim without snapshot"
