"""The manifest of one partition's archive: its files, each chained to those before it."""

from hashlib import sha256
from itertools import pairwise
from typing import Literal, Self

import msgspec

from events.archive.errors import DamagedArchiveError, ForeignArchiveError
from events.archive.segment import Segment, file_name
from events.entry.entry_id import START, EntryId
from events.entry.stored_json import StoredJson
from events.errors import DamagedValueError, EventsError

VERSION = 1


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag="gap", tag_field="kind"):
    """Entries that were lost before they were archived; somebody accepted the loss.

    Attributes:
        after: The last entry before the gap, `0-0` for the log's beginning.
        until: The first entry after the gap.
        count: Number of lost entries, as Redis counts them.
        chain: Checksum of this part and of all parts before it in the manifest.
    """

    after: str
    until: str
    count: int
    chain: str = ""


Part = Segment | Gap


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive of one partition holds, in the order of the log.

    Its `identity` is that of the log, "" where only an earlier release wrote it.
    """

    format: Literal["routestream-archive"] = "routestream-archive"
    version: int = VERSION
    namespace: str
    partition: int
    parts: tuple[Part, ...] = ()
    identity: str = ""

    @classmethod
    def parse(cls, raw: bytes, namespace: str, partition: int) -> Self:
        """Read a manifest, and check its chain.

        Raises:
            DamagedArchiveError: The manifest was edited or truncated.
            ForeignArchiveError: It belongs to another log, or a later release wrote it.
        """
        try:
            manifest = StoredJson(cls)(raw)
            manifest.check(namespace, partition)
        except DamagedValueError as error:
            raise DamagedArchiveError(f"manifest of partition {partition}: {error}") from None
        return manifest

    def check(self, namespace: str, partition: int) -> None:
        """Check its namespace, partition, chain and order; see `parse` for what it raises."""
        if self.version != VERSION or (self.namespace, self.partition) != (namespace, partition):
            raise ForeignArchiveError(
                f"the manifest is of {self.namespace!r}, partition {self.partition}, version"
                f" {self.version}; expected {namespace!r}, {partition}, {VERSION}"
            )
        chain = self._root()
        for part in self.parts:
            chain = _link(chain, part)
            if part.chain != chain:
                raise DamagedArchiveError(
                    f"manifest of partition {partition}: the chain breaks at {_name(part)}"
                )
        try:
            self._check_order()
        except EventsError as error:
            raise DamagedArchiveError(f"manifest of partition {partition}: {error}") from None

    def _check_order(self) -> None:
        for segment in self.segments:
            named = file_name(segment.first, segment.last, segment.sha256)
            if segment.first_id > segment.last_id or segment.count < 1 or segment.file != named:
                raise DamagedArchiveError(f"{segment.file!r} cannot be, for {named}")
        for segment, following in pairwise(self.segments):
            if following.first_id <= segment.last_id:
                raise DamagedArchiveError(f"{following.file} begins before {segment.file} ends")

    @property
    def segments(self) -> list[Segment]:
        """The files, in the order of their entries."""
        return [part for part in self.parts if isinstance(part, Segment)]

    @property
    def gaps(self) -> list[Gap]:
        """The accepted gaps, in order."""
        return [part for part in self.parts if isinstance(part, Gap)]

    @property
    def end(self) -> EntryId:
        """The last archived entry, `START` if there is none."""
        last = self.segments[-1:]
        return last[0].last_id if last else START

    @property
    def added(self) -> int:
        """Entries that were ever appended up to `end`: those archived and those lost."""
        return sum(part.count for part in self.parts)

    def with_parts(self, *parts: Part) -> Self:
        """Return a copy with *parts* appended, chained to those before them."""
        chained = list(self.parts)
        for part in parts:
            before = chained[-1].chain if chained else self._root()
            chained.append(msgspec.structs.replace(part, chain=_link(before, part)))
        return msgspec.structs.replace(self, parts=tuple(chained))

    def encode(self) -> bytes:
        """Return it as indented JSON, which a person can read."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def _root(self) -> str:
        return _hash(self.format, self.version, self.namespace, self.partition)


def _link(before: str, part: Part) -> str:
    return _hash(before, msgspec.to_builtins(msgspec.structs.replace(part, chain="")))


def _hash(*values: object) -> str:
    return sha256(msgspec.json.encode(values, order="sorted")).hexdigest()


def _name(part: Part) -> str:
    return part.file if isinstance(part, Segment) else f"the gap after {part.after}"
