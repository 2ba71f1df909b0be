"""Keeps what one Traefik that polls was given on each of its connections."""

from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic

from consumers.publishers.proxy_ledger import ProxyNotes
from consumers.publishers.traefik.applied_watch import AppliedWatch
from consumers.publishers.traefik.published_document import PublishedDocument

CONNECTIONS_MAX = 16
"""Connections of one proxy that are told apart; older ones are answered at once."""


class PollingProxy:
    """One Traefik, or several that poll the same address."""

    def __init__(self, notes: ProxyNotes, watch: AppliedWatch | None) -> None:
        self.notes = notes
        self._watch = watch
        self._given: OrderedDict[Hashable, PublishedDocument] = OrderedDict()
        self._polled_at = monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since its last poll."""
        return monotonic() - self._polled_at

    def polls(self, connection: Hashable) -> PublishedDocument | None:
        """Note a poll, and return what it was given on *connection* before, None for nothing.

        That it polls again there proves that it has read it. A new connection proves nothing: its
        Traefik may have been started anew.
        """
        self._polled_at = monotonic()
        document = self._given.get(connection)
        if document is not None and self._watch is None:
            self.notes.acknowledged(document.revision, document.refusals)
        return document

    def waits(self) -> None:
        """Note that its poll is still there."""
        self._polled_at = monotonic()

    def is_silent(self, why: str) -> None:
        """Note that it polls no longer: what its API says then is no proof of the next revision."""
        if self._watch is not None:
            self._watch.suspend()
        self.notes.unreachable(why)

    def gets(self, connection: Hashable, document: PublishedDocument) -> None:
        """Note that it is given *document* on *connection*."""
        self._given[connection] = document
        self._given.move_to_end(connection)
        while len(self._given) > CONNECTIONS_MAX:
            self._given.popitem(last=False)
        if self._watch is None:
            self.notes.sent(document.revision)
        else:
            self._watch.given(document.revision, document.refusals)
