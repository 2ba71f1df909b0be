"""The one line of a batch: its keys, its counts, its level."""

from collections.abc import Mapping, Sequence
from typing import Any

from consumers.errors import UnprocessableError
from consumers.runtime.projector import Projector
from events import EventLog
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.log_lines import captured_lines
from tests.support.running_consumer import (
    GROUP,
    QUICK,
    UNCLAIMED,
    Handling,
    add_raw,
    consumer_of,
    consuming,
    create_group,
    created,
    deliver,
    make_idle,
    until_dead,
    until_settled,
)

KEYS = [
    *("group", "partition", "consumer", "entries", "first", "last"),
    *("handled", "skipped", "retried", "dead", "left", "claimed", "conflicts"),
    *("deliveries_max", "oldest_age_s", "apply_ms", "ms"),
]


def lines(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in logs if one["event"] == "batch_settled"]


async def test_a_batch_is_told_with_all_that_became_of_its_entries(log: EventLog) -> None:
    entries = (await log.append(*(created() for _ in range(4)))).entry_ids
    skipped = await add_raw(log, b"name", b"told_by_others", b"payload", b"{}")
    handling = Handling()
    handling.failures[entries[1]] = UnprocessableError("never")
    handling.failures[entries[2]] = RuntimeError("not now")
    with captured_lines() as logs:
        async with consuming(consumer_of(log, handling, settings=UNCLAIMED)):
            await until_dead(log, 2)
            await until_settled(log)

    first, *retries = lines(logs)
    assert [key for key in first if key not in {"event", "log_level"}] == KEYS
    assert {key: first[key] for key in KEYS[:14]} == {
        "group": GROUP,
        "partition": 0,
        "consumer": "first",
        "entries": 5,
        "first": str(entries[0]),
        "last": str(skipped),
        "handled": 2,
        "skipped": 1,
        "retried": 1,
        "dead": 1,
        "left": 0,
        "claimed": 0,
        "conflicts": 0,
        "deliveries_max": 1,
    }
    assert 0 <= first["oldest_age_s"] < 60
    assert first["log_level"] == "info"
    assert [(one["retried"], one["dead"], one["deliveries_max"]) for one in retries] == [
        (1, 0, 2),
        (0, 1, 3),
    ]


async def test_what_was_claimed_is_told_with_its_batch_alone(log: EventLog) -> None:
    await create_group(log)
    await log.append(*(created() for _ in range(3)))
    await make_idle(log, "gone", await deliver(log, "gone", 3))
    with captured_lines() as logs:
        async with consuming(consumer_of(log, Handling(), settings=QUICK)):
            await until_settled(log)
            await log.append(*(created() for _ in range(20)))
            await until_settled(log)
    told = [(one["entries"], one["claimed"], one["log_level"]) for one in lines(logs)]
    assert told == [(3, 3, "info"), (20, 0, "debug")]


async def test_a_batch_that_went_well_is_told_at_debug_whatever_its_size(log: EventLog) -> None:
    with captured_lines() as logs:
        async with consuming(consumer_of(log, Handling())):
            for count in (1, 200):
                await log.append(*(created() for _ in range(count)))
                await until_settled(log)
    assert sum(one["entries"] for one in lines(logs)) == 201
    assert {one["log_level"] for one in lines(logs)} == {"debug"}


async def test_a_projectors_line_tells_how_long_its_applies_took(log: EventLog) -> None:
    projector = Projector(log, ROUTE_TABLE, 0, QUICK.policy)
    with captured_lines() as logs:
        async with consuming(consumer_of(log, projector, group=ROUTE_TABLE.name)):
            await until_settled(log, ROUTE_TABLE.name)
            await log.append(*(created() for _ in range(50)))
            await until_settled(log, ROUTE_TABLE.name)
    [told] = lines(logs)
    assert (told["entries"], told["handled"], told["left"]) == (50, 50, 0)
    assert 0 < told["apply_ms"] <= told["ms"]
