"""Look up an endpoint by its id, the beginning of its id, or its name."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from itertools import islice
from uuid import UUID

import msgspec

from events.log.keys import partition_of
from events.log.log import EventLog
from events.log.partitions import ASKED_AT_ONCE, ask_each
from projections.errors import AmbiguousEndpointError, EndpointNotFoundError
from projections.read_model.missing_generation import no_live_generation
from projections.read_model.store import ReadModelStore, Wanted
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE

BEGINNING_CHARACTERS_MIN = 4
"""Characters of an endpoint's id that are needed to look it up."""

CANDIDATES_MAX = 5
"""Candidates that the message about an ambiguous name lists."""

LeftOut = Callable[[int], None]
"""Called with each partition that is not searched because its read model is not live."""


async def find_endpoint(log: EventLog, named: str, left_out: LeftOut | None = None) -> UUID:
    """Return the id of the endpoint that *named* stands for.

    A whole id is returned without checking that the endpoint exists: recording facts must not need
    a read model. Anything else is looked up in the live documents.

    Raises:
        EndpointNotFoundError: No endpoint is named like that.
        NoLiveGenerationError: There is no read model to look in.
        AmbiguousEndpointError: It could be several.
    """
    whole = whole_id(named)
    return whole if whole is not None else (await _search(log, named, left_out))[1].endpoint_id


async def read_endpoint(
    log: EventLog, named: str, left_out: LeftOut | None = None
) -> tuple[int, Endpoint]:
    """Return revision and live state of the endpoint that *named* stands for.

    Raises:
        EndpointNotFoundError: The endpoint has no live document.
        NoLiveGenerationError: There is no read model to look in.
        AmbiguousEndpointError: It could be several.
    """
    whole = whole_id(named)
    if whole is None:
        return await _search(log, named, left_out)
    store = _store(log, partition_of(whole, log.partitions))
    found = await store.live_document(str(whole))
    if found is None:
        raise EndpointNotFoundError(f"endpoint {whole} is not in the live read model")
    return found


async def live_endpoints(
    log: EventLog, left_out: LeftOut | None = None, wanted: Wanted | None = None
) -> AsyncGenerator[tuple[int, Endpoint]]:
    """Yield revision and state of every endpoint once, from each partition that is live.

    Only those that are *wanted* are decoded: see `ReadModelStore.page`.

    Raises:
        NoLiveGenerationError: No partition's read model is live.
    """
    stores = [_store(log, partition) for partition in range(log.partitions)]
    generations = await ask_each(range(log.partitions), lambda p: stores[p].live_generation())
    if all(generation is None for generation in generations.values()):
        raise await no_live_generation(
            log.server.client.call, log.keys, ROUTE_TABLE, range(log.partitions)
        )
    pages = {}
    for partition, generation in generations.items():
        if generation is not None:
            pages[partition] = stores[partition].load_pages(generation, wanted=wanted)
        elif left_out is not None:
            left_out(partition)
    # A scan may return a document twice while the hash grows.
    seen: set[UUID] = set()
    while pages:
        asked = islice(pages, ASKED_AT_ONCE)
        for partition, page in (await ask_each(asked, lambda p: anext(pages[p], None))).items():
            if page is None:
                del pages[partition]
                continue
            for revision, endpoint in page:
                if endpoint.endpoint_id not in seen:
                    seen.add(endpoint.endpoint_id)
                    yield revision, endpoint


async def find_session(log: EventLog, session_id: UUID, left_out: LeftOut | None = None) -> UUID:
    """Return the id of the endpoint that has a route in the session.

    Raises:
        EndpointNotFoundError: The live read model has no such route.
        NoLiveGenerationError: There is no read model to look in.
        AmbiguousEndpointError: Several endpoints have one.
    """
    found = [
        endpoint
        async for _, endpoint in live_endpoints(log, left_out)
        if any(route.session_id == session_id for route in endpoint.present_routes)
    ]
    if not found:
        raise EndpointNotFoundError(f"no route of the live read model is in session {session_id}")
    if len(found) > 1:
        raise AmbiguousEndpointError(_ambiguous(str(session_id), found))
    return found[0].endpoint_id


def whole_id(named: str) -> UUID | None:
    """Parse *named* as a whole id; None where it is the beginning of one, or a name."""
    try:
        return UUID(named)
    except ValueError:
        return None


def _store(log: EventLog, partition: int) -> ReadModelStore[Endpoint]:
    return ReadModelStore(log.server, log.keys, ROUTE_TABLE, partition)


async def _search(log: EventLog, named: str, left_out: LeftOut | None) -> tuple[int, Endpoint]:
    found = live_endpoints(log, left_out, _may_fit(named))
    return choose_endpoint([endpoint async for endpoint in found], named)


def _may_fit(named: str) -> Wanted:
    """Return what tells of a stored document whether it can be of the endpoint that is meant."""
    encodable = named.encode("utf-8", "replace").decode()
    beginning, name = encodable.lower().encode(), b'"name":' + msgspec.json.encode(encodable)
    return lambda endpoint, document: endpoint.startswith(beginning) or name in document


def choose_endpoint(
    found: Sequence[tuple[int, Endpoint]], named: str, when: str = ""
) -> tuple[int, Endpoint]:
    """Return the endpoint of *found*, with its revision, that *named* stands for.

    The message of EndpointNotFoundError ends with *when*.

    Raises:
        EndpointNotFoundError: No endpoint is named like that.
        AmbiguousEndpointError: It could be several.
    """
    fitting = [
        (revision, endpoint)
        for revision, endpoint in found
        if str(endpoint.endpoint_id) == named or _fits(endpoint, named)
    ]
    # A destroyed endpoint counts only where no other fits.
    present = [(revision, endpoint) for revision, endpoint in fitting if not endpoint.is_destroyed]
    chosen = present or fitting
    if not chosen:
        least = f"; {BEGINNING_CHARACTERS_MIN} characters of an id are the least"
        raise EndpointNotFoundError(
            f"no endpoint has the name {named!r}, or an id that begins like that{when}"
            f"{least if len(named) < BEGINNING_CHARACTERS_MIN else ''}"
        )
    if len(chosen) > 1:
        raise AmbiguousEndpointError(_ambiguous(named, [endpoint for _, endpoint in chosen]))
    return chosen[0]


def shared_names(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return a sentence for each name that several of *endpoints* have which exist."""
    by_name: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        if endpoint.name and not endpoint.is_destroyed:
            by_name.setdefault(endpoint.name, []).append(endpoint)
    return [
        f"{len(sharing)} endpoints have the name {name!r}: only their ids name them"
        for name, sharing in sorted(by_name.items())
        if len(sharing) > 1
    ]


def _fits(endpoint: Endpoint, named: str) -> bool:
    if endpoint.name == named:
        return True
    beginning = named.lower()
    return len(named) >= BEGINNING_CHARACTERS_MIN and str(endpoint.endpoint_id).startswith(
        beginning
    )


def _ambiguous(named: str, endpoints: Sequence[Endpoint]) -> str:
    in_order = sorted(endpoints, key=lambda endpoint: str(endpoint.endpoint_id))
    listed = ", ".join(
        f"{endpoint.endpoint_id} ({endpoint.name or 'no name'})"
        for endpoint in in_order[:CANDIDATES_MAX]
    )
    more = f" and {len(in_order) - CANDIDATES_MAX} more" if len(in_order) > CANDIDATES_MAX else ""
    return f"endpoint {named!r} could be {listed}{more}; give the id"
