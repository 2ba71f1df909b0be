"""Dead letters, made without a consumer that fails."""

from consumers.runtime.dead_letters import DeadLetters
from consumers.runtime.outcome import DeadLetter, Delivery
from events import EntryId, EventLog
from events.entry.recorded import Entry
from tests.support.running_consumer import GROUP


async def give_up(log: EventLog, *entry_ids: EntryId, group: str = GROUP) -> None:
    """Make dead letters of entries that are pending."""
    for entry_id in entry_ids:
        [[entry]] = [some async for some in log.read_entries(0, entry_id, entry_id)]
        delivery = Delivery(Entry(entry_id, 0, entry.fields), 3)
        letters = DeadLetters(log.server, log.keys, 0, group)
        assert await letters.move(delivery, DeadLetter("failed 3 times", "no luck"), "first")
