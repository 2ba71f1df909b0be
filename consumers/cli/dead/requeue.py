"""The commands that requeue or drop dead letters."""

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import click
import msgspec

from consumers.cli.dead.dead import print_dead
from consumers.cli.dead.filter import DeadFilter, Meant, filter_options, find_dead
from consumers.cli.dead.places import DeadPlace, DeadPlaces, open_places
from consumers.cli.deployment import Deployment, command_of
from consumers.cli.terminal.messages import say
from consumers.cli.terminal.options import reason_option
from consumers.cli.terminal.output import (
    NotFoundError,
    OutputForm,
    confirm,
    output_option,
    yes_option,
)
from consumers.cli.terminal.output_form import print_values
from consumers.groups.operations import operation
from consumers.groups.requeue import Requeued
from consumers.runtime.dead_letters import DeadEntry
from events.entry.entry_id import EntryId
from events.errors import NoGroupError
from events.server.server import now_of

AT_ONCE = 1_000
AT_ONCE_MAX = 100_000

MeantLetters = Mapping[DeadPlace, Sequence[DeadEntry]]

Ending = Callable[[OutputForm, str, MeantLetters], Awaitable[None]]
"""Ends those dead letters, for that reason, and prints what came of it."""


def _of_meant_letters(after: str) -> Callable[[Ending], Callable[..., Any]]:
    """Make a command that ends the dead letters that its options mean.

    The plan, with *after* for what they are then, has to be confirmed. On a dry run, and where none
    is meant, they are only shown.
    """

    def made(end: Ending) -> Callable[..., Any]:
        @functools.wraps(end)
        async def run(  # noqa: PLR0913 - the options of the command
            deployment: Deployment,
            /,
            *,
            everything: bool,
            limit: int,
            dry_run: bool,
            reason: str,
            yes: bool,
            output: OutputForm,
            **given: Any,  # noqa: ANN401 - see filter_options
        ) -> None:
            async with (
                deployment.open_log() as log,
                open_places(log, deployment.settings) as places,
            ):
                wanted = await DeadFilter.of_options(log, **given)
                meant = await _meant(places, wanted, limit, everything=everything)
                if dry_run or not meant:
                    await print_dead(log, output, meant, await now_of(log.server))
                    return
                letters = _by_place(meant)
                confirm(_plan(letters, after), yes=yes)
                await end(output, reason, letters)

        command: Callable[..., Any] = command_of(run)
        for option in reversed(_OPTIONS):
            command = option(command)
        return command

    return made


_OPTIONS = (
    filter_options,
    click.option(
        "--all",
        "everything",
        is_flag=True,
        help="All there are, of GROUP or else of every group.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(1, AT_ONCE_MAX),
        default=AT_ONCE,
        show_default=True,
        help="So many at most, the oldest first.",
    ),
    click.option("--dry-run", is_flag=True, help="Only show which ones are meant."),
    reason_option,
    yes_option,
    output_option,
)


@click.command("requeue")
@_of_meant_letters("pending again")
async def requeue_dead(output: OutputForm, reason: str, meant: MeantLetters) -> None:
    """Have dead letters of GROUP tried again, those that the options mean.

    Each becomes pending again under its own id, in one step; the group's consumers claim it at
    once, and it has all its tries again. Nothing is appended: no other group sees it, and an old
    event does not overwrite what a newer one set. An entry that is not in the log any more stays a
    dead letter.

    \b
    Example: routestream dead requeue webhook --error timeout --from -2h --dry-run
    """
    done: list[tuple[DeadPlace, Requeued]] = []
    for place, letters in meant.items():
        what = operation(place.reads.group, "dead requeue", reason)
        try:
            found = await place.requeue.requeue(letters, what)
        except NoGroupError:
            raise NotFoundError(
                f"group {place.group!r} is not there any more: nobody would try its dead letters;"
                " start its consumers first"
            ) from None
        done += ((place, one) for one in found)
    _tell(output, done)


class RequeuedRow(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of requeuing one dead letter."""

    group: str
    partition: int
    dead_id: EntryId
    entry_id: EntryId
    outcome: str
    requeued: int | None


class DroppedRow(msgspec.Struct, frozen=True):
    """How many dead letters of a group were deleted on one partition."""

    group: str
    partition: int
    dropped: int


def _tell(output: OutputForm, done: Sequence[tuple[DeadPlace, Requeued]]) -> None:
    rows = (
        RequeuedRow(
            group=place.group,
            partition=place.partition,
            dead_id=one.letter.dead_id,
            entry_id=one.letter.original.entry_id,
            outcome=one.outcome,
            requeued=one.times,
        )
        for place, one in done
    )
    if not output.is_table:
        print_values(output, RequeuedRow, rows)
    counts = Counter(one.outcome for _, one in done)
    say(f"{counts['requeued']} requeued")
    if counts["gone"]:
        say(f"{counts['gone']} were no dead letters any more")
    if counts["trimmed"]:
        first = next(one for _, one in done if one.outcome == "trimmed")
        raise click.ClickException(
            f"{counts['trimmed']} stay dead letters, their entries are not in the log any more,"
            f" such as {first.letter.original.entry_id}; `routestream dead show` has what they"
            " held: record anew what still is so"
        )


@click.command("drop")
@_of_meant_letters("gone for good")
async def drop_dead(output: OutputForm, reason: str, meant: MeantLetters) -> None:
    """Delete dead letters of GROUP for good, those that the options mean.

    Their entries stay in the log.

    \b
    Example: routestream dead drop route-table --error truncated --reason "a broken producer"
    """
    rows: list[DroppedRow] = []
    for place, letters in meant.items():
        what = operation(place.reads.group, "dead drop", reason)
        dropped = await place.requeue.drop(letters, what)
        rows.append(DroppedRow(place.group, place.partition, dropped))
    if not output.is_table:
        print_values(output, DroppedRow, rows)
    say(f"{sum(row.dropped for row in rows)} dropped")


async def _meant(
    places: DeadPlaces, wanted: DeadFilter, limit: int, *, everything: bool
) -> list[Meant]:
    if wanted.has_conditions == everything:
        raise click.UsageError(
            "say which ones: by options such as --error or --ids, or else --all, of GROUP or of"
            " every group"
        )
    found = await find_dead(places, wanted, limit, oldest=True)
    await _refuse_unknown(places, wanted, found)
    if len(found) == limit:
        say(f"these are the oldest {limit}, there may be more; see --limit")
    return found


async def _refuse_unknown(places: DeadPlaces, wanted: DeadFilter, found: Sequence[Meant]) -> None:
    """Refuse ids of no dead letter; ids that only the other options leave out are accepted."""
    unknown = wanted.ids - {one.letter.dead_id for one in found}
    if unknown:
        named = DeadFilter(group=wanted.group, partition=wanted.partition, ids=unknown)
        existing = await find_dead(places, named, AT_ONCE_MAX, oldest=True)
        unknown -= {one.letter.dead_id for one in existing}
    if unknown:
        ids = ", ".join(map(str, sorted(unknown)))
        where = "" if wanted.group is None else f" of group {wanted.group!r}"
        raise NotFoundError(f"no such dead letter{where}: {ids}; nothing was changed")


def _by_place(meant: Sequence[Meant]) -> dict[DeadPlace, list[DeadEntry]]:
    letters: dict[DeadPlace, list[DeadEntry]] = {}
    for one in meant:
        letters.setdefault(one.place, []).append(one.letter)
    return letters


def _plan(meant: MeantLetters, after: str) -> list[tuple[str, str, str]]:
    plan = []
    for place, letters in meant.items():
        reasons = Counter(letter.reason for letter in letters)
        summary = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        named = f"{place.group}, partition {place.partition}"
        plan.append((named, f"{len(letters)} dead ({summary})", after))
    return plan
