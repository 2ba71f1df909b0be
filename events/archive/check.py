"""The check: all of a partition's archive read again, and compared with what the log claims."""

import msgspec

from events.archive.archive import MANIFEST, Archive
from events.archive.archiver import HOLDER
from events.archive.errors import DamagedArchiveError
from events.archive.manifest import Gap, Part
from events.log.log import EventLog
from events.log.positions import Positions

_SHOWN_FILES = 3


class Listed(msgspec.Struct, frozen=True):
    """A part of the archive, and what is wrong with it, None for nothing that was found."""

    partition: int
    part: Part
    problem: str | None


class Checked(msgspec.Struct, frozen=True):
    """What a check of one partition found.

    Attributes:
        partition: Which one.
        parts: What the manifest names, each read.
        problems: What is damaged, each in a sentence.
        strays: Files that no manifest names.
        is_complete: Whether the manifest is there, and reaches as far as the log says.
    """

    partition: int
    parts: list[Listed]
    problems: list[str]
    strays: list[str]
    is_complete: bool

    def told_of_strays(self) -> str:
        """Return what may be done with the files that no manifest names."""
        shown = f"{', '.join(self.strays[:_SHOWN_FILES])} ({len(self.strays)} in all)"
        told = f"partition {self.partition}: no manifest names {shown}"
        if self.is_complete and not self.problems:
            return f"{told}, as an interrupted run leaves them; they may be deleted while none runs"
        return f"{told}; do not delete them: the manifest may be lost, and they be the only copy"


async def check_partition(log: EventLog, there: Archive, partition: int) -> Checked:
    """Read the manifest and every file that it names, and look for files that it does not name.

    Raises:
        ArchiveError: The storage cannot be read, or has the archive of another log.
    """
    # First: a manifest that is read later is not behind it.
    position = await Positions(log.server, log.keys, partition).of(HOLDER)
    state, problems = None, list[str]()
    try:
        state = await there.state(partition)
    except DamagedArchiveError as error:
        problems.append(str(error))
    named = () if state is None else state.manifest.parts
    parts = [Listed(partition, part, await _read_problem(there, partition, part)) for part in named]
    problems += [one.problem for one in parts if one.problem is not None]
    if state is not None and position is not None and position > state.manifest.end:
        problems.append(
            f"partition {partition}: the log says it is archived up to {position}, this archive"
            f" ends at {state.manifest.end}; restore {there.folder(partition)}/{MANIFEST} from a"
            " copy, or give the --location that was archived to"
        )
    files = {part.file for part in named if not isinstance(part, Gap)}
    strays = sorted(set(await there.sizes(partition)) - files)
    is_complete = state is not None and state.version is not None and position is not None
    return Checked(partition, parts, problems, strays, is_complete)


async def _read_problem(there: Archive, partition: int, part: Part) -> str | None:
    if isinstance(part, Gap):
        return None
    try:
        await there.check(partition, part)
    except DamagedArchiveError as error:
        return str(error)
    return None
