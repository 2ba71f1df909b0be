"""Gives the newest snapshot as a document, written once however many proxies read it."""

from collections.abc import Sequence

import anyio
import msgspec

from consumers.publishers.proxy_ledger import Refusal
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.publishers.table_snapshot import Revision
from consumers.publishers.traefik.default_certificate import Certificate
from consumers.publishers.traefik.http_document import http_document
from consumers.publishers.traefik.traefik_configuration import (
    TraefikConfiguration,
    traefik_configuration,
)
from consumers.publishers.traefik.traefik_settings import TraefikSettings


class PublishedDocument(msgspec.Struct, frozen=True):
    """The document of one snapshot, and what of the snapshot is not in it."""

    sequence: int
    revision: Revision
    body: bytes
    refusals: Sequence[Refusal]


class DocumentFeed:
    """The newest document of a feed."""

    def __init__(
        self, feed: SnapshotFeed, settings: TraefikSettings, certificate: Certificate | None
    ) -> None:
        self._feed, self._settings, self._certificate = feed, settings, certificate
        self._newest: PublishedDocument | None = None
        self._told: TraefikConfiguration | None = None

    @property
    def problem(self) -> str | None:
        """Why there is no document yet."""
        return self._feed.problem

    @property
    def newest(self) -> PublishedDocument | None:
        """The newest document, None before the first snapshot."""
        snapshot = self._feed.newest
        if snapshot is None:
            return None
        if self._newest is None or self._newest.sequence != self._feed.sequence:
            configuration = traefik_configuration(snapshot, self._settings, self._told)
            self._told = configuration
            self._newest = PublishedDocument(
                self._feed.sequence,
                snapshot.revision,
                http_document(configuration, self._settings, self._certificate),
                configuration.refusals,
            )
        return self._newest

    async def after(self, document: PublishedDocument | None, hold_s: float) -> bool:
        """Wait for a newer document than *document*, and return whether it came in time."""
        with anyio.move_on_after(hold_s) as waited:
            await self._feed.after(0 if document is None else document.sequence)
        return not waited.cancelled_caught
