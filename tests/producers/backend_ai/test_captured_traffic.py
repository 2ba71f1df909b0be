"""What 40 endpoints of release 25.15.0 sent through Redis, against an independent reading of it."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.catalogue.health_check import shown_fields
from events.entry.entry_id import EntryId
from events.entry.recorded import Metadata, RecordedEvent
from producers.backend_ai.capture import read_capture
from producers.backend_ai.translation import Translation
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE

DATA = Path(__file__).parents[2] / "data"
CAPTURE = DATA / "backend-ai-25.15.0-traffic.jsonl"
EXPECTED = DATA / "backend-ai-25.15.0-expected.json"

OBSERVED_AT = datetime(2025, 11, 1, tzinfo=UTC)

Captured = tuple[Translation, list[RecordedEvent]]


@pytest.fixture(scope="module")
def captured() -> Captured:
    if not CAPTURE.exists() or not EXPECTED.exists():
        pytest.skip(f"the captured traffic is not there: {DATA}")
    return translated([])


def translated(before: Iterable[RecordedEvent]) -> Captured:
    """Translate the whole capture on top of a log in memory, with rising entry ids."""
    translation = Translation()
    log = list(before)
    for recorded in log:
        translation.evolve(recorded)
    for command in read_capture(CAPTURE):
        for event in translation.translate(command.args, OBSERVED_AT):
            entry_id = EntryId(1_700_000_000_000, len(log) + 1)
            log.append(RecordedEvent(entry_id, 0, event, "", "backend-ai", Metadata()))
            translation.evolve(log[-1])
    return translation, log


def test_it_ends_in_what_was_expected(captured: Captured) -> None:
    translation, _ = captured

    assert shown(translation.endpoints) == msgspec.json.decode(EXPECTED.read_bytes())


def test_every_command_is_accounted_for(captured: Captured) -> None:
    translation, log = captured
    counts = translation.counts

    assert sum(msgspec.structs.asdict(counts).values()) - counts.events == 2_299
    assert (counts.handed_over, counts.broadcasts) == (1_041, 456)
    assert counts.translated + counts.unchanged == 346 + 456
    assert counts.events == len(log)


def test_a_second_time_on_the_same_log_it_ends_the_same(captured: Captured) -> None:
    translation, log = captured
    again, _ = translated(log)

    assert shown(again.endpoints) == shown(translation.endpoints)


@pytest.mark.parametrize("seed", range(5))
def test_no_order_and_no_repetition_changes_an_endpoint(captured: Captured, seed: int) -> None:
    translation, log = captured
    chance = random.Random(seed)
    deliveries = log + chance.choices(log, k=len(log) // 2)
    chance.shuffle(deliveries)
    endpoints: dict[UUID, Endpoint] = {}
    for recorded in deliveries:
        before = endpoints.get(recorded.endpoint_id) or ROUTE_TABLE.initial(recorded.endpoint_id)
        endpoints[recorded.endpoint_id] = ROUTE_TABLE.evolve(before, recorded)

    assert endpoints == translation.endpoints


def shown(endpoints: Mapping[UUID, Endpoint]) -> dict[str, Any]:
    """Return the endpoints as the file of what is expected shows them."""
    return {str(endpoint_id): _shown(endpoint) for endpoint_id, endpoint in endpoints.items()}


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    check = endpoint.health_check
    assert check is None or check.initial_delay is None
    health_check = None if check is None else shown_fields(check)
    routes = [
        {
            "app": route.app,
            "health": None if route.health == "not_checked" else route.health,
            "kernel_host": route.kernel_host,
            "kernel_port": route.kernel_port,
            "route_id": str(route.route_id),
            "session_id": str(route.session_id),
            "traffic_ratio": route.traffic_ratio,
        }
        for route in endpoint.present_routes
    ]
    return {"health_check": health_check, "routes": routes}
