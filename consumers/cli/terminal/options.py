"""Options and arguments that several commands share: partitions, spans, projections."""

import re

import click

from consumers.groups.operations import REASON_CHARACTERS_MAX
from events.log.keys import PARTITIONS_MAX
from events.log.log import EventLog
from projections.catalogue import PROJECTIONS
from projections.route_table.route_table import ROUTE_TABLE

COUNT_MAX = 1_000_000_000
"""The most of anything that an option can ask for."""

partition_type = click.IntRange(0, PARTITIONS_MAX - 1)

partition_option = click.option("--partition", type=partition_type, help="Only this partition.")


def partitions_of(log: EventLog, partition: int | None) -> list[int]:
    """Return *partition* alone, or all partitions if it is None.

    Raises:
        click.UsageError: The log does not have that partition.
    """
    if partition is None:
        return list(range(log.partitions))
    if partition >= log.partitions:
        raise click.UsageError(f"--partition {partition}: the log has {log.partitions}")
    return [partition]


_SPAN = re.compile(r"-\d+[smhd](\.\.|\Z)", re.ASCII)


_MARK = "\x00"


class SpanCommand(click.Command):
    """A command that takes a span such as -2h as an argument, not as an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Mark spans, so that click does not take their minus for the start of an option."""
        rest = super().parse_args(ctx, [_MARK + a if _SPAN.match(a) else a for a in args])
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest


class ProjectionChoice(click.Choice[str]):
    """One of the projections; installed packages are searched only when it is used."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # click fills it at once
        """The names of all projections."""
        return tuple(PROJECTIONS)


projection_argument = click.argument("projection", type=ProjectionChoice())


projection_option = click.option(
    "--projection",
    type=ProjectionChoice(),
    default=ROUTE_TABLE.name,
    show_default=True,
    help="Which read model's state.",
)


reason_option = click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help=f"Why, to be kept with who and when; the first {REASON_CHARACTERS_MAX} characters.",
)
