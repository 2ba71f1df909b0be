"""Tells whether a holder is still in use, and what to do if it holds the log back."""

from events.retention.retention import Holder
from events.streams.group_activity import UNREAD, Activity, activity_of
from projections.catalogue import READ_MODELS


def is_dead(holder: Holder) -> bool:
    """Whether *holder* is a group without a living consumer."""
    return holder.kind == "group" and deadness_of(holder) is not None


def deadness_of(holder: Holder) -> Activity | None:
    """Return why no consumer reads for *holder*, None if one does or if it is not a group."""
    if holder.is_missing:
        return "missing"
    if holder.kind != "group":
        return None
    activity = activity_of(holder.idle_ms, is_done=True)
    return activity if activity in UNREAD else None


def is_told(holder: Holder) -> bool:
    """Whether *holder*, which holds the log back, does so for want of an operator."""
    return deadness_of(holder) is not None or holder.unread is not None


def remedy_of(holder: Holder) -> str:
    """Return what an operator can do so that *holder* no longer holds the log back."""
    name = holder.name.partition(":")[2]
    match holder.kind:
        case "group" if name in READ_MODELS:
            return f"start its consumers again: `routestream consume {name}`"
        case "group":
            return f"start its consumers again, or `routestream groups remove {name}`"
        case "archive":
            return "`routestream archive run`, or trim without archive"
        case "snapshot" if holder.unread is not None:
            return f"{holder.unread.what}; {holder.unread.to_do}, or trim without snapshot"
        case "snapshot" if name in READ_MODELS:
            projection = READ_MODELS[name].name
            return f"`routestream snapshot take {projection}`, or trim without snapshot"
        case _:
            return f"`routestream groups remove {name}`, once no release keeps it any more"
