"""Finds what keeps the group backend-ai from reading Backend.AI's stream."""

from collections.abc import Sequence

from consumers.backend_ai.backend_ai_group import backend_ai_stream
from consumers.backend_ai.backend_ai_stream_settings import BackendAIStreamSettings
from consumers.doctor.finding import Finding, counted, error, ok, warning
from consumers.groups.backlog import Backlog, read_backlog
from consumers.groups.seen_losses import read_group_losses
from events.entry.age import span
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError
from events.log.log import EventLog
from events.server.reply import reply

ABOUT = "Backend.AI's stream"

LATE_S = 60.0
"""An entry is late that is not ended after this time: longer than any wait of a status."""

_CONSUME = "routestream consume backend-ai"


async def backend_ai_findings(
    namespace: str, settings: BackendAIStreamSettings
) -> Sequence[Finding]:
    """Return whether the stream is read, what is late and what was lost; none without a URL."""
    if not settings.url:
        return []
    async with backend_ai_stream(namespace, settings) as stream:
        where = f"{settings.stream} at {stream.server.address}"
        try:
            backlog = await read_backlog(stream, settings.group, 0)
            losses = await read_group_losses(stream, 0, settings.group)
            dead = await stream.server.client.call("XLEN", stream.keys.dead(0, settings.group))
        except NoGroupError:
            return [warning(ABOUT, f"{where} has no group {settings.group}", to_do=_CONSUME)]
        except (ServerUnavailableError, ServerRefusedError) as problem:
            to_do = "see to the server, or to backend_ai.url and the rights of its account"
            return [error(ABOUT, f"{where} cannot be read: {problem}", to_do=to_do)]
    return _findings(stream, settings, (backlog, losses.unseen, reply(dead, int)))


def _findings(
    stream: EventLog, settings: BackendAIStreamSettings, figures: tuple[Backlog, int, int]
) -> list[Finding]:
    found = []
    backlog, unseen, dead = figures
    if unseen:
        lost = f"{counted(unseen, 'entry')} gone before the group had recorded them, unseen"
        found.append(warning(ABOUT, lost, unseen, to_do="routestream groups losses backend-ai"))
    if dead:
        key = stream.keys.dead(0, settings.group)
        broken = f"{counted(dead, 'entry')} that could not be read or recorded"
        to_do = f"redis-cli -n {settings.stream_database} XRANGE '{key}' - +"
        found.append(warning(ABOUT, broken, dead, to_do=to_do))
    if backlog.oldest_pending_s > LATE_S:
        age = span(backlog.oldest_pending_s)
        found.append(warning(ABOUT, "an entry is not recorded yet", age, to_do=_CONSUME))
    if not found:
        found.append(ok(ABOUT, f"the group {settings.group} reads it", f"lag {backlog.lag}"))
    return found
