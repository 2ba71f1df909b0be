"""What each endpoint of a log has, as a count and a checksum: two logs compared without trust."""

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from hashlib import blake2b
from uuid import UUID

import msgspec

from events.entry.entry_id import START, EntryId
from events.entry.recorded import Entry
from events.log.protocol import ReadableLog
from events.transfer.copy import endpoint_of

_DIGEST_BYTES = 16


class EndpointDigest(msgspec.Struct, frozen=True, gc=False):
    """How many entries there are, and a checksum of their fields in their order."""

    count: int = 0
    checksum: bytes = b""


class LogDigest:
    """Reads a log, on and on, and keeps a digest for each endpoint.

    Entries that name no endpoint have no order among partitions; they count together.

    Attributes:
        endpoints: Endpoint -> its digest.
        others: The digest of the entries that name no endpoint.
    """

    def __init__(self, log: ReadableLog) -> None:
        self._log = log
        self._read = [START] * log.partitions
        self.endpoints: dict[UUID, EndpointDigest] = {}
        self.others = EndpointDigest()

    async def read(self) -> int:
        """Take what is new, up to the present end of each partition; return how many entries."""
        count = 0
        for partition, position in enumerate(self._read):
            end = await self._log.head(partition)
            if end <= position:
                continue
            count += await self._read_partition(partition, position, end)
            self._read[partition] = end
        return count

    async def _read_partition(self, partition: int, position: EntryId, end: EntryId) -> int:
        count = 0
        chunks = self._log.read_entries(partition, position.after(), end)
        async with aclosing(chunks):
            async for entries in chunks:
                count += len(entries)
                for entry in entries:
                    self._take(entry)
        return count

    def _take(self, entry: Entry) -> None:
        strings = [part for pair in entry.pairs for part in pair]
        endpoint = endpoint_of(strings)
        if endpoint is None:
            added = zip(self.others.checksum or bytes(_DIGEST_BYTES), _hash(strings), strict=True)
            mixed = bytes(one ^ other for one, other in added)
            self.others = EndpointDigest(self.others.count + 1, mixed)
        else:
            before = self.endpoints.get(endpoint, EndpointDigest())
            chained = _hash([before.checksum, *strings])
            self.endpoints[endpoint] = EndpointDigest(before.count + 1, chained)

    @property
    def count(self) -> int:
        """How many entries were read."""
        return self.others.count + sum(one.count for one in self.endpoints.values())


def differing(one: LogDigest, other: LogDigest) -> list[str]:
    """Return the endpoints whose entries differ, and "no endpoint" where those do."""
    found = sorted(map(str, _differing(one.endpoints, other.endpoints)))
    return found if one.others == other.others else [*found, "no endpoint"]


def _differing(
    one: Mapping[UUID, EndpointDigest], other: Mapping[UUID, EndpointDigest]
) -> Iterable[UUID]:
    return (each for each in one.keys() | other.keys() if one.get(each) != other.get(each))


def _hash(strings: Iterable[bytes]) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for string in strings:
        digest.update(len(string).to_bytes(8))
        digest.update(string)
    return digest.digest()
