"""Which snapshots the projectors of a partition can read: a trim relies on these alone."""

import socket
from collections.abc import Iterable, Sequence

import msgspec

from events.entry.entry_id import START, EntryId
from events.entry.stored_json import StoredJson
from events.errors import DamagedValueError, InvalidPositionError
from events.log.keys import Keys
from events.server.reply import Ask, reply_or_none, text
from events.server.server import Server

LOOK_EVERY_S = 5.0
"""Seconds between two looks of a projector for snapshots."""

DEAD_S = 4 * LOOK_EVERY_S
"""Seconds without a look after which a projector counts as dead, and holds nothing back."""

FORGOTTEN_S = 3_600.0
"""Seconds after which a dead projector is forgotten."""

_KNOWN_MAX = 10_000


class SnapshotFolder(msgspec.Struct, frozen=True):
    """Where a process looks for snapshots.

    Attributes:
        folder: The absolute path of the folder.
        host: The host on which the process runs.
        problem: Why the folder could not be read; "" where it could.
    """

    folder: str
    host: str
    problem: str = ""


_FOLDER = StoredJson(SnapshotFolder, 65_536)


def folder_here(folder: str, problem: str = "") -> SnapshotFolder:
    """Return *folder* as a folder of this host."""
    return SnapshotFolder(folder, socket.gethostname(), problem)


class KnownSnapshot(msgspec.Struct, frozen=True):
    """The newest verified snapshot that a projector can read, or that was taken.

    Attributes:
        read_model: The read model.
        process: The projector's process, "" for whoever took the snapshot.
        at: The snapshot's position; None if there is none that can be read.
        place: Where it lies, or was looked for.
        noted_ms: When that was noted, by the server's clock, in ms since 1970.
    """

    read_model: str
    process: str
    at: EntryId | None
    place: SnapshotFolder
    noted_ms: int

    def is_alive(self, now_ms: int) -> bool:
        """Whether it is a projector that looked lately."""
        return bool(self.process) and abs(now_ms - self.noted_ms) < DEAD_S * 1_000


class SnapshotNotes:
    """Notes what can be read of the snapshots of one read model in one partition."""

    def __init__(self, server: Server, keys: Keys, partition: int, read_model: str) -> None:
        self._client = server.client
        self._keys = [keys.positions(partition), keys.snapshots(partition)]
        self._read_model = read_model
        self._note = server.client.script("events.retention", "note_snapshot")

    async def taken(self, at: EntryId, place: SnapshotFolder) -> None:
        """Note that a verified snapshot was taken; until projectors read it, it allows no trim."""
        await self._write("", at, place)

    async def readable(self, process: str, at: EntryId | None, place: SnapshotFolder) -> None:
        """Note the newest verified snapshot that the projector *process* can read, None for none.

        The position up to which snapshots allow a trim becomes the lowest of the living projectors.
        """
        await self._write(process, at, place)

    async def _write(self, process: str, at: EntryId | None, place: SnapshotFolder) -> None:
        position = "" if at is None else str(at)
        limits_ms = [round(DEAD_S * 1_000), round(FORGOTTEN_S * 1_000)]
        facts = msgspec.json.encode(place)
        await self._note(self._keys, [self._read_model, process, position, facts, *limits_ms])

    async def leave(self, process: str) -> None:
        """Forget the projector *process*: it has stopped."""
        await self._client.call("HDEL", self._keys[1], f"{self._read_model}\n{process}")


async def read_known_snapshots(ask: Ask, keys: Keys, partition: int) -> list[KnownSnapshot]:
    """Return what is noted of the snapshots of a partition; what cannot be read is left out."""
    raw = reply_or_none(await ask("HGETALL", keys.snapshots(partition)), dict[bytes, bytes]) or {}
    known = (_known(text(field), value) for field, value in list(raw.items())[:_KNOWN_MAX])
    return [one for one in known if one is not None]


def _known(field: str, value: bytes) -> KnownSnapshot | None:
    read_model, _, process = field.partition("\n")
    noted, _, rest = value.partition(b"\n")
    position, _, facts = rest.partition(b"\n")
    try:
        at = EntryId.parse(position) if position else None
        return KnownSnapshot(read_model, process, at, _FOLDER(facts), int(noted))
    except (DamagedValueError, InvalidPositionError, ValueError):
        return None


class Unread(msgspec.Struct, frozen=True):
    """Why retention does not rely on the newest snapshot of a read model.

    Attributes:
        what: The reason.
        to_do: What an operator can do.
        is_waiting: It will within seconds, by itself.
    """

    what: str
    to_do: str
    is_waiting: bool = False


def unread_of(
    read_model: str, stands_at: EntryId | None, known: Iterable[KnownSnapshot], now_ms: int
) -> Unread | None:
    """Return why the snapshots' position is before the newest snapshot, None if it is not.

    Args:
        read_model: The read model.
        stands_at: The position that retention relies on.
        known: What is noted of the snapshots of the partition.
        now_ms: The server's clock, in ms since 1970.
    """
    own = [one for one in known if one.read_model == read_model]
    found = [one for one in own if one.at is not None]
    newest = max(found, key=lambda one: (one.at or START, not one.process), default=None)
    if newest is None or newest.at is None or (stands_at or START) >= newest.at:
        return None
    snapshot = f"the snapshot at {newest.at} in {newest.place.folder} on {newest.place.host}"
    living = [one for one in own if one.is_alive(now_ms)]
    if not living:
        what = f"no projector runs that says it can read {snapshot}"
        return Unread(what, f"start one: `routestream consume {read_model}`")
    if (blind := _blind(living, newest)) is None:
        what = f"the projectors have not yet looked for {snapshot}"
        return Unread(what, "look again in 10 s", is_waiting=True)
    place = blind.place
    why = f" ({place.problem})" if place.problem else ""
    return Unread(
        f"{blind.process} on {place.host} cannot read {snapshot}: it looks in {place.folder}{why}",
        "give it that folder, and the setting snapshots.directory that names it",
    )


def _blind(living: Sequence[KnownSnapshot], newest: KnownSnapshot) -> KnownSnapshot | None:
    """Return a projector that has looked since and did not find the snapshot, None for none."""
    for one in sorted(living, key=lambda one: one.process):
        has_looked = bool(newest.process) or one.noted_ms >= newest.noted_ms
        if has_looked and (one.at or START) < (newest.at or START):
            return one
    return None
