"""Whatever happens while a reader loads the table, it keeps what is there."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from events import EventLog
from projections.read_model.store import ReadModelStore
from tests.projections.test_reader import FIRST, named, reading, until_named
from tests.support.histories import E
from tests.support.log_lines import captured_lines
from tests.support.read_model import WrittenTable


@pytest.fixture
async def table(log: EventLog) -> WrittenTable:
    made = WrittenTable(log)
    await made.begin(FIRST)
    return made


async def test_an_endpoint_whose_document_is_mended_just_while_all_are_loaded_stays_in_the_table(
    log: EventLog, table: WrittenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended, other = uuid4(), uuid4()
    await table.put(named("mended", mended), named("other", other))
    load_all = ReadModelStore.load_all

    async def without_the_mended(store: ReadModelStore[Any], generation: int) -> AsyncIterator[Any]:
        async for revision, state in load_all(store, generation):
            if state.endpoint_id != mended:
                yield revision, state

    with captured_lines() as logs:
        async with reading(log) as reader:
            monkeypatch.setattr(ReadModelStore, "load_all", without_the_mended)
            fields = ("previous", "1-1", "generation", table.generation, "changes", f"{E} 1")
            await table.client.call("XADD", table.store.changes, "*", *fields)
            await table.put(named("later", other))
            await until_named(reader, "later", other)
            known = reader.endpoint(mended)
    assert "table_reloaded" in [line["event"] for line in logs]
    assert known is not None
    assert known.name == "mended"
