"""The examination: all that the doctor looks at, once, in order."""

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import msgspec

from consumers.doctor.finding import Finding
from consumers.doctor.layout_findings import layout_findings
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
from events.log.keys import Keys
from events.server.reply import reply_or_none
from events.streams.stream_group import read_group, read_oldest_pending
from projections.catalogue import READ_MODELS

LOOK_AGAIN_AFTER_S = 0.5
"""Between two looks at what is pending; what grows in between, grows."""


class Examination(msgspec.Struct, frozen=True):
    """What was found, and the facts of the partitions that it was found from."""

    findings: Sequence[Finding]
    partitions: Sequence[PartitionFacts] = ()


async def examine(
    queries: ServerQueries,
    keys: Keys,
    partitions: int | None,
    *,
    user: str | None = None,
    look_again_after_s: float = LOOK_AGAIN_AFTER_S,
) -> Examination:
    """Look at the server, the log, its groups and the read models; nothing is written.

    Every command is short, whatever the size of the log; what the server refuses is a finding.
    With *look_again_after_s* 0 there is no second look.

    Raises:
        ServerUnavailableError: There is no server.
    """
    server = await read_server(queries, keys, user)
    findings = [*server_findings(server), *plugin_findings()]
    if server.is_loading:
        return Examination(findings)
    layout = await read_layout(queries, keys)
    count = layout.partitions or partitions or 1
    there = [await read_partition(queries, keys, p) for p in range(count)]
    facts = await with_missing_groups(queries, keys, there, READ_MODELS)
    findings += layout_findings(keys, layout, partitions, facts)
    findings += findings_of(facts, keys, READ_MODELS, await _now(queries))
    if look_again_after_s:
        findings += await _look_again(queries, keys, facts, look_again_after_s)
    for projection in READ_MODELS.values():
        for one in facts:
            if one.kind != "stream" and one.once_reached is None:
                continue
            read_model = await read_read_model(queries, keys, projection, one)
            if read_model is not None:
                findings += read_model_findings(read_model, one)
    findings += queries.unreadable.findings
    findings += refusal_findings(queries, keys)
    return Examination(findings, facts)


async def _look_again(
    queries: ServerQueries, keys: Keys, facts: Sequence[PartitionFacts], after_s: float
) -> list[Finding]:
    """Look a second time at the groups that had entries pending."""
    pending = [(one.partition, g) for one in facts for g in one.groups.values() if g.pending]
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
    told = reply_or_none(await queries.ask("TIME"), tuple[int, int])
    return None if told is None else datetime.fromtimestamp(told[0] + told[1] / 1_000_000, UTC)
