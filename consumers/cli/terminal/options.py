"""The partition option: a command goes over all partitions of the log, unless one is named."""

import click

from events.log.log import EventLog

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
