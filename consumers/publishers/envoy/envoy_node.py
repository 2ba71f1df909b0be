"""Keeps what one Envoy was offered and has taken, which it says by the version it asks with."""

from collections.abc import Iterable
from time import monotonic

from consumers.publishers.envoy.envoy_resource import EnvoyAnswer, ResourceType, digest_in
from consumers.publishers.envoy.envoy_table import Changes, EnvoyTable
from consumers.publishers.proxy_ledger import ProxyNotes, Refusal

REFUSED_AFTER = 2
"""Offers in a row that are not taken, after which Envoy counts as refusing: one may be lost."""

SUBSCRIPTIONS_MAX = 20_000
"""What one Envoy may ask for side by side."""

_AGAIN_FIRST_S = 0.1
_AGAIN_MOST_S = 5.0

Asked = tuple[ResourceType, tuple[str, ...]]
"""What an Envoy asks for again and again: a type, and the names of it."""


class Subscription:
    """What an Envoy was offered of some resources.

    Attributes:
        taken: The digest of what it has, "" for nothing.
        offered: The digest of what it was given last.
        offers: How often it was given something since it last took what it was given.
    """

    def __init__(self) -> None:
        self.taken = ""
        self.offered = ""
        self.offers = 0
        self._offered_at = 0.0

    def asked_with(self, digest: str, current: str) -> None:
        """Note that the Envoy has *digest*, where *current* is what there is."""
        self.taken = digest
        if digest and digest in {self.offered, current}:
            self.offers = 0

    def offer(self, digest: str) -> None:
        """Note that the Envoy is given *digest*."""
        self.offered = digest
        self.offers += 1
        self._offered_at = monotonic()

    def wait_s(self, current: str) -> float:
        """Return how long *current* must not be given yet: the longer the more often it was."""
        if not self.offers or self.offered != current:
            return 0.0
        pause = min(_AGAIN_MOST_S, _AGAIN_FIRST_S * 2.0 ** min(self.offers - 1, 10))
        return max(0.0, self._offered_at + pause - monotonic())


class EnvoyState:
    """What one Envoy has, of all that it asks for.

    REST has no way to refuse: an Envoy that could not use what it was given asks with the version
    before. One that has lost the response does so, too, and one that was started again asks with no
    version; so what is not taken is given again, after a pause that grows.

    Attributes:
        asking: Its requests that are held now.
        asked_at: When it asked last, by the monotonic clock.
    """

    def __init__(self, notes: ProxyNotes) -> None:
        self.notes = notes
        self.asking = 0
        self.asked_at = monotonic()
        self._subscriptions: dict[Asked, Subscription] = {}
        self._behind: set[Asked] = set()

    def asked(self, asked: Asked, version_info: str, table: EnvoyTable) -> None:
        """Note a request, and what it says of what the Envoy has."""
        answer = table.answer(*asked)
        if answer is None:
            return
        subscription = self._subscription(asked, table)
        subscription.asked_with(digest_in(version_info), answer.version.digest)
        if subscription.taken == answer.version.digest:
            self._behind.discard(asked)
        else:
            self._behind.add(asked)
        if subscription.offers >= REFUSED_AFTER:
            self.notes.refused([_refusal(asked, answer)])
        self._settle(table)

    def wait_s(self, asked: Asked, answer: EnvoyAnswer) -> float:
        """Return for how long the Envoy must not be given *answer* yet: it did not take it."""
        subscription = self._subscriptions.get(asked)
        return 0.0 if subscription is None else subscription.wait_s(answer.version.digest)

    def offered(self, asked: Asked, answer: EnvoyAnswer, table: EnvoyTable) -> None:
        """Note that it is given *answer*."""
        self._subscription(asked, table).offer(answer.version.digest)
        self._behind.add(asked)
        self.notes.sent(table.revision)

    def follow(self, table: EnvoyTable, changes: Changes) -> None:
        """Find out what it lacks of a new table, and forget what is in none any more."""
        self._behind -= {(ResourceType.ENDPOINTS, (name,)) for name in changes.names}
        for asked in [one for one in self._subscriptions if changes.touch(*one)]:
            self._behind.discard(asked)
            if (answer := table.answer(*asked)) is None:
                del self._subscriptions[asked]
            elif answer.version.digest != self._subscriptions[asked].taken:
                self._behind.add(asked)
        self._behind |= set(self._not_asked_for(changes.names & table.endpoints.keys()))
        self._settle(table)

    def _subscription(self, asked: Asked, table: EnvoyTable) -> Subscription:
        if asked not in self._subscriptions:
            if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
                self._subscriptions.clear()  # all that is asked for again is given again
            self._subscriptions[asked] = Subscription()
            if asked[0] is ResourceType.CLUSTERS:
                self._behind |= set(self._not_asked_for(table.endpoints))
        return self._subscriptions[asked]

    def _settle(self, table: EnvoyTable) -> None:
        """Note the table's revision as acknowledged if it lacks nothing of it."""
        if not self._behind and self._subscriptions:
            self.notes.sent(table.revision)
            self.notes.acknowledged(table.revision, table.refusals)

    def _not_asked_for(self, names: Iterable[str]) -> Iterable[Asked]:
        """Yield which endpoints of *names* it will ask for, as it was given their clusters."""
        if (ResourceType.CLUSTERS, ()) not in self._subscriptions:
            return ()
        each = ((ResourceType.ENDPOINTS, (name,)) for name in names)
        return (one for one in each if one not in self._subscriptions)


def _refusal(asked: Asked, answer: EnvoyAnswer) -> Refusal:
    kind, names = asked
    return Refusal(
        " ".join((kind.value, *names))[:256],
        f"given {answer.version}, it asks again with what it had before; REST does not say why: "
        "see its log, and `update_rejected` in its statistics",
    )
