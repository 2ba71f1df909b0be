"""The verdict: what the producers were told, beside what the log and the read models have.

It stands on the journals, on Redis's own replies and on the oracle; no fold and no document of ours
is decoded by our code.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from typing import Any
from uuid import UUID

import msgspec

from consumers.webhook.webhook_settings import WORTH_A_CALL
from events.entry.codec import decode
from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry, RecordedEvent
from tests.soak.journal import Request
from tests.support import oracle

ROUTE_TABLE = "route-table"
HEALTH_STATE = "health-state"
WEBHOOK = "webhook"
_NEVER = list(START)

Documents = Mapping[UUID, Any]
"""The JSON documents of one read model, by endpoint."""


class Verdict(msgspec.Struct):
    """What came of a soak.

    Attributes:
        appended: Events of the producers that the log has.
        acknowledged: Events of which their producers were told that they are in the log.
        lost: What was acknowledged and is not there, or did not come to the webhook.
        invented: What is there and nobody asked for, or more often than asked for.
        wrong: Documents that are not what the log says.
        told: Acknowledged events of which a loss was told, that was made on purpose.
        table: What the reader must not have shown.
        crashes: Processes that ended by themselves, and tracebacks.
    """

    appended: int
    acknowledged: int
    lost: list[str]
    invented: list[str]
    wrong: list[str]
    told: int = 0
    table: list[str] = []
    crashes: list[str] = []

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong, and there was something at all."""
        wrong = (self.lost, self.invented, self.wrong, self.table, self.crashes)
        return not any(wrong) and self.acknowledged > 0

    def line(self, faults: int) -> str:
        """Say it in one line."""
        return (
            f"{self.appended} appended, {self.acknowledged} acknowledged,"
            f" {len(self.lost)} lost, {len(self.invented)} invented,"
            f" {len(self.wrong)} wrong documents, {len(self.table)} wrong tables,"
            f" {len(self.crashes)} crashes, {self.told} lost on purpose and told, {faults} faults"
        )


class EndedHistory(msgspec.Struct, frozen=True):
    """The log as it was when it went away.

    Attributes:
        log: Its entries.
        given: Group and partition -> how many entries the group had been given.
        ended_at: When it began to go away, by the monotonic clock.
    """

    log: list[Entry]
    given: dict[tuple[str, int], int]
    ended_at: float


def judge(
    requests: Mapping[str, Request],
    ended: Sequence[EndedHistory],
    log: Sequence[Entry],
    models: Mapping[str, Documents],
    taken: AbstractSet[tuple[int, str]],
) -> Verdict:
    """Compare the journals with the logs, and the last log with the read models and the webhook.

    *ended* are those that went away on purpose. What a producer was told once a log had begun to
    go says nothing of that log: an append whose reply went with the server is tried again, and
    refused where the next history knows no such head.
    """
    logs = [*(was.log for was in ended), log]
    ends = [*(was.ended_at for was in ended), inf]
    found: dict[str, list[list[Entry]]] = defaultdict(lambda: [[] for _ in logs])
    invented = []
    for place, entries in enumerate(logs):
        for entry in entries:
            request_id = json.loads(entry.fields.get(b"metadata", b"{}")).get("request_id")
            if request_id in requests:
                found[request_id][place].append(entry)
            else:
                invented.append(f"entry {entry.entry_id}: no producer asked for it")
    lost: list[str] = []
    told = acknowledged = appended = 0
    for request_id, request in requests.items():
        everywhere = found[request_id]
        lost += _lost(request, everywhere)
        for one, ended_at in zip(everywhere, ends, strict=True):
            invented += _invented(request, one, ended_at)
        count = len(request.asked.events)
        acknowledged += count * request.is_acknowledged
        appended += min(count, sum(map(len, everywhere)))
        told += count * (request.is_acknowledged and not everywhere[-1])
    histories = histories_in(log)
    wrong: list[str] = []
    for model, documents in models.items():
        wrong += wrong_documents(model, documents, histories)
        strangers = documents.keys() - histories.keys()
        invented += [f"{model} {one}: nothing happened to such an endpoint" for one in strangers]
    lost += _not_posted(log, taken)
    return Verdict(appended, acknowledged, lost, invented, wrong, told=told)


def _not_posted(log: Iterable[Entry], taken: AbstractSet[tuple[int, str]]) -> Iterator[str]:
    """Say which entries the webhook should have posted and has not."""
    for entry in log:
        is_posted = (entry.partition, str(entry.entry_id)) in taken
        if entry.fields[b"name"].decode() in WORTH_A_CALL and not is_posted:
            yield f"webhook: entry {entry.entry_id} of partition {entry.partition}: never posted"


def _lost(request: Request, everywhere: Sequence[Sequence[Entry]]) -> Iterator[str]:
    """Say what of an acknowledged request is not where it was told to be, or half there."""
    asked, told = request.asked, request.told
    if request.is_acknowledged:
        there = {str(entry.entry_id) for found in everywhere for entry in found}
        for entry_id, (name, _) in zip(told.entry_ids, asked.events, strict=True):
            if entry_id not in there:
                yield f"entry {entry_id}: {name} of {asked.endpoint_id}, told {asked.request_id}"
    elif told.end == "uncertain":
        for found in everywhere:
            if 0 < len(found) < len(asked.events):
                yield f"request {asked.request_id}: {len(found)} of {len(asked.events)} landed"


def _invented(request: Request, found: Sequence[Entry], ended_at: float) -> Iterator[str]:
    """Say what there is of a request that was refused, or besides what it asked for."""
    asked, told = request.asked, request.told
    if found and told.end == "refused" and told.at < ended_at:
        yield f"entry {found[0].entry_id}: {asked.request_id} was told no ({told.why})"
    for entry in found[len(asked.events) :]:
        yield f"entry {entry.entry_id}: there again for {asked.request_id}"
    wanted = [(name.encode(), json.loads(bytes(payload))) for name, payload in asked.events]
    for entry in found[: len(wanted)]:
        if _said(entry) not in wanted:
            yield f"entry {entry.entry_id}: not what {asked.request_id} asked for"
    if len(found) == len(wanted) and [_said(entry) for entry in found] != wanted:
        yield f"entry {found[0].entry_id}: in another order than {asked.request_id} asked for"


def _said(entry: Entry) -> tuple[bytes, Any]:
    return entry.fields[b"name"], json.loads(entry.fields[b"payload"])


def histories_in(log: Iterable[Entry]) -> dict[UUID, list[RecordedEvent]]:
    """Return what *log* says of each endpoint, in its order."""
    histories: dict[UUID, list[RecordedEvent]] = defaultdict(list)
    for entry in log:
        recorded = decode(entry)
        histories[recorded.endpoint_id].append(recorded)
    return histories


def wrong_documents(
    model: str, documents: Documents, histories: Mapping[UUID, Sequence[RecordedEvent]]
) -> Iterator[str]:
    """Say which documents are missing, or not what their endpoint's history says."""
    for endpoint_id, history in histories.items():
        document = documents.get(endpoint_id)
        if not document:
            yield f"{model} {endpoint_id}: no document after {len(history)} events"
            continue
        shown, true = _SHOWN[model](document), _TRUE[model](history)
        differing = [f"{n} {shown[n]}, by the log {true[n]}" for n in true if shown[n] != true[n]]
        if differing:
            yield f"{model} {endpoint_id}: {'; '.join(differing)}"


def _true_table(history: Sequence[RecordedEvent]) -> dict[str, Any]:
    check = oracle.health_check(history)
    return {
        "version": list(history[-1].entry_id),
        "name": oracle.name(history),
        "destroyed": oracle.is_destroyed(history),
        "health check": None if check is None else msgspec.to_builtins(check),
        "routes": {
            str(route_id): [
                *(msgspec.to_builtins(route.address)),
                *(route.status, list(route.reasons[0]), list(route.status_since)),
                *(route.traffic_ratio, list(route.started_at or _NEVER)),
                *(route.health, route.health_reason, route.consecutive_failures),
            ]
            for route_id, route in oracle.present_routes(history).items()
        },
    }


def _shown_table(document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "version": document["version"],
        "name": document["name"],
        "destroyed": "destroyed_at" in document,
        "health check": document["health_check"],
        "routes": {
            route["route_id"]: [
                *(route["session_id"], route["app"]),
                *(route["kernel_host"], route["kernel_port"], route["protocol"]),
                *(route["status"], route.get("errors", [])),
                max(route.get("status_at", _NEVER), route.get("listed_at", _NEVER)),
                *(route["traffic_ratio"], route.get("started_at", _NEVER)),
                *(route["health"], route.get("health_reason")),
                route.get("consecutive_failures", 0),
            ]
            for route in document["routes"]
        },
    }


def _true_health(history: Sequence[RecordedEvent]) -> dict[str, Any]:
    routes = {}
    for route_id, route in oracle.present_routes(history).items():
        since = oracle.health_since(oracle.own_history(history, route_id))
        routes[str(route_id)] = [route.health, list(since or _NEVER)]
    return {
        "version": list(history[-1].entry_id),
        "destroyed": oracle.is_destroyed(history),
        "routes": routes,
    }


def _shown_health(document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "version": document["version"],
        "destroyed": "destroyed_at" in document,
        "routes": {
            route["route_id"]: [route["health"], route["since"]]
            for route in document["routes"]
            if "listed_at" in route
        },
    }


_TRUE = {ROUTE_TABLE: _true_table, HEALTH_STATE: _true_health}
_SHOWN = {ROUTE_TABLE: _shown_table, HEALTH_STATE: _shown_health}


def parsed(document: bytes) -> Any:  # noqa: ANN401 - JSON
    """Read a document as any program would; what is no JSON shows as nothing."""
    try:
        return json.loads(document)
    except ValueError:
        return {}


def entry_of(entry_id: bytes, fields: Mapping[bytes, bytes], partition: int) -> Entry:
    """Take an entry as Redis tells it."""
    return Entry(EntryId.parse(entry_id), partition, fields)
