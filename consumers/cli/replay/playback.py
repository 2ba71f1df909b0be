"""The command that appends recorded events to another log at their original pace."""

import re
from time import monotonic

import click
import msgspec

from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.output import OutputForm, confirm, output_option, print_rows, yes_option
from consumers.cli.terminal.progress import ProgressLine
from consumers.cli.terminal.table import Column, Columns
from events.entry.entry_id import START, EntryId
from events.entry.position import parse_between
from events.errors import InvalidPositionError
from events.log.keys import Keys
from events.log.log import EventLog
from events.server.server import now_of, open_server
from events.server.settings import ServerSettings
from events.transfer.playback import Pace, Playback, refuse_same_log

_SPEED = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)x?\Z", re.ASCII)
_AT_ONCE = "max"


class PlayedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was played, and how fast."""

    entries: int
    last: EntryId | None
    seconds: float
    per_s: float


_COLUMNS: Columns[PlayedRow] = (
    Column("ENTRIES", lambda row: row.entries, folds=True),
    Column("LAST", lambda row: row.last and str(row.last), folds=True),
    Column("SECONDS", lambda row: row.seconds, folds=True),
    Column("PER SECOND", lambda row: row.per_s, folds=True),
)


class Speed(click.ParamType[float]):
    """A factor of the original speed, such as `10x` or `0.5x`; `max` is 0: never wait."""

    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the factor, or fail as click does."""
        if isinstance(value, float):
            return value
        if value == _AT_ONCE:
            return 0.0
        read = _SPEED.match(str(value))
        if read is None or not float(read[1]):
            self.fail(f"{value!r} is no speed such as 10x, 0.5x or max", param, ctx)
        return float(read[1])


class Played(msgspec.Struct):
    """How far a playback came."""

    entries: int = 0
    last: EntryId | None = None


@click.command("run")
@click.option(
    "--from",
    "start",
    metavar="POSITION",
    default="start",
    show_default=True,
    help="Begin here.",
)
@click.option("--to", "end", metavar="POSITION", help="End here; at the present end unless given.")
@click.option("--into", "namespace", required=True, help="The namespace to append to.")
@click.option("--into-url", metavar="URL", help="The server to append to, if it is another one.")
@click.option("--rate", type=click.FloatRange(min=0.01, max=1_000_000), help="Entries a second.")
@click.option(
    "--speed",
    type=Speed(),
    metavar="FACTOR",
    help="How many times as fast as it was, 1x unless given; max: without waiting.",
)
@click.option("--new-event-ids", is_flag=True, help="Give each event an id of its own.")
@yes_option
@output_option
@command_of
async def run_replay(  # noqa: PLR0913 - the options of the command
    deployment: Deployment,
    *,
    start: str,
    end: str | None,
    namespace: str,
    into_url: str | None,
    rate: float | None,
    speed: float | None,
    new_event_ids: bool,
    yes: bool,
    output: OutputForm,
) -> None:
    """Append recorded events once more, to another namespace: real traffic for tests and load.

    Entries are appended in their order, under new entry ids, with the silences between them as long
    as they were or as --speed makes them. Events keep their own ids, so that the two logs can be
    compared; --new-event-ids makes them new facts. Groups of the other namespace handle them as any
    others: see that its webhooks lead nowhere.

    \b
    Example: routestream replay run --from -2h --speed 10x --into load-test
    """
    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other")
    pace = Pace(rate, None if rate is not None or speed == 0 else speed or 1.0)
    own_server = deployment.settings.server
    target_server = own_server if into_url is None else _server(own_server, into_url)
    async with deployment.open_history() as history, open_server(target_server) as server:
        keys = Keys(namespace)
        target = await EventLog.open(server, keys, create=False)
        await refuse_same_log(history.log, target)
        first, last = parse_between(start, end, await now_of(history.server))
        ends = [min(last, await history.head(p)) for p in range(history.partitions)]
        if max(ends) < first:
            raise InvalidPositionError(start, f"the log ends at {max(ends)}, before it")
        confirm([await _planned(target, first, max(ends))], yes=yes)
        partitions = None if await _exists(target) else history.partitions
        target = await EventLog.open(server, keys, partitions=partitions)
        playback = Playback(history, target, pace, new_event_ids=new_event_ids)
        await _play(playback, first, ends, output)


async def _play(
    playback: Playback, start: EntryId, ends: list[EntryId], output: OutputForm
) -> None:
    progress, played, began_at = ProgressLine("appended"), Played(), monotonic()

    def note(count: int, last: EntryId) -> None:
        progress.add(count, last)
        played.entries += count
        played.last = last

    try:
        await playback.play(start, ends, note)
    except BaseException:
        following = start if played.last is None else played.last.after()
        progress.end(played.last or "")
        say(f"not all was appended; --from {following} goes on")
        if playback.unsettled is not None:
            say(
                f"the entries from there up to {playback.unsettled} were sent, and nothing was"
                " heard of them: they may be there already"
            )
        raise
    progress.end(played.last or "")
    row = PlayedRow(
        entries=played.entries,
        last=played.last,
        seconds=round(monotonic() - began_at, 3),
        per_s=round(progress.per_s, 1),
    )
    print_rows(output, PlayedRow, [row], _COLUMNS)


async def _planned(target: EventLog, start: EntryId, end: EntryId) -> tuple[str, object, object]:
    heads = [await target.head(p) for p in range(target.partitions)]
    present = max(heads)
    before = "empty" if present == START else f"up to {present}"
    what = f"log {target.keys.namespace!r} on {target.server.address}"
    return what, before, f"and after it the entries from {start} to {end}"


async def _exists(log: EventLog) -> bool:
    return bool(await log.server.client.call("EXISTS", log.keys.layout))


def _server(settings: ServerSettings, url: str) -> ServerSettings:
    try:
        return msgspec.structs.replace(settings, url=url)
    except ValueError as error:
        raise click.UsageError(f"--into-url: {error}") from None
