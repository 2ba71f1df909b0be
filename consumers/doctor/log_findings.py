"""Derives findings about a log and its groups from the facts that were read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from consumers.doctor.finding import Finding, counted, error, ok, warning
from consumers.doctor.log_facts import (
    Amount,
    GroupFacts,
    PartitionFacts,
)
from consumers.handlers.handler_settings import TOLD_MAX_S
from consumers.shipped import GROUPS
from events.entry.age import span
from events.entry.entry_id import END, START, EntryId
from events.log.keys import Keys
from events.streams.group_activity import SILENT_MS, activity_of, idle_ms_of
from events.streams.stream_group import PendingEntry
from projections.errors import WAY_OUT

PENDING_IDLE_WARNING_S = TOLD_MAX_S + 60.0
PENDING_IDLE_ERROR_S = 1_800.0
"""An entry untouched for this long neither waits for its next try nor will be claimed."""

LAG_WARNING = 10_000
CONSUMERS_WARNING = 100
RECENT = timedelta(days=1)
"""A loss found within this time is an error, an older one a warning until it is cleared."""

FUTURE_MS = 1_000


def partition_findings(
    facts: PartitionFacts, keys: Keys, shipped: Iterable[str], now: datetime | None
) -> Iterator[Finding]:
    """Yield the findings of one partition and its groups; *now* is by the server's clock."""
    about, key = f"partition {facts.partition}", keys.events(facts.partition)
    if facts.kind not in {"stream", "none", "unknown"}:
        yield error(
            about,
            f"{key} is no stream: nothing can be appended to it or read from it",
            facts.kind,
            to_do=f"redis-cli RENAME '{key}' '{key}:stray', then see who wrote it",
        )
    yield from _cut_short(facts, about)
    if facts.stream is not None:
        yield from _newest(about, facts.stream.last, now)
        if facts.stream.length:
            missing = sorted(facts.missing.keys() & set(shipped))
            yield from _missing(missing, about, facts.stream.length)
    for group in facts.groups.values():
        yield from group_findings(group, facts.partition, now)
    for group in facts.missing.values():
        yield from _dead(group, f"dead letters of {group.name}, {about}")
        yield from _lost(group, facts.partition, now)


def _missing(names: Iterable[str], about: str, entries: int) -> Iterator[Finding]:
    for name in names:
        yield warning(
            f"group {name}, {about}",
            "it does not exist here: nobody folds what is appended",
            f"{entries} entries",
            to_do=f"routestream consume {name}",
        )


def _cut_short(facts: PartitionFacts, about: str) -> Iterator[Finding]:
    """Yield an error if a part of the history is missing: what waits for it, or how that is known.

    Each cause is told once, whoever found it.
    """
    waiting: dict[str, list[str]] = {}
    for group, missing in sorted(facts.held.missing.items()):
        cause = missing.cause.removeprefix(f"{about}: ")
        waiting.setdefault(cause, []).append(group)
    for cause, groups in waiting.items():
        yield _history_missing(about, cause, f"{', '.join(groups)} wait for it")
    reached = facts.once_reached
    if reached is not None and not waiting:
        last = None if facts.stream is None else facts.stream.last
        ends = "is gone" if last is None else f"ends at {last}"
        yield _history_missing(about, f"the stream {ends} although {reached}", "")


def _history_missing(about: str, cause: str, figure: str) -> Finding:
    return error(about, f"history missing: {cause}", figure, to_do=WAY_OUT)


def _newest(about: str, last: EntryId | None, now: datetime | None) -> Iterator[Finding]:
    if last is None or now is None:
        return
    if last == END:
        yield error(
            f"newest entry, {about}",
            "somebody gave an entry the greatest id there is: nothing can be appended any more, for"
            " good; reading goes on",
            f"{last}",
            to_do=f"routestream events export --to {END.before()} FILE, then import it under"
            " another --namespace, and append there",
        )
        return
    ahead_ms = last.ms - now.timestamp() * 1_000
    if ahead_ms > FUTURE_MS:
        yield warning(
            f"newest entry, {about}",
            "its id is ahead of the server's clock, which was set back, or somebody chose the id;"
            " new ids are counted on from it, and times of entries are wrong until then",
            f"{last}, ahead by {span(ahead_ms / 1_000)}",
            to_do=f"see who appended it: routestream events show {last}",
        )


def group_findings(group: GroupFacts, partition: int, now: datetime | None) -> Iterator[Finding]:
    """Yield the findings of one group, a single ok if all is well."""
    found = [
        *_consumers(group, f"group {group.name}, partition {partition}"),
        *_pending(group, f"pending of {group.name}, partition {partition}"),
        *_dead(group, f"dead letters of {group.name}, partition {partition}"),
        *_lost(group, partition, now),
        *_position(group, f"position of {group.name}, partition {partition}"),
    ]
    yield from found
    if not found:
        left = f"lag {group.lag}, pending {group.pending}"
        yield ok(f"group {group.name}, partition {partition}", "making progress", left)


def _consumers(group: GroupFacts, about: str) -> Iterator[Finding]:
    backlog = group.lag + Amount.exactly(group.pending)
    consume = _consume(group.name)
    idle_ms = idle_ms_of(group.consumers)
    activity = activity_of(idle_ms, is_done=not backlog.least)
    if activity == "stopped":
        say = error if backlog.least else warning
        no_consumer = "it has no consumer: nobody reads"
        or_remove = "" if group.name in GROUPS else f", or routestream groups remove {group.name}"
        yield say(about, no_consumer, f"backlog {backlog}", to_do=consume + or_remove)
    elif activity == "silent":
        say = error if backlog.least else warning
        yield say(
            about,
            f"none of its consumers has asked for anything for {span((idle_ms or 0) / 1_000)}",
            f"backlog {backlog}",
            to_do=f"see whether its processes run and what /livez says; {consume}",
        )
    elif silent := [c for c in group.consumers if c.pending and c.idle_ms >= SILENT_MS]:
        yield warning(
            about,
            f"consumer {silent[0].name} is silent and has entries pending;"
            " the others claim them after the claim time",
            f"{sum(c.pending for c in silent)} pending with {counted(len(silent), 'consumer')}",
            to_do=f"routestream groups pending {group.name}",
        )
    elif group.lag.least >= LAG_WARNING:
        yield warning(
            about,
            "it is far behind",
            f"lag {group.lag}",
            to_do=f"{consume}{' --processes 2' if group.name in GROUPS else ' once more'}",
        )
    if len(group.consumers) >= CONSUMERS_WARNING:
        yield warning(
            about,
            "it has many consumers: those that are gone were not removed",
            len(group.consumers),
            to_do=f"routestream groups prune {group.name}",
        )


def _consume(group: str) -> str:
    """Return what starts a consumer; a group that we do not ship is started elsewhere."""
    return f"routestream consume {group}" if group in GROUPS else f"start whoever reads as {group}"


def _pending(group: GroupFacts, about: str) -> Iterator[Finding]:
    oldest = group.oldest
    if oldest is None:
        return
    idle_s = oldest.idle_ms / 1_000
    if idle_s >= PENDING_IDLE_WARNING_S:
        say = error if idle_s >= PENDING_IDLE_ERROR_S else warning
        yield say(
            about,
            f"entry {oldest.entry_id} waits with {oldest.consumer}, and nobody claims it",
            f"{group.pending} pending, the oldest untouched for {span(idle_s)},"
            f" {counted(oldest.deliveries, 'delivery')}",
            to_do=f"routestream groups pending {group.name}",
        )


def growth_findings(
    group: GroupFacts, later: tuple[int, PendingEntry | None], partition: int
) -> Iterator[Finding]:
    """Yield a warning if more is pending in the second look, *later*, and the oldest remains."""
    pending, oldest = later
    if group.oldest is None or oldest is None or oldest.entry_id != group.oldest.entry_id:
        return
    if pending > group.pending:
        yield warning(
            f"pending of {group.name}, partition {partition}",
            f"it grows, while the oldest entry {oldest.entry_id} is not ended",
            f"{group.pending}, then {pending}",
            to_do=f"routestream groups pending {group.name}",
        )


def _dead(group: GroupFacts, about: str) -> Iterator[Finding]:
    if group.dead:
        reasons = sorted(group.dead_reasons.items(), key=lambda reason: (-reason[1], reason[0]))
        yield warning(
            about,
            f"it has given up on {'an entry' if group.dead == 1 else 'entries'}:"
            f" {', '.join(f'{count} {reason}' for reason, count in reasons)}",
            group.dead,
            to_do=f"routestream dead ls {group.name}, then dead requeue or dead drop",
        )


def _lost(group: GroupFacts, partition: int, now: datetime | None) -> Iterator[Finding]:
    lost = group.lost_unseen
    if not lost:
        return
    about = f"loss of {group.name}, partition {partition}"
    at = group.lost_at
    is_old = at is not None and now is not None and now - at > RECENT and not group.trimmed_unread
    say = warning if is_old else error
    yield say(
        about,
        "entries were gone before it had handled them, and nobody has seen that yet",
        f"{lost}, last noticed {at.isoformat(timespec='seconds') if at else 'at an unknown time'}",
        to_do=f"routestream groups losses {group.name}, append again what still holds; then"
        f" routestream groups losses {group.name} --ack --reason WHY",
    )


def _position(group: GroupFacts, about: str) -> Iterator[Finding]:
    kept = group.kept_position
    if kept is not None and kept > group.last_delivered > START:
        yield warning(
            about,
            "it stands before where it once stood: it was moved back, or the server has an older"
            " history; what lies between is read again",
            f"at {group.last_delivered}, was at {kept}",
            to_do=f"routestream groups losses {group.name}",
        )


def findings_of(
    partitions: Sequence[PartitionFacts], keys: Keys, shipped: Iterable[str], now: datetime | None
) -> list[Finding]:
    """Return the findings of all partitions; a group's ok findings are merged into one."""
    names = list(shipped)
    found = [f for facts in partitions for f in partition_findings(facts, keys, names, now)]
    well: dict[str, list[Finding]] = {}
    kept: list[Finding] = []
    for finding in found:
        if finding.severity == "ok" and finding.about.startswith("group "):
            well.setdefault(finding.about.partition(",")[0], []).append(finding)
        else:
            kept.append(finding)
    return kept + [_merged(about, findings) for about, findings in well.items()]


def _merged(about: str, findings: Sequence[Finding]) -> Finding:
    if len(findings) == 1:
        return findings[0]
    return ok(about, f"making progress in {len(findings)} partitions")


def totals(partitions: Iterable[PartitionFacts], names: Iterable[str]) -> Mapping[str, Amount]:
    """Return lag, pending, dead and lost of the groups *names* in all partitions.

    A group that is missing in a partition counts there, too, with the entries that wait for it.
    """
    wanted = set(names)
    groups = [g for facts in partitions for g in facts.all_groups if g.name in wanted]
    return {
        "lag": sum((group.lag for group in groups), Amount()),
        "pending": Amount.exactly(sum(group.pending for group in groups)),
        "dead": Amount.exactly(sum(group.dead for group in groups)),
        "lost": Amount.exactly(sum(group.lost_unseen for group in groups)),
    }
