from uuid import UUID

from msgspec.structs import replace

from events.log.log import EventLog
from projections.read_model.audit import Audit
from tests.projections.test_reader import FIRST
from tests.support.read_model import WrittenTable

DOCUMENTS = 1_200


async def test_an_audit_of_a_large_table_goes_in_steps_and_misses_nothing(log: EventLog) -> None:
    table = WrittenTable(log)
    endpoints = [replace(FIRST, endpoint_id=UUID(int=1 + n)) for n in range(DOCUMENTS)]
    await table.begin(*endpoints)
    held = dict(table.revisions)
    slipped = [replace(one, name="slipped") for one in endpoints[::400]]
    for one in slipped:
        await table.slip(one)
    await table.client.call("HSET", table.documents, "no endpoint", "no document")
    audit = Audit(table.store, every_s=3_600)
    looked_at = 0

    def revision_of(endpoint_id: UUID) -> int:
        nonlocal looked_at
        looked_at += 1
        return held[endpoint_id]

    found = []
    steps: list[int] = []
    while not steps or not audit.is_at_start:
        before = looked_at
        found += await audit.step(table.generation, revision_of)
        steps.append(looked_at - before)
    assert max(steps) < DOCUMENTS / 4
    assert {state.endpoint_id for _, state in found} == {one.endpoint_id for one in slipped}
    assert not audit.is_due
