"""The groups that read the log, and the `routestream` command."""

from typing import TYPE_CHECKING

from consumers.errors import (
    ConsumersError,
    LeaseLostError,
    ListenError,
    MissingSettingError,
    TakenNameError,
    TryLaterError,
    UnknownGroupError,
    UnknownPublisherError,
    UnprocessableError,
    UnreachableProxyError,
)
from events.lazy_names import lazy_names

if TYPE_CHECKING:
    from consumers.group_definition import GroupDefinition, handler_group
    from consumers.groups.change import GroupActiveError, GroupChange, GroupMovedError
    from consumers.handlers.handler_settings import HandlerSettings
    from consumers.monitoring.settings import MetricsSettings
    from consumers.processes.appproxy.errors import AppProxyFailedError, NoAppProxyError
    from consumers.processes.embedded import NoServerProgramError, embedded_server
    from consumers.processes.traefik_process import NoTraefikError
    from consumers.publishers.proxy_ledger import ProxyLedger, ProxyNotes, Refusal
    from consumers.publishers.publisher_definition import PublisherDefinition
    from consumers.publishers.pushing import PushedProxy, push
    from consumers.publishers.snapshot_feed import SnapshotFeed
    from consumers.publishers.table_snapshot import PublishedEndpoint, Revision, TableSnapshot
    from consumers.running_group import open_group
    from consumers.runtime.outcome import RetryPolicy
    from consumers.runtime.processor import Handler
    from consumers.settings import InvalidSettingsError, Settings, read_settings
    from consumers.webhook.webhook import FailedRequestError
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "consumers.group_definition": ("GroupDefinition", "handler_group"),
            "consumers.groups.change": ("GroupActiveError", "GroupChange", "GroupMovedError"),
            "consumers.handlers.handler_settings": ("HandlerSettings",),
            "consumers.monitoring.settings": ("MetricsSettings",),
            "consumers.processes.appproxy.errors": ("AppProxyFailedError", "NoAppProxyError"),
            "consumers.processes.embedded": ("NoServerProgramError", "embedded_server"),
            "consumers.processes.traefik_process": ("NoTraefikError",),
            "consumers.publishers.proxy_ledger": ("ProxyLedger", "ProxyNotes", "Refusal"),
            "consumers.publishers.publisher_definition": ("PublisherDefinition",),
            "consumers.publishers.pushing": ("PushedProxy", "push"),
            "consumers.publishers.snapshot_feed": ("SnapshotFeed",),
            "consumers.publishers.table_snapshot": (
                "PublishedEndpoint",
                "Revision",
                "TableSnapshot",
            ),
            "consumers.running_group": ("open_group",),
            "consumers.runtime.outcome": ("RetryPolicy",),
            "consumers.runtime.processor": ("Handler",),
            "consumers.settings": ("InvalidSettingsError", "Settings", "read_settings"),
            "consumers.webhook.webhook": ("FailedRequestError",),
        },
    )

__all__ = [
    "AppProxyFailedError",
    "ConsumersError",
    "FailedRequestError",
    "GroupActiveError",
    "GroupChange",
    "GroupDefinition",
    "GroupMovedError",
    "Handler",
    "HandlerSettings",
    "InvalidSettingsError",
    "LeaseLostError",
    "ListenError",
    "MetricsSettings",
    "MissingSettingError",
    "NoAppProxyError",
    "NoServerProgramError",
    "NoTraefikError",
    "ProxyLedger",
    "ProxyNotes",
    "PublishedEndpoint",
    "PublisherDefinition",
    "PushedProxy",
    "Refusal",
    "RetryPolicy",
    "Revision",
    "Settings",
    "SnapshotFeed",
    "TableSnapshot",
    "TakenNameError",
    "TryLaterError",
    "UnknownGroupError",
    "UnknownPublisherError",
    "UnprocessableError",
    "UnreachableProxyError",
    "embedded_server",
    "handler_group",
    "open_group",
    "push",
    "read_settings",
]
