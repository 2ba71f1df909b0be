"""Runs all checks of the doctor once, in order."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import anyio
import msgspec

from consumers.doctor.cluster.cluster_facts import read_cluster
from consumers.doctor.cluster.cluster_findings import (
    away_finding,
    cluster_findings,
    spread_findings,
)
from consumers.doctor.finding import Finding
from consumers.doctor.layout_findings import layout_findings
from consumers.doctor.life_findings import (
    health_findings,
    process_findings,
    proxy_findings,
    read_fleets,
    read_health,
    snapshot_findings,
)
from consumers.doctor.log_facts import (
    PartitionFacts,
    read_layout,
    read_partition,
)
from consumers.doctor.log_findings import findings_of, growth_findings
from consumers.doctor.missing_groups import with_missing_groups
from consumers.doctor.plugin_findings import plugin_findings
from consumers.doctor.read_models import read_model_findings, read_read_model
from consumers.doctor.server_facts import read_server
from consumers.doctor.server_findings import server_findings
from consumers.doctor.server_queries import ServerQueries, refusal_findings
from events.errors import ServerUnavailableError
from events.log.keys import Keys
from events.server.reply import reply_or_none
from events.streams.stream_group import read_group, read_oldest_pending
from producers.checker.membership import MembershipSettings
from projections.catalogue import READ_MODELS

FIGURES: Mapping[str, Collection[str]] = {
    "lag": ("HGET", "TYPE", "XINFO STREAM", "XINFO GROUPS", "XRANGE", "XREVRANGE"),
    "pending": ("HGET", "TYPE", "XINFO GROUPS"),
    "dead": ("HGET", "TYPE", "XINFO GROUPS", "XLEN"),
    "lost": ("HGET", "HGETALL", "TYPE", "XINFO GROUPS"),
}
"""The figures of the groups, and the commands that each is measured with."""

LOOK_AGAIN_AFTER_S = 0.5
"""Seconds between two looks at pending entries, to see whether their number grows."""


class Examination(msgspec.Struct, frozen=True):
    """The findings, and the facts of the partitions that they were made from.

    Attributes:
        unmeasured: Those of `FIGURES` that could not be measured everywhere.
    """

    findings: Sequence[Finding]
    partitions: Sequence[PartitionFacts] = ()
    unmeasured: Collection[str] = ()


async def examine(
    queries: ServerQueries,
    keys: Keys,
    partitions: int | None,
    *,
    user: str | None = None,
    checker_lifetime_s: float = MembershipSettings().lifetime_s,
    look_again_after_s: float = LOOK_AGAIN_AFTER_S,
) -> Examination:
    """Examine the server, the log, its groups and the read models; write nothing.

    Every command is short, whatever the size of the log; a command that the server refuses is a
    finding. With *look_again_after_s* 0 there is no second look.

    Raises:
        ServerUnavailableError: There is no server.
    """
    findings, can_go_on = await _examine_servers(queries, keys, user)
    if not can_go_on:
        return Examination(findings, unmeasured=tuple(FIGURES))
    layout = await read_layout(queries, keys)
    count = layout.partitions or max(layout.remains, default=(partitions or 1) - 1) + 1
    found = [await read_partition(queries, keys, p) for p in range(count)]
    facts = await with_missing_groups(queries, keys, found, READ_MODELS)
    findings += layout_findings(keys, layout, partitions, facts)
    findings += spread_findings([await queries.place_of(keys.events(p)) for p in range(count)])
    now = await _now(queries)
    findings += findings_of(facts, keys, READ_MODELS, now)
    if look_again_after_s:
        findings += await _look_again(queries, keys, facts, look_again_after_s)
    for projection in READ_MODELS.values():
        for partition in facts:
            if partition.kind != "stream" and not partition.is_cut_short:
                continue
            read_model = await read_read_model(queries, keys, projection, partition)
            if read_model is not None:
                findings += read_model_findings(read_model, partition)
    health = await read_health(queries, keys, facts, checker_lifetime_s, now)
    findings += process_findings(await read_fleets(queries, keys, now))
    findings += await proxy_findings(queries, keys, now)
    findings += await snapshot_findings(queries, keys, facts, now)
    findings += [*health_findings(health), *queries.unreadable.findings]
    findings += refusal_findings(queries, keys)
    return Examination(findings, facts, _unmeasured(queries, keys, facts))


async def _examine_servers(
    queries: ServerQueries, keys: Keys, user: str | None
) -> tuple[list[Finding], bool]:
    """Return what is found of each server, and whether all of them are there and have loaded."""
    findings, can_go_on = [*plugin_findings()], True
    for at, own in await queries.each():
        try:
            facts = await read_server(own, keys, user)
        except ServerUnavailableError as away:
            if not queries.is_cluster:
                raise
            findings.append(away_finding(at, str(away)))
            can_go_on = False
            continue
        can_go_on = can_go_on and not facts.is_loading
        findings += [
            msgspec.structs.replace(one, about=at + one.about) for one in server_findings(facts)
        ]
    return [*findings, *cluster_findings(await read_cluster(queries))], can_go_on


def _unmeasured(
    queries: ServerQueries, keys: Keys, partitions: Sequence[PartitionFacts]
) -> frozenset[str]:
    """Return the figures for which the server refused a command, or has a key of a wrong type."""
    if keys.layout in queries.wrong_types:
        return frozenset(FIGURES)
    found = {name for name, commands in FIGURES.items() if queries.refused.keys() & {*commands}}
    for facts in partitions:
        if facts.kind not in {"stream", "none"}:
            found |= {"lag", "pending"}
        if keys.lost(facts.partition) in queries.wrong_types:
            found.add("lost")
        dead = {keys.dead(facts.partition, group.name) for group in facts.all_groups}
        if dead & queries.wrong_types.keys():
            found.add("dead")
    return frozenset(found)


async def _look_again(
    queries: ServerQueries, keys: Keys, facts: Sequence[PartitionFacts], after_s: float
) -> list[Finding]:
    """Look again at the groups that had pending entries."""
    pending = [(p.partition, g) for p in facts for g in p.groups.values() if g.pending]
    if pending:
        await anyio.sleep(after_s)
    found: list[Finding] = []
    for partition, group in pending:
        key = keys.events(partition)
        now = await read_group(queries.ask, key, group.name)
        oldest = await read_oldest_pending(queries.ask, key, group.name)
        later = (0 if now is None else now.pending, oldest)
        found += growth_findings(group, later, partition)
    return found


async def _now(queries: ServerQueries) -> datetime | None:
    [(_, first), *_] = await queries.each()
    time = reply_or_none(await first.ask("TIME"), tuple[int, int])
    return None if time is None else datetime.fromtimestamp(time[0] + time[1] / 1_000_000, UTC)
