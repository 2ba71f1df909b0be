"""Reads and writes the keys below Traefik's root key."""

from collections.abc import Iterable, Mapping

import msgspec

from consumers.publishers.table_snapshot import Revision
from events.errors import InvalidPositionError
from events.server.reply import reply
from events.server.server import Server

_COUNT = 1_000


class Writer(msgspec.Struct, frozen=True):
    """Who wrote the keys last: from the table of which log, at which revision."""

    identity: str
    revision: str

    @property
    def at(self) -> Revision | None:
        """The revision, None where it cannot be read."""
        try:
            return Revision.parse(self.revision)
        except InvalidPositionError:
            return None

    def __str__(self) -> str:
        return f"{self.identity} {self.revision}"


class StoredKeys(msgspec.Struct, frozen=True):
    """The keys that there are, without the root, and who wrote them; None for nobody yet."""

    values: dict[str, str]
    writer: Writer | None


class KeyStore:
    """The keys below one root in one database."""

    def __init__(self, server: Server, root: str) -> None:
        self._server, self._root = server, root
        self.writer_key = f"{root}/_routestream"
        database = server.settings.server_url.database
        self._channel = f"__keyspace@{database}__:{self.writer_key}"
        self._write = server.client.script("consumers.publishers.traefik", "write_keys")

    @property
    def name(self) -> str:
        """The server, its database, and the root."""
        return f"redis://{self._server.address} {self._root}"

    async def read(self) -> StoredKeys:
        """Return all keys that are strings."""
        names: list[bytes] = []
        cursor = 0
        while True:
            raw = await self._server.client.call(
                *("SCAN", cursor, "MATCH", f"{self._root}/*", "COUNT", _COUNT)
            )
            cursor, page = reply(raw, tuple[int, list[bytes]])
            names += page
            if not cursor:
                break
        values: dict[str, str] = {}
        for first in range(0, len(names), _COUNT):
            asked = names[first : first + _COUNT]
            held = reply(await self._server.client.call("MGET", *asked), list[bytes | None])
            for name, value in zip(asked, held, strict=True):
                if value is not None:
                    values[_text(name)] = _text(value)
        text = values.pop(self.writer_key, "")
        identity, _, revision = text.partition(" ")
        return StoredKeys(
            {name.removeprefix(f"{self._root}/"): value for name, value in values.items()},
            Writer(identity, revision) if text else None,
        )

    async def write(
        self,
        read: Writer | None,
        written: Writer,
        changed: Mapping[str, str],
        stale: Iterable[str] = (),
        *,
        told: bool = True,
    ) -> bool:
        """Set *changed* and delete *stale* in one step, and tell Traefik unless *told* is false.

        Returns whether it was done: it is not where another publisher has written since the keys
        were *read*.
        """
        keys = [self.writer_key, *(f"{self._root}/{key}" for key in (*changed, *stale))]
        channel = self._channel if told else ""
        values = ["" if read is None else str(read), str(written), channel, *changed.values()]
        return bool(reply(await self._write(keys, values), int))

    async def set_if_absent(self, keys: Mapping[str, str]) -> None:
        """Set all of *keys*, or none of them if there is one of them already."""
        pairs = [part for key, value in keys.items() for part in (f"{self._root}/{key}", value)]
        await self._server.client.call("MSETNX", *pairs)

    async def tell(self) -> None:
        """Tell Traefik to look at the keys; it does nothing where they are what it has."""
        await self._server.client.call("PUBLISH", self._channel, "set")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
