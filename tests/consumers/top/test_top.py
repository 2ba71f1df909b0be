"""The live view, driven by its keys, on a narrow and on a wide screen."""

from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from consumers.cli.top import subject_pane
from consumers.cli.top.deployment_state import SUBJECTS
from events import EndpointCreatedEvent, EventLog
from tests.consumers.support.live_view import CHAT, NARROW, WIDE, deploy, go_live, record, screen
from tests.events.support.archives import archive_in, trim
from tests.events.support.archives import run as archive_all

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "200x50"])
KEY_COLUMNS = {
    "2": ("ENDPOINT", "NAME", "ROUTES", "HEALTH", "TRAFFIC", "CHANGED"),
    "3": ("GROUP", "CONSUMERS", "PENDING", "LAG", "OLDEST", "RATE/S", "STATE"),
    "4": ("GROUP", "ENTRY", "TRIED", "REASON", "ERROR"),
    "5": ("TIME", "ENDPOINT", "TYPE", "SAYS"),
}


@SIZES
async def test_the_overview_shows_endpoints_groups_and_the_log(
    log: EventLog, size: tuple[int, int]
) -> None:
    await deploy(log)
    async with screen(log, size) as shown:
        await shown.until("c4a70000", "chat", "1/2", "1 healthy, 1 unhealthy", "100%")
        await shown.until("a-group", "working", "model_service_status_updated")
        await shown.until("2 endpoints, 2/3 routes", "backlog 7", "4 dead letters 1")
        assert len(shown.lines) == size[1]
        assert max(map(len, shown.lines)) <= size[0]


@SIZES
@pytest.mark.parametrize("key", KEY_COLUMNS)
async def test_each_pane_has_its_key_columns_whole_at_each_size(
    log: EventLog, size: tuple[int, int], key: str
) -> None:
    await deploy(log)
    async with screen(log, size) as shown:
        await shown.until("c4a70000")
        await shown.press(key)
        await shown.until(*KEY_COLUMNS[key])
        [heading] = [line for line in shown.lines if line.strip().startswith(KEY_COLUMNS[key][0])]
        words = heading.split()
        assert [word for word in words if word in KEY_COLUMNS[key]] == list(KEY_COLUMNS[key])


@SIZES
async def test_what_names_a_thing_is_never_cut(log: EventLog, size: tuple[int, int]) -> None:
    await deploy(log)
    async with screen(log, size) as shown:
        await shown.press("2")
        await shown.until("c4a70000", "chat")
        [chat] = shown.rows("c4a70000")
        assert "chat" in chat
        await shown.press("3")
        await shown.until("a-group")
        [group] = shown.rows("a-group")
        assert group[-1] == "working"
        assert {"1", "2", "5"} <= set(group)
        await shown.press("4")
        await shown.until("1795574386333-0", "undecodable", "the entry has no name")


async def test_a_narrow_overview_counts_dead_letters_beside_the_key_that_leads_to_each_of_them(
    log: EventLog,
) -> None:
    await deploy(log)
    async with screen(log, NARROW) as shown:
        await shown.until("endpoints  2", "dead letters 1")
        await shown.until_not(("REASON",))
        [tabs] = [line for line in shown.lines if "1 overview" in line]
        await shown.press(tabs.split(" dead letters 1")[0].split()[-1])
        await shown.until("dead letters  1", "REASON", "undecodable")
        await shown.press("enter")
        await shown.until("dead letter of a-group", "the entry has no name")
        await shown.press("escape", "1")
        await shown.until("endpoints  2")


async def test_a_narrow_screen_has_room_for_ten_thousand_dead_letters_and_the_clock(
    log: EventLog,
) -> None:
    await deploy(log)
    async with screen(log, NARROW) as shown:
        await shown.until("dead letters 1")
        assert shown.app.seen is not None
        await shown.press("space")
        shown.app.seen = replace(shown.app.seen, dead_count=10_000)
        await shown.until("4 dead letters 10000", "5 log", "PAUSED")
        [tabs] = [line for line in shown.lines if "1 overview" in line]
        assert tabs.endswith("PAUSED")


async def test_tab_and_shift_tab_go_through_the_panes(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.until("c4a70000")
        for heading in ("TRAFFIC", "CONSUMERS", "REASON", "SAYS"):
            await shown.press("tab")
            await shown.until(heading)
        await shown.press("tab")
        await shown.until("endpoints  2", "groups  ")
        await shown.press("shift+tab")
        await shown.until("the log, newest first")
        await shown.until_not(("endpoints  2",))


async def test_s_sorts_by_the_next_column_and_shift_s_turns_it_round(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.press("2")
        await shown.until("c4a70000", "e3bed000")
        await shown.press("s", "s")
        await shown.until("sorted by NAME")
        assert shown.text.index("c4a70000") < shown.text.index("e3bed000")
        await shown.press("S")
        await shown.until("sorted by NAME reversed")
        assert shown.text.index("c4a70000") > shown.text.index("e3bed000")


async def test_a_click_on_a_heading_sorts_by_it_and_a_second_one_turns_it_round(
    log: EventLog,
) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.press("2")
        await shown.until("c4a70000", "e3bed000")
        [row] = [y for y, line in enumerate(shown.lines) if "ROUTES" in line]
        column = shown.lines[row].index("ROUTES") + 1
        await shown.click(column, row)
        await shown.until("sorted by ROUTES")
        await shown.click(column, row)
        await shown.until("sorted by ROUTES reversed")
        assert shown.text.index("e3bed000") < shown.text.index("c4a70000")


async def test_the_worst_endpoint_comes_first_unless_sorted(log: EventLog) -> None:
    await record(log)
    healthy = UUID(int=1)
    await log.append(EndpointCreatedEvent(endpoint_id=healthy, name="aaa", model="m"))
    await go_live(log)
    async with screen(log) as shown:
        await shown.press("2")
        await shown.until("aaa", "chat")
        assert shown.text.index("chat") < shown.text.index("aaa")


async def test_a_filter_leaves_the_rows_that_contain_it_and_escape_brings_all_back(
    log: EventLog,
) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.press("2")
        await shown.until("c4a70000", "e3bed000")
        await shown.press("slash", *"UNHEALTHY")
        await shown.until("filter UNHEALTHY: 1")
        await shown.until_not(("e3bed000",), ("c4a70000",))
        await shown.press("enter")
        await shown.press("slash", *["backspace"] * 9, *"!unhealthy", "enter")
        await shown.until_not(("c4a70000",), ("e3bed000",))
        await shown.press("escape")
        await shown.until("c4a70000", "e3bed000")


async def test_enter_on_an_endpoint_shows_its_routes_history_and_events(log: EventLog) -> None:
    await deploy(log)
    async with screen(log, WIDE) as shown:
        await shown.press("2")
        await shown.until("c4a70000")
        await shown.press("enter")
        await shown.until("endpoint c4a70000 chat", str(CHAT), "knowledge", "HISTORY")
        await shown.until("10.0.0.1:8000", "none: unhealthy", "HTTP 503", "last events")
        await shown.until("endpoint_created", "endpoint_route_list_updated")
        await shown.press("escape")
        await shown.until("TRAFFIC")


async def test_an_endpoint_shows_the_events_that_only_the_archive_has(
    log: EventLog, tmp_path: Path
) -> None:
    await deploy(log)
    archive = archive_in(tmp_path, log)
    await archive_all(log, archive)
    await trim(log, str(await log.head(0)))
    async with screen(log, WIDE, archive) as shown:
        await shown.press("2")
        await shown.until("c4a70000")
        await shown.press("enter")
        await shown.until("last events", "endpoint_created", "endpoint_route_list_updated")


async def test_enter_on_a_group_shows_its_consumers_and_what_is_pending(log: EventLog) -> None:
    await deploy(log)
    entries = [str(e.entry_id) async for chunk in log.read_entries(0) for e in chunk]
    async with screen(log) as shown:
        await shown.press("3")
        await shown.until("a-group")
        await shown.press("enter")
        await shown.until("group a-group, partition 0", "c-1", entries[0], entries[1])
        await shown.until("endpoint_created", "DELIVERIES")
        await shown.until_not((entries[2],))


async def test_enter_shows_a_dead_letter_and_an_event(log: EventLog) -> None:
    await deploy(log)
    async with screen(log, WIDE) as shown:
        await shown.press("4")
        await shown.until("undecodable")
        await shown.press("enter")
        await shown.until("dead letter of a-group", "field level", "deliveries")
        await shown.press("escape")
        await shown.press("5")
        await shown.until("SAYS")
        await shown.press("enter")
        await shown.until("payload", '"new_status": "healthy"', "event id")


async def test_a_paused_picture_stands_still_and_goes_on(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.press("5")
        await shown.until("model_service_status_updated")
        await shown.press("space")
        await shown.until("PAUSED")
        before = shown.app.seen
        await log.append(EndpointCreatedEvent(endpoint_id=UUID(int=7), name="late", model="m"))
        await shown.until("PAUSED")
        assert shown.app.seen is before
        await shown.press("space")
        await shown.until("late: model m")


async def test_the_help_tells_every_key_and_fits(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.until("c4a70000")
        await shown.press("question_mark")
        await shown.until("quit", "pause", "only rows that contain", "tab, shift+tab")
        assert max(map(len, shown.lines)) <= NARROW[0]
        await shown.press("escape")
        await shown.until("1 overview")


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
async def test_q_quits_and_ctrl_c_interrupts(log: EventLog, key: str, code: int) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.until("c4a70000")
        await shown.press(key)
        assert shown.app.return_code == code
        assert not shown.app.is_running


async def test_events_arrive_on_the_screen_by_themselves(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.until("c4a70000")
        await log.append(EndpointCreatedEvent(endpoint_id=UUID(int=9), name="n", model="brand-new"))
        await shown.until("brand-new")


async def test_the_cursor_stays_with_its_row_when_rows_come(log: EventLog) -> None:
    await deploy(log)
    async with screen(log) as shown:
        await shown.press("5")
        await shown.until("model_service_status_updated")
        await shown.press("down", "down")
        table = shown.app._active().table
        key = shown.app._active()._keys[table.cursor_row]
        await log.append(EndpointCreatedEvent(endpoint_id=UUID(int=9), name="n", model="brand-new"))
        await shown.until("brand-new")
        assert shown.app._active()._keys[table.cursor_row] == key


def test_every_subject_has_a_title() -> None:
    assert set(subject_pane._TITLES) == set(SUBJECTS)
