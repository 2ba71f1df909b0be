"""Checks that the log exists, and with the number of partitions that the settings say."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from consumers.doctor.finding import Finding, counted, error, ok, warning
from consumers.doctor.log_facts import LayoutFacts, PartitionFacts
from events.log.keys import PARTITIONS_MAX, Keys


def layout_findings(
    keys: Keys, layout: LayoutFacts, wanted: int | None, partitions: Sequence[PartitionFacts]
) -> Iterator[Finding]:
    """Yield whether the log exists, with as many partitions as the settings say."""
    made_with = layout.partitions
    if layout.is_forbidden and all(partition.kind == "unknown" for partition in partitions):
        yield error(
            "layout",
            f"nothing of the log {keys.namespace!r} can be seen: this account may not read it",
            to_do="see the commands that are refused",
        )
    elif layout.unreadable is not None:
        yield error(
            "layout",
            f"field partitions of {keys.layout} is not a number from 1 to {PARTITIONS_MAX}: nothing"
            " can be read from the log or appended to it",
            repr(layout.unreadable),
            to_do=_set_partitions(keys),
        )
    elif layout.remains:
        yield _lost_layout(keys, layout)
    elif made_with is None and layout.is_told:
        yield from _no_layout(keys, {partition.kind for partition in partitions})
    elif made_with is not None and wanted not in {None, made_with}:
        yield error(
            "layout",
            f"the log was made with another number of partitions than the settings say ({wanted})",
            made_with,
            to_do=f"set ROUTESTREAM_PARTITIONS={made_with}",
        )
    elif made_with is not None:
        yield ok("layout", f"the log {keys.namespace!r} is there", counted(made_with, "partition"))


def _lost_layout(keys: Keys, layout: LayoutFacts) -> Finding:
    """Return what a missing layout beside keys of the log means, and how it is written again."""
    count = layout.remains[-1] + 1
    if layout.identity is not None and len(layout.remains) == count:
        to_do = f"redis-cli HSET {keys.layout} partitions {count} identity {layout.identity}"
    else:
        to_do = f"redis-cli HSET {keys.layout} partitions N, as many as it had: {count} or more"
    return error(
        "layout",
        f"the log {keys.namespace!r} has lost its layout, the key {keys.layout}: nothing is read or"
        " appended until it is written again",
        f"keys of {counted(len(layout.remains), 'partition')} are there",
        to_do=to_do,
    )


def _no_layout(keys: Keys, kinds: AbstractSet[str]) -> Iterator[Finding]:
    """Yield that there is no log; stray values in its place have other findings."""
    if kinds <= {"none"}:
        yield warning(
            "layout",
            f"there is no log {keys.namespace!r} on this server",
            to_do="set ROUTESTREAM_NAMESPACE, or append the first event: endpoints create",
        )


def _set_partitions(keys: Keys) -> str:
    lists = f"redis-cli --scan --pattern '{keys.events_pattern}' lists"
    return f"redis-cli HSET {keys.layout} partitions N, as many as {lists}"
