"""The live view and what would steer the terminal: it is shown as it is written, never obeyed."""

from uuid import UUID

import pytest

from events import EndpointCreatedEvent, EndpointRouteListUpdatedEvent, EventLog
from events.catalogue.route import RouteFailedEvent
from tests.consumers.support.live_view import ROUTES, WIDE, go_live, route, screen

EVIL = "E\x1b[35m\x1b]0;pwn\x07\x00\x7f\x9b2J\u2066\u202e[b]L"
SHOWN = "E\\x1b[35m\\x1b]0;pwn\\x07\\x00\\x7f\\x9b2J\\u2066\\u202e[b]L"
ENDPOINT = UUID("ee110000-0000-4000-8000-000000000000")
DETAILS = {
    "2": ("endpoint ee110000", "last events"),
    "3": ("partition 0", "consumers"),
    "4": ("dead letter of", "given up on"),
    "5": ("entry ", "payload"),
}


async def fill(log: EventLog) -> None:
    """Have something that would steer the terminal in every column that others fill."""
    await log.append(
        EndpointCreatedEvent(endpoint_id=ENDPOINT, name=EVIL, model=EVIL),
        EndpointRouteListUpdatedEvent(endpoint_id=ENDPOINT, routes=(route(ROUTES[0]),)),
        RouteFailedEvent(endpoint_id=ENDPOINT, route_id=ROUTES[0], errors=(EVIL,)),
    )
    await go_live(log)
    call, stream = log.server.client.call, log.keys.events(0)
    await call("XADD", stream, "*", "name", EVIL, "source", EVIL, EVIL, EVIL, "payload", "{")
    await call("XGROUP", "CREATE", stream, EVIL, "0")
    await call("XREADGROUP", "GROUP", EVIL, EVIL, "COUNT", 2, "STREAMS", stream, ">")
    told = {"entry_id": "1-1", "reason": EVIL, "error": EVIL, "deliveries": 1, "consumer": EVIL}
    times = dict.fromkeys(("first_at", "last_at"), "2026-11-25T02:39:46+00:00")
    fields = {f"dead_{name}": value for name, value in (told | times).items()}
    flat = [part for pair in (fields | {"name": EVIL, EVIL: EVIL}).items() for part in pair]
    await call("XADD", log.keys.dead(0, EVIL), "*", *flat)


@pytest.mark.parametrize("key", ["1", *DETAILS])
async def test_no_pane_and_no_detail_passes_a_control_character_on(log: EventLog, key: str) -> None:
    await fill(log)
    async with screen(log, WIDE) as shown:
        await shown.press(key)
        await shown.until("E\\x1b[35m")
        assert [line for line in shown.lines if not line.isprintable()] == []
        if key in DETAILS:
            await shown.press("enter")
            await shown.until(*DETAILS[key])
            assert [line for line in shown.lines if not line.isprintable()] == []


@pytest.mark.parametrize(("key", "times"), [("2", 2), ("3", 1), ("4", 4), ("5", 4)])
async def test_every_column_shows_it_escaped_and_whole(log: EventLog, key: str, times: int) -> None:
    await fill(log)
    async with screen(log, (500, 50)) as shown:
        await shown.press(key)
        await shown.until(SHOWN)
        assert shown.text.count(SHOWN) >= times
