"""Check a partition's archive: read all of it, and compare it with what the log claims."""

import msgspec

from events.archive.archive import MANIFEST, Archive
from events.archive.archiver import HOLDER
from events.archive.errors import DamagedArchiveError
from events.archive.manifest import Gap, Part
from events.log.log import EventLog
from events.log.positions import Positions

_SHOWN_FILES = 3


class Listed(msgspec.Struct, frozen=True):
    """A part of the archive, and what is wrong with it; None: nothing was found."""

    partition: int
    part: Part
    problem: str | None


class Checked(msgspec.Struct, frozen=True):
    """What a check of one partition found.

    Attributes:
        partition: The partition.
        parts: The parts that the manifest names; each was read.
        problems: What is damaged, one sentence each.
        strays: Files that the manifest does not name.
        is_complete: Whether the manifest exists and is sound, and the log has an archive position.
    """

    partition: int
    parts: list[Listed]
    problems: list[str]
    strays: list[str]
    is_complete: bool

    def told_of_strays(self) -> str:
        """Say whether the files that the manifest does not name may be deleted."""
        shown = f"{', '.join(self.strays[:_SHOWN_FILES])} ({len(self.strays)} in all)"
        text = f"partition {self.partition}: no manifest names {shown}"
        if self.is_complete and not self.problems:
            return f"{text}, as an interrupted run leaves them; they may be deleted while none runs"
        return f"{text}; do not delete them: the manifest may be lost, and they be the only copy"


async def check_partition(log: EventLog, archive: Archive, partition: int) -> Checked:
    """Read the manifest and every file that it names, and look for files that it does not name.

    Raises:
        ArchiveError: The storage cannot be read, or has the archive of another log.
    """
    # First: a manifest that is read later is not older.
    position = await Positions(log.server, log.keys, partition).of(HOLDER)
    state, problems = None, list[str]()
    try:
        state = await archive.state(partition)
    except DamagedArchiveError as error:
        problems.append(str(error))
    named = () if state is None else state.manifest.parts
    parts = [
        Listed(partition, part, await _read_problem(archive, partition, part)) for part in named
    ]
    problems += [listed.problem for listed in parts if listed.problem is not None]
    if state is not None and position is not None and position > state.manifest.end:
        problems.append(
            f"partition {partition}: the log says it is archived up to {position}, this archive"
            f" ends at {state.manifest.end}; restore {archive.folder(partition)}/{MANIFEST} from a"
            " copy, or give the --location that was archived to"
        )
    files = {part.file for part in named if not isinstance(part, Gap)}
    strays = sorted(set(await archive.sizes(partition)) - files)
    is_complete = state is not None and state.version is not None and position is not None
    return Checked(partition, parts, problems, strays, is_complete)


async def _read_problem(archive: Archive, partition: int, part: Part) -> str | None:
    if isinstance(part, Gap):
        return None
    try:
        await archive.check(partition, part)
    except DamagedArchiveError as error:
        return str(error)
    return None
