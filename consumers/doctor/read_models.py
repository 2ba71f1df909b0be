"""Finds gaps between log and read models: handled events that no document shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from consumers.doctor.finding import Finding, counted, error, ok
from consumers.doctor.log_facts import PartitionFacts
from consumers.doctor.server_queries import ServerQueries
from consumers.doctor.stray_values import ValueLocation
from events.entry.codec import decode
from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry
from events.errors import UndecodableEntryError, UnknownEventTypeError
from events.log.keys import Keys
from events.log.positions import group_holder
from events.server.reply import reply_entries, reply_or_none
from events.streams.stream_group import read_settled
from projections.errors import UnreadableDocumentError
from projections.projection import Projection


class ReadModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One read model in one partition.

    Attributes:
        name: Its name, which is also its group's.
        projection: The name of its projection.
        partition: The partition.
        generation: The live generation, None for none.
        documents: How many documents there are, None if the server does not tell.
        written: How many were written, as the last apply counted.
        sampled: How many endpoints were compared.
        missing: Endpoints without a document, although their last event was handled.
        behind: Endpoints whose document does not show their last event, although it was handled.
        unreadable: Endpoints whose document cannot be read.
    """

    name: str
    projection: str
    partition: int
    generation: int | None = None
    documents: int | None = 0
    written: int = 0
    sampled: int = 0
    missing: Sequence[str] = ()
    behind: Sequence[str] = ()
    unreadable: Sequence[str] = ()


async def read_read_model(
    queries: ServerQueries, keys: Keys, projection: Projection[Any], facts: PartitionFacts
) -> ReadModelFacts | None:
    """Read a sample of the documents; None if the live generation is refused or is no number.

    The heads were read with *facts*; next come the group's position and last the documents: so a
    document must show every head that was handled.
    """
    name, unreadable, partition = projection.read_model, queries.unreadable, facts.partition
    empty = ReadModelFacts(name=name, projection=projection.name, partition=partition)
    about = _about(name, partition)
    handled_to = await _handled_to(queries, keys, name, facts)
    key = keys.live(partition, name)
    held = reply_or_none(await queries.ask("GET", key), bytes)
    if held is None:
        return empty if queries.was_told("GET", key) else None
    rebuild = f"redis-cli DEL '{key}', then routestream consume {name} builds it anew"
    live = unreadable.number(held, ValueLocation(about, key, mend=rebuild))
    if live is None:
        return None
    key = keys.documents(partition, name, live)
    due = {
        endpoint: head
        for endpoint, head in facts.kept_positions.heads.items()
        if head <= handled_to
    }
    raw = await queries.ask("HMGET", key, *due) if due else None
    documents = dict(zip(due, reply_or_none(raw, list[bytes | None]) or [], strict=False))
    counted_in = ValueLocation(about, keys.generations(partition), f"{name}:documents")
    written = await queries.ask("HGET", counted_in.key, counted_in.field or "")
    present = {name: doc for name, doc in documents.items() if doc is not None}
    versions = {name: _version(projection, name, doc) for name, doc in present.items()}
    missing = [endpoint for endpoint, document in documents.items() if document is None]
    behind = [name for name, at in versions.items() if at is not None and at < due[name]]
    suspects = {endpoint: due[endpoint] for endpoint in (*missing, *behind)}
    skipped = await _skipped(queries, keys.events(partition), partition, suspects)
    return msgspec.structs.replace(
        empty,
        generation=live,
        documents=reply_or_none(await queries.ask("HLEN", key), int),
        written=unreadable.number(reply_or_none(written, bytes), counted_in) or 0,
        sampled=len(documents),
        missing=[endpoint for endpoint in missing if endpoint not in skipped],
        behind=[endpoint for endpoint in behind if endpoint not in skipped],
        unreadable=[endpoint for endpoint, at in versions.items() if at is None],
    )


async def _handled_to(
    queries: ServerQueries, keys: Keys, group: str, facts: PartitionFacts
) -> EntryId:
    """Return the entry up to which the group has handled all: before its oldest pending entry.

    If the stream is gone, and the group with it, that is its kept position.
    """
    if facts.stream is None:
        return facts.kept_positions.positions.get(group_holder(group), START)
    stream = keys.events(facts.partition)
    settled = await read_settled(queries.ask, stream, group)
    if settled is None or not queries.was_told("XPENDING", stream):
        return START
    return settled


async def _skipped(
    queries: ServerQueries, stream: str, partition: int, heads: Mapping[str, EntryId]
) -> set[str]:
    """Return the endpoints whose last event no document can show: this version cannot read it.

    A newer producer writes types that are unknown here, and a group skips them. Endpoints whose
    last entry no longer exists are not returned.
    """
    skipped = set()
    for endpoint, head in heads.items():
        for _, flat in reply_entries(await queries.ask("XRANGE", stream, str(head), str(head))):
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            if not _is_readable(Entry(head, partition, fields)):
                skipped.add(endpoint)
    return skipped


def _is_readable(entry: Entry) -> bool:
    try:
        decode(entry)
    except (UnknownEventTypeError, UndecodableEntryError):
        return False
    return True


def _version(projection: Projection[Any], endpoint: str, document: bytes) -> EntryId | None:
    try:
        version: EntryId = projection.read(document, endpoint)[1].version
    except UnreadableDocumentError:
        return None
    return version


def _about(name: str, partition: int) -> str:
    return f"read model {name}, partition {partition}"


def read_model_findings(facts: ReadModelFacts, partition: PartitionFacts) -> Iterator[Finding]:
    """Yield the findings of one read model."""
    for finding in _findings(facts, partition):
        if finding.to_do and partition.is_cut_short:
            # The log from which it would be built is incomplete.
            first = f"see first what is said of partition {facts.partition}"
            yield msgspec.structs.replace(finding, to_do=first)
        else:
            yield finding


def _findings(facts: ReadModelFacts, partition: PartitionFacts) -> Iterator[Finding]:
    about, stream = _about(facts.name, facts.partition), partition.stream
    if facts.generation is not None:
        found = [*_gaps(facts, about), *_lack(facts, about)]
        yield from found
        if not found and facts.documents is not None:
            figure = f"{counted(facts.documents, 'document')}, {facts.sampled} compared"
            what = f"generation {facts.generation} is live and shows what was handled"
            yield ok(about, what, figure)
    elif facts.name in partition.held.missing:
        return  # the partition's finding says for what it waits
    elif partition.once_reached is not None or (stream is not None and stream.length):
        yield error(
            about,
            "there is none: no reader can learn what is routed where",
            "no live generation",
            to_do=f"routestream consume {facts.name} builds it",
        )


def _gaps(facts: ReadModelFacts, about: str) -> Iterator[Finding]:
    """Yield what is wrong with the sampled documents."""
    what_is_wrong = {
        "endpoints have no document although their events were handled": facts.missing,
        "documents lack the last event of their endpoint although it was handled, unless it is"
        " among the dead letters": facts.behind,
        "documents cannot be read": facts.unreadable,
    }
    for what, endpoints in what_is_wrong.items():
        if endpoints:
            yield error(
                about,
                f"{what}, such as {endpoints[0]}",
                f"{len(endpoints)} of {facts.sampled} that were compared",
                to_do=_rebuild(facts),
            )


def _lack(facts: ReadModelFacts, about: str) -> Iterator[Finding]:
    """Yield whether there are fewer documents than were written."""
    if facts.documents is not None and facts.documents < facts.written:
        consume = f"routestream consume {facts.name}"
        yield error(
            about,
            "its documents are not all there: a projector takes it away and builds it anew",
            f"{facts.documents} of {facts.written}",
            to_do=f"see that one runs: {consume}, or {_rebuild(facts)}",
        )


def _rebuild(facts: ReadModelFacts) -> str:
    return f"routestream replay rebuild {facts.projection}"
