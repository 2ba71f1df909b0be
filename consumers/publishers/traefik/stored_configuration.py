"""Keeps the keys of Traefik's Redis provider equal to the newest snapshot."""

from collections.abc import Sequence
from time import monotonic

from consumers.errors import UnreachableProxyError
from consumers.publishers.proxy_ledger import ProxyNotes
from consumers.publishers.table_snapshot import Revision, TableSnapshot
from consumers.publishers.traefik.applied_watch import AppliedWatch
from consumers.publishers.traefik.default_certificate import new_certificate
from consumers.publishers.traefik.key_store import KeyStore, StoredKeys, Writer
from consumers.publishers.traefik.redis_keys import (
    CERTIFICATE,
    CERTIFICATE_KEY,
    is_managed,
    redis_keys,
    slots_in,
    unused_slots,
)
from consumers.publishers.traefik.traefik_configuration import (
    TraefikConfiguration,
    traefik_configuration,
)
from consumers.publishers.traefik.traefik_settings import TraefikSettings
from events.errors import ServerRefusedError, ServerUnavailableError

TRIES_MAX = 5
"""Tries to write while others write, too."""

OLDER_S_MAX = 10.0
"""Seconds for which the table may be older than the keys that another publisher has written."""


class StoredConfiguration:
    """The keys below one root, for all the Traefiks that read them.

    *watches* look whether they have what was written.
    """

    def __init__(
        self,
        store: KeyStore,
        settings: TraefikSettings,
        notes: ProxyNotes,
        watches: Sequence[AppliedWatch],
    ) -> None:
        self._store, self._settings = store, settings
        self._notes, self._watches = notes, watches
        self._stored: StoredKeys | None = None
        self._told: TraefikConfiguration | None = None
        self._older_since: float | None = None

    @property
    def notes(self) -> ProxyNotes:
        """Where it is noted which revision the keys have."""
        return self._notes

    async def publish(self, snapshot: TableSnapshot, *, whole: bool) -> None:
        """Make the keys equal to *snapshot*; see `PushedProxy`."""
        configuration = traefik_configuration(snapshot, self._settings, self._told)
        self._told = configuration
        if whole:
            self._stored = None
        try:
            written = await self._write(configuration, snapshot.revision)
            if whole and not written:
                await self._store.tell()
        except (ServerUnavailableError, ServerRefusedError) as error:
            self._stored = None
            raise UnreachableProxyError(f"{self._store.name} cannot be written: {error}") from None
        except UnreachableProxyError:
            self._stored = None
            raise

    async def remind(self) -> None:
        """Tell Traefik again where one does not have what was written."""
        if any(watch.is_late for watch in self._watches):
            await self._store.tell()

    async def _write(self, configuration: TraefikConfiguration, revision: Revision) -> bool:
        """Return whether anything had to be written."""
        writer = Writer(configuration.identity, configuration.revision)
        for _ in range(TRIES_MAX):
            stored = self._stored or await self._read()
            if self._is_older(revision, stored.writer, writer):
                self._stored = None
                return False
            keys = redis_keys(configuration, self._settings, slots_in(stored.values))
            changed = {key: value for key, value in keys.items() if stored.values.get(key) != value}
            stale = [key for key in stored.values if key not in keys and is_managed(key)]
            self._notes.sent(revision)
            needed = bool(changed or stale or stored.writer != writer)
            if not needed or await self._replace(stored, writer, (keys, changed, stale)):
                self._stored = StoredKeys(_after(stored.values, keys, stale), writer)
                self._acknowledge(configuration, revision)
                return needed
            self._stored = None
        raise UnreachableProxyError(
            f"{self._store.name} was changed by others at each of {TRIES_MAX} tries"
        )

    async def _read(self) -> StoredKeys:
        stored = await self._store.read()
        if self._settings.default_certificate and CERTIFICATE not in stored.values:
            certificate = await new_certificate()
            if certificate is not None:
                pair = {CERTIFICATE: certificate.certificate, CERTIFICATE_KEY: certificate.key}
                await self._store.set_if_absent(pair)
        return stored

    def _is_older(self, revision: Revision, stored: Writer | None, writer: Writer) -> bool:
        """Whether the keys already show more than the table does here.

        Raises:
            UnreachableProxyError: They are from another log, or have shown more for too long.
        """
        if stored is None:
            return False
        free = f"delete the key {self._store.writer_key} to let this table have them"
        if stored.identity != writer.identity:
            raise UnreachableProxyError(
                f"{self._store.name} was written from another log, {stored.identity}; {free}"
            )
        at = stored.at
        if at is None or at == revision or len(at.newest) != len(revision.newest):
            older = False
        else:
            older = at.joined(revision) == at
        if not older:
            self._older_since = None
            return False
        self._older_since = self._older_since or monotonic()
        if monotonic() - self._older_since > OLDER_S_MAX:
            raise UnreachableProxyError(
                f"{self._store.name} has revision {at}, which is newer than the table's"
                f" {revision}: another publisher is ahead, or the log has lost events; {free}"
            )
        return True

    async def _replace(
        self,
        stored: StoredKeys,
        writer: Writer,
        keys_changed_stale: tuple[dict[str, str], dict[str, str], list[str]],
    ) -> bool:
        keys, changed, stale = keys_changed_stale
        grown = unused_slots(keys, stored.values)
        # Where nothing is stored, all of it must come in one step: it replaces what Traefik has.
        if (
            grown
            and stored.writer is not None
            and not await self._store.write(stored.writer, stored.writer, grown, told=False)
        ):
            return False
        return await self._store.write(stored.writer, writer, changed, stale)

    def _acknowledge(self, configuration: TraefikConfiguration, revision: Revision) -> None:
        self._notes.acknowledged(revision, configuration.refusals)
        for watch in self._watches:
            watch.given(revision, configuration.refusals)


def _after(values: dict[str, str], keys: dict[str, str], stale: Sequence[str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key not in set(stale)} | keys
