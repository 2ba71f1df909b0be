"""Selects dead letters by the options of a command."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

import click
import msgspec

from consumers.cli.dead.places import DeadPlace, DeadPlaces
from consumers.cli.events.entry_filter import EntryFilter
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import partition_option
from consumers.runtime.dead_letters import SEARCHED_MAX, DeadEntry, DeadLetters
from events.entry.entry_id import EntryId
from events.entry.position import parse_position
from events.errors import ServerRefusedError, ServerUnavailableError
from events.log.log import EventLog
from events.server.server import now_of

Command = TypeVar("Command", bound=Callable[..., Any])


class Meant(msgspec.Struct, frozen=True):
    """One selected dead letter, and where it lies."""

    place: DeadPlace
    letter: DeadEntry


class DeadFilter(msgspec.Struct, frozen=True):
    """The conditions given on the command line; an empty filter selects all dead letters.

    Attributes:
        group: Only dead letters of this group.
        partition: Only dead letters of this partition.
        entries: The conditions on the original entries.
        error: Text that the reason or the error must contain, ignoring case.
        since: The lowest id of a dead letter; the id tells when the entry was given up on.
        until: The highest id of a dead letter.
        ids: Only dead letters with these ids.
        entry_ids: Only the dead letters of these entries.
    """

    group: str | None = None
    partition: int | None = None
    entries: EntryFilter = EntryFilter()
    error: str | None = None
    since: EntryId | None = None
    until: EntryId | None = None
    ids: frozenset[EntryId] = frozenset()
    entry_ids: frozenset[EntryId] = frozenset()

    @classmethod
    def parse(cls, now: datetime, **given: Any) -> "DeadFilter":  # noqa: ANN401 - the options below
        """Build the filter from the values of `filter_options`.

        Raises:
            click.UsageError: An option is invalid.
            InvalidPositionError: A position or an id is invalid.
        """
        argument, option = given["group"], given["group_option"]
        if argument and option and argument != option:
            raise click.UsageError(f"GROUP is {argument!r}, --group {option!r}: which one?")
        since, until = (given[name] and parse_position(given[name], now) for name in _TIMES)
        return cls(
            group=argument or option,
            partition=given["partition"],
            entries=EntryFilter.parse(given["names"], given["endpoint"]),
            error=given["error_text"].lower() if given["error_text"] else None,
            since=since,
            until=until,
            ids=_ids(given["ids"]),
            entry_ids=_ids(given["entry_ids"]),
        )

    @classmethod
    async def of_options(cls, log: EventLog, **given: Any) -> "DeadFilter":  # noqa: ANN401 - the options below
        """Build the filter from the values of `filter_options`, an endpoint's name among them.

        Raises:
            click.UsageError: An option is invalid.
            InvalidPositionError: A position or an id is invalid.
            EndpointNotFoundError: No endpoint is named like that.
        """
        parsed = cls.parse(await now_of(log.server), **given)
        entries = await parsed.entries.with_endpoint_named(log, given["endpoint"])
        return msgspec.structs.replace(parsed, entries=entries)

    @property
    def has_conditions(self) -> bool:
        """Whether the filter can leave out dead letters of a group and partition."""
        given = (self.error, self.since, self.until, self.ids, self.entry_ids)
        return bool(self.entries) or any(one for one in given)

    @property
    def bounds(self) -> tuple[str, str]:
        """The lowest and highest id to read: named ids are found among any number of letters."""
        first = max([*filter(None, [self.since]), *sorted(self.ids)[:1]], default="-")
        last = min([*filter(None, [self.until]), *sorted(self.ids)[-1:]], default="+")
        return str(first), str(last)

    def wants(self, letter: DeadEntry) -> bool:
        """Whether *letter*, which lies within the bounds, meets the other conditions."""
        if self.ids and letter.dead_id not in self.ids:
            return False
        if self.entry_ids and letter.original.entry_id not in self.entry_ids:
            return False
        text = f"{letter.reason} {letter.error}".lower()
        if self.error is not None and self.error not in text:
            return False
        return not self.entries or self.entries.wants(letter.original)


_TIMES = ("since", "until")


def _ids(given: Sequence[str]) -> frozenset[EntryId]:
    parts = chain.from_iterable(text.split(",") for text in given)
    return frozenset(EntryId.parse(one.strip()) for one in parts)


def filter_options(command: Command) -> Command:
    """Add the options that select dead letters to *command*; see `DeadFilter.parse`."""
    options = (
        click.argument("group", required=False),
        click.option("--group", "group_option", help="The same as GROUP."),
        partition_option,
        click.option(
            "--type",
            "names",
            multiple=True,
            metavar="NAME",
            help="Of events of this type; a pattern such as 'route_*' too.",
        ),
        click.option(
            "--endpoint",
            metavar="ENDPOINT",
            help="Of this endpoint: its name, its id, or the beginning of it.",
        ),
        click.option(
            "--error", "error_text", metavar="TEXT", help="With this in its reason or its error."
        ),
        click.option(
            "--from", "since", metavar="POSITION", help="Given up on since then, such as -2h."
        ),
        click.option("--to", "until", metavar="POSITION", help="Given up on until then."),
        click.option("--ids", multiple=True, metavar="ID,ID", help="These dead letters."),
        click.option(
            "--entries", "entry_ids", multiple=True, metavar="ID,ID", help="Those of these entries."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


async def find_dead(
    places: DeadPlaces, wanted: DeadFilter, count: int, *, oldest: bool = False
) -> list[Meant]:
    """Return the newest (or *oldest*) *count* dead letters that are selected, oldest first.

    Where all groups are meant, one whose stream is on a server that cannot be read is named.

    Raises:
        NotFoundError: The group is not known.
        MissingSettingError: It reads another stream, and is not set up.
        click.UsageError: The log does not have the partition.
    """
    found: list[Meant] = []
    for place in await places.of(wanted.group, wanted.partition):
        try:
            selected = await _find(place.letters, wanted, count, oldest=oldest)
        except (ServerUnavailableError, ServerRefusedError) as error:
            if wanted.group is not None or not place.is_foreign:
                raise
            say(f"the dead letters of {place.group} cannot be read: {error}")
            continue
        found += (Meant(place, letter) for letter in selected)
    found.sort(key=lambda one: (one.letter.dead_id, one.place.group, one.place.partition))
    return found[:count] if oldest else found[-count:]


async def _find(
    letters: DeadLetters, wanted: DeadFilter, count: int, *, oldest: bool
) -> Sequence[DeadEntry]:
    if not wanted.has_conditions and not oldest:
        return await letters.newest(count)
    found: deque[DeadEntry] = deque(maxlen=count)
    searched = 0
    async for letter in letters.read(*wanted.bounds):
        searched += 1
        if wanted.wants(letter):
            found.append(letter)
        if searched >= SEARCHED_MAX or (oldest and len(found) == count):
            break
    return found
