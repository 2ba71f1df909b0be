"""The dead filter: which dead letters a person means."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

import click
import msgspec

from consumers.cli.events.entry_filter import EntryFilter
from consumers.cli.terminal.options import partition_option, partitions_of
from consumers.cli.terminal.output import NotFoundError
from consumers.runtime.dead_letters import DeadEntry, DeadLetters
from consumers.shipped import GROUPS
from events.entry.entry_id import EntryId
from events.entry.position import parse_position
from events.log.log import EventLog
from events.streams.stream_group import read_groups

SEARCHED_MAX = 100_000
"""Dead letters of a group and partition that are looked through for those that are meant."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Meant(msgspec.Struct, frozen=True):
    """One dead letter that is meant, and whose it is."""

    group: str
    partition: int
    letter: DeadEntry


class DeadFilter(msgspec.Struct, frozen=True):
    """What was given on the command line; an empty filter means all.

    Attributes:
        group: Of this group only.
        partition: In this partition only.
        entries: What the original entries must be.
        error: What reason or error must have in it, in any case of letters.
        since: The first id of a dead letter, which tells when it was given up on.
        until: The last one.
        ids: These dead letters.
        entry_ids: The dead letters of these entries.
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
        """Read what `filter_options` take.

        Raises:
            click.UsageError: An option is not as it must be.
            InvalidPositionError: A position or an id is none.
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

    @property
    def has_conditions(self) -> bool:
        """Whether it leaves out any of a group's."""
        given = (self.error, self.since, self.until, self.ids, self.entry_ids)
        return bool(self.entries) or any(one for one in given)

    @property
    def bounds(self) -> tuple[str, str]:
        """Between which ids lie those that are meant: what is named is found among any number."""
        first = max([*filter(None, [self.since]), *sorted(self.ids)[:1]], default="-")
        last = min([*filter(None, [self.until]), *sorted(self.ids)[-1:]], default="+")
        return str(first), str(last)

    def wants(self, letter: DeadEntry) -> bool:
        """Whether the dead letter is one of those meant, as far as the bounds are kept."""
        if self.ids and letter.dead_id not in self.ids:
            return False
        if self.entry_ids and letter.original.entry_id not in self.entry_ids:
            return False
        told = f"{letter.reason} {letter.error}".lower()
        if self.error is not None and self.error not in told:
            return False
        return not self.entries or self.entries.wants(letter.original)


_TIMES = ("since", "until")


def _ids(given: Sequence[str]) -> frozenset[EntryId]:
    parts = chain.from_iterable(text.split(",") for text in given)
    return frozenset(EntryId.parse(one.strip()) for one in parts)


def filter_options(command: Command) -> Command:
    """Let a command take what says which dead letters are meant; see `DeadFilter.parse`."""
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
        click.option("--endpoint", metavar="ID", help="Of this endpoint; a beginning will do."),
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


async def groups_of(log: EventLog, group: str | None) -> Sequence[str]:
    """Return the groups to look at: *group*, or all that are shipped or that the log has.

    Raises:
        NotFoundError: Nobody knows *group*, and it has no dead letters.
    """
    known = set(GROUPS)
    for partition in range(log.partitions):
        groups = await read_groups(log.server.client.call, log.keys.events(partition))
        known |= {one.name for one in groups}
    if group is None:
        return sorted(known)
    if group not in known and not await _has_dead(log, group):
        raise NotFoundError(f"group {group!r} is not one of {', '.join(sorted(known))}")
    return [group]


async def _has_dead(log: EventLog, group: str) -> bool:
    keys = [log.keys.dead(partition, group) for partition in range(log.partitions)]
    return any([await log.server.client.call("EXISTS", key) for key in keys])


async def find_dead(
    log: EventLog, wanted: DeadFilter, count: int, *, oldest: bool = False
) -> list[Meant]:
    """Return the newest or the *oldest* *count* dead letters that are meant, oldest first.

    Raises:
        NotFoundError: Nobody knows the group.
        click.UsageError: The log does not have the partition.
    """
    partitions = partitions_of(log, wanted.partition)
    found: list[Meant] = []
    for group in await groups_of(log, wanted.group):
        for partition in partitions:
            letters = DeadLetters(log.server, log.keys, partition, group)
            some = await _find(letters, wanted, count, oldest=oldest)
            found += (Meant(group, partition, letter) for letter in some)
    found.sort(key=lambda one: (one.letter.dead_id, one.group, one.partition))
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
