"""The partition option: a command goes over all partitions of the log, unless one is named."""

import re

import click

from events.log.log import EventLog
from projections.catalogue import PROJECTIONS
from projections.route_table.route_table import ROUTE_TABLE

partition_option = click.option(
    "--partition", type=click.IntRange(min=0), help="Only this partition."
)


def partitions_of(log: EventLog, partition: int | None) -> list[int]:
    """Return the partition that was asked for, or all there are.

    Raises:
        click.UsageError: The log does not have it.
    """
    if partition is None:
        return list(range(log.partitions))
    if partition >= log.partitions:
        raise click.UsageError(f"--partition {partition}: the log has {log.partitions}")
    return [partition]


_SPAN = re.compile(r"-\d+[smhd](\.\.|\Z)", re.ASCII)


_MARK = "\x00"


class SpanCommand(click.Command):
    """Takes for an argument what is a span, or begins with one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the minus of spans from click, which would take them for options."""
        rest = super().parse_args(ctx, [_MARK + a if _SPAN.match(a) else a for a in args])
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_MARK)
        return rest


class ProjectionChoice(click.Choice[str]):
    """One of the projections; installed packages are looked through when it is asked for."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # click fills it at once
        """The names that there are."""
        return tuple(PROJECTIONS)


projection_argument = click.argument("projection", type=ProjectionChoice())


projection_option = click.option(
    "--projection",
    type=ProjectionChoice(),
    default=ROUTE_TABLE.name,
    show_default=True,
    help="Which read model's state.",
)
