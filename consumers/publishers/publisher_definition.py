"""Defines a publisher that `routestream publish` can run: its name and what it needs."""

from collections.abc import Awaitable, Callable

import msgspec

from consumers.errors import MissingSettingError
from consumers.publishers.proxy_ledger import ProxyLedger
from consumers.publishers.snapshot_feed import SnapshotFeed
from consumers.settings import Settings

Publish = Callable[[SnapshotFeed, ProxyLedger, Settings], Awaitable[None]]
"""Feeds proxies until cancelled, and notes in the ledger what each has acknowledged."""


class PublisherDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher that can be run by its name.

    Attributes:
        name: Its name on the command line, in `proxies ls` and in metrics.
        about: What it feeds, in a few words for the help.
        publish: Does it.
        section: The part of the settings that configures it, empty if there is none.
        missing_setting: Says in one sentence which setting it needs and lacks; None for none.
    """

    name: str
    about: str
    publish: Publish
    section: str = ""
    missing_setting: Callable[[Settings], str | None] = lambda _: None

    def check(self, settings: Settings) -> None:
        """Raise MissingSettingError if the publisher cannot run with *settings*."""
        if (problem := self.missing_setting(settings)) is not None:
            raise MissingSettingError(problem)
