"""Import a capture of a Backend.AI cluster into the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anyio.lowlevel import checkpoint

from events.catalogue.event import Event
from events.entry.recorded import Metadata, RecordedEvent
from events.log.batch import APPEND_MAX
from events.log.keys import partition_of
from events.log.log import EventLog
from events.structured_logger import structured_logger
from producers.backend_ai.capture import read_capture
from producers.backend_ai.translation import Translation, TranslationCounts
from producers.errors import ProducersError

SOURCE = "backend-ai"
"""The source of imported events; the log to import into is opened with it."""

_log = structured_logger(__name__)


async def import_capture(
    log: EventLog, path: str | Path, *, began_at: datetime | None = None
) -> TranslationCounts:
    """Translate the capture at *path* into events, and append them to what *log* has.

    A refused command (with a broken hand-off list, for example) is logged with its line and
    skipped; so is a refused route of a list, whose other routes are recorded. No other producer
    should record the same endpoints during the import: it does not see what others append after
    its start.

    Importing the same file again repeats its whole history: where an endpoint's last state differs
    from its first, the transitions are recorded a second time, and the route table shows past
    states until the import ends. It ends with the same routes, weights, health and health checks
    as the first time, with newer stamps. The exception is a status that precedes the first list
    that names its session: the first import cannot resolve it, the second finds its route.

    Args:
        log: The log to append to, opened with the source that the events shall carry.
        path: The file; see `producers.backend_ai.capture`.
        began_at: When the capture began, with its time zone. The file has only the time since
            then; without *began_at*, statuses are recorded as observed at the time of the import.

    Raises:
        UnreadableCaptureError: The file or a line of it cannot be read; the lines before that
            line have been recorded.
        EventsError: The log cannot be read or appended to; see `EventLog.append`.
    """
    translation = Translation()
    async for recorded in log.read():
        translation.evolve(recorded)
    for command in read_capture(path):
        await checkpoint()
        observed_at = began_at + timedelta(seconds=command.t_s) if began_at else datetime.now(UTC)
        try:
            events = translation.translate(command.args, observed_at)
        except ProducersError as error:
            _log.warning("command_refused", path=str(path), line=command.line, error=str(error))
            continue
        for found in translation.problems:
            _log.warning(found.kind, path=str(path), line=command.line, problem=found.problem)
        for recorded in await _append(log, events):
            translation.evolve(recorded)
    return translation.counts


async def _append(log: EventLog, events: Sequence[Event]) -> list[RecordedEvent]:
    """Append the events of one command, all of one endpoint, and return them as recorded."""
    recorded = []
    for begin in range(0, len(events), APPEND_MAX):
        batch = events[begin : begin + APPEND_MAX]
        appended = await log.append(*batch)
        recorded += [
            # The fold uses neither the event's id nor its source.
            RecordedEvent(
                entry_id,
                partition_of(event.endpoint_id, log.partitions),
                event,
                event_id="",
                source=SOURCE,
                metadata=Metadata(),
            )
            for event, entry_id in zip(batch, appended.entry_ids, strict=True)
        ]
    return recorded
