"""The rebuilt table: what is live now in each partition, and how it differs from what was."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from anyio import CancelScope

from consumers.cli.endpoints.mismatches import mismatch_values, print_mismatches
from consumers.cli.terminal.output import OutputForm, print_rows
from consumers.cli.terminal.talk import say
from projections.errors import ProjectionsError
from projections.projection import Projection
from projections.replay.comparison import Comparison
from projections.replay.rebuild import Rebuilt
from projections.replay.source import Source

_COLUMNS = (
    "PARTITION",
    "BEFORE",
    "LIVE",
    "POSITION",
    "ENTRIES",
    "DOCUMENTS",
    "SWAP",
    "DIFFER",
)


@asynccontextmanager
async def printing_rebuilt(
    log: Source, projection: Projection[Any], partitions: Sequence[int], output: OutputForm
) -> AsyncIterator[dict[int, Rebuilt]]:
    """Print at the end what the block has done, by partition, also where it was not all of it."""
    done: dict[int, Rebuilt] = {}
    try:
        yield done
    finally:
        left = [str(one) for one in partitions if one not in done]
        if left and len(partitions) > 1:
            say(f"left as it was: partition {', '.join(left)}")
        if done:
            with CancelScope(shield=True):
                await _print(log, projection, done, output)


async def _print(
    log: Source, projection: Projection[Any], done: Mapping[int, Rebuilt], output: OutputForm
) -> None:
    rows = (
        (
            partition,
            one.before or "none",
            one.generation,
            one.position,
            one.entries,
            one.endpoints,
            f"{one.swap_s * 1_000:.1f} ms",
            _differ(one.comparison),
        )
        for partition, one in done.items()
    )
    values = [
        {
            "phase": "done",
            "partition": partition,
            **msgspec.to_builtins(msgspec.structs.asdict(one) | {"comparison": None}, enc_hook=str),
            "position": str(one.position),
            "comparison": mismatch_values(projection, one.comparison),
        }
        for partition, one in done.items()
    ]
    fields = ("phase", "partition", *Rebuilt.__struct_fields__)
    print_rows(output, _COLUMNS, rows, values, fields=fields)
    if output.is_table:
        for partition, one in done.items():
            if one.comparison is not None:
                await print_mismatches(output, log, partition, one.comparison)


def _differ(comparison: Comparison | None) -> str:
    if comparison is None:
        return "not compared"
    told = str(len(comparison.mismatches))
    return f"{told}, {len(comparison.undecided)} undecided" if comparison.undecided else told


class Failures:
    """The errors of a command that goes on with the next partition."""

    def __init__(self) -> None:
        self._errors: list[ProjectionsError] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the error in which the block ends."""
        try:
            yield
        except ProjectionsError as error:
            self._errors.append(error)

    def tell(self) -> None:
        """Raise the first error, if there was any, and print the others before."""
        for error in self._errors[1:]:
            say(f"and: {error}")
        if self._errors:
            raise self._errors[0]
