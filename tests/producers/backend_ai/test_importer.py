from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from events import START, EventLog, ModelServiceStatusEvent
from producers.backend_ai.capture import UnreadableCaptureError
from producers.backend_ai.importer import import_capture
from producers.backend_ai.translation import TranslationCounts
from projections.route_table.endpoint import Endpoint
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines

DATA = Path(__file__).parents[2] / "data"
CAPTURE = DATA / "backend-ai-25.15.0-traffic.jsonl"
EXPECTED = DATA / "backend-ai-25.15.0-expected.json"

ENDPOINT, SESSION = UUID(int=0xE1), UUID(int=0xA1)
LIST_KEY = f"endpoint.{ENDPOINT}.route_connection_info"


async def folded(log: EventLog) -> dict[UUID, Endpoint]:
    endpoints: dict[UUID, Endpoint] = {}
    async for recorded in log.read():
        before = endpoints.get(recorded.endpoint_id) or ROUTE_TABLE.initial(recorded.endpoint_id)
        endpoints[recorded.endpoint_id] = ROUTE_TABLE.evolve(before, recorded)
    return endpoints


def written(path: Path, *commands: tuple[str, ...]) -> Path:
    lines = [
        msgspec.json.encode({"t": float(place), "db": 4, "args": command})
        for place, command in enumerate(commands)
    ]
    path.write_bytes(b"\n".join(lines))
    return path


def apps(routes: int) -> str:
    items = [
        {
            "session_id": UUID(int=SESSION.int + n),
            "route_id": UUID(int=1 + n),
            "kernel_host": None,
            "kernel_port": 8000,
        }
        for n in range(routes)
    ]
    return msgspec.json.encode({"vllm": items}).decode()


def said(name: str, **payload: object) -> tuple[str, ...]:
    text = msgspec.json.encode(payload).decode()
    return ("XADD", "events", "*", "name", name, "source", "manager", "payload", text)


LIST_UPDATED = said("endpoint_route_list_updated", endpoint_id=ENDPOINT)
HEALTHY = said("model_service_status_updated", session_id=SESSION, new_status="healthy")


def outcome(endpoints: dict[UUID, Endpoint]) -> dict[str, Any]:
    return {
        str(endpoint_id): [
            (
                str(route.route_id),
                route.traffic_ratio,
                None if route.health == "not_checked" else route.health,
            )
            for route in endpoint.present_routes
        ]
        for endpoint_id, endpoint in endpoints.items()
    }


async def test_the_captured_traffic_ends_in_what_was_expected_also_a_second_time(
    log: EventLog,
) -> None:
    if not CAPTURE.exists() or not EXPECTED.exists():
        pytest.skip(f"the captured traffic is not there: {DATA}")
    expected = {
        endpoint_id: [(r["route_id"], r["traffic_ratio"], r["health"]) for r in endpoint["routes"]]
        for endpoint_id, endpoint in msgspec.json.decode(EXPECTED.read_bytes()).items()
    }

    counts = await import_capture(log, CAPTURE)

    assert outcome(await folded(log)) == expected
    assert counts.events == len([recorded async for recorded in log.read()])
    await import_capture(log, CAPTURE)
    assert outcome(await folded(log)) == expected


async def test_what_is_refused_is_logged_with_its_line_and_passed_over(
    log: EventLog, tmp_path: Path
) -> None:
    path = written(
        tmp_path / "traffic.jsonl",
        ("SET", LIST_KEY, '{"vllm":[{}]}'),
        LIST_UPDATED,
        ("SET", LIST_KEY, apps(1)),
        LIST_UPDATED,
    )

    with captured_lines() as lines:
        counts = await import_capture(log, path)

    [line] = [line for line in lines if line["event"] == "command_refused"]
    assert (line["line"], line["path"]) == (2, str(path))
    assert line["error"].startswith(f"{LIST_KEY}: vllm[0]: ")
    assert counts == TranslationCounts(handed_over=2, refused=1, translated=1, events=3)
    assert outcome(await folded(log)) == {str(ENDPOINT): [(str(UUID(int=1)), 1.0, None)]}


async def test_a_list_of_more_events_than_an_append_may_have_is_recorded_whole(
    log: EventLog, tmp_path: Path
) -> None:
    path = written(tmp_path / "traffic.jsonl", ("SET", LIST_KEY, apps(1_000)), LIST_UPDATED)

    assert (await import_capture(log, path)).events == 1_002
    routes = (await folded(log))[ENDPOINT].present_routes
    assert len([route for route in routes if route.started_at > START]) == 1_000


async def test_a_status_is_observed_when_the_capture_says(log: EventLog, tmp_path: Path) -> None:
    path = written(tmp_path / "traffic.jsonl", ("SET", LIST_KEY, apps(1)), LIST_UPDATED, HEALTHY)
    began_at = datetime(2025, 11, 1, tzinfo=UTC)

    await import_capture(log, path, began_at=began_at)

    events = [recorded.event async for recorded in log.read()]
    assert isinstance(events[-1], ModelServiceStatusEvent)
    assert events[-1].observed_at == began_at + timedelta(seconds=2)


async def test_what_stands_before_a_broken_line_is_recorded(log: EventLog, tmp_path: Path) -> None:
    path = written(tmp_path / "traffic.jsonl", ("SET", LIST_KEY, apps(1)), LIST_UPDATED)
    path.write_bytes(path.read_bytes() + b"\n{]")

    with pytest.raises(UnreadableCaptureError, match="line 3: "):
        await import_capture(log, path)
    assert len((await folded(log))[ENDPOINT].present_routes) == 1


async def test_a_file_that_is_not_there_changes_nothing(log: EventLog, tmp_path: Path) -> None:
    with pytest.raises(UnreadableCaptureError, match="No such file"):
        await import_capture(log, tmp_path / "nowhere.jsonl")
    assert await folded(log) == {}
