"""The groups that read the log, and the `routestream` command."""

from typing import TYPE_CHECKING

from consumers.errors import (
    ConsumersError,
    LeaseLostError,
    MissingSettingError,
    TryLaterError,
    UnknownGroupError,
    UnprocessableError,
)
from events.lazy_names import lazy_names

if TYPE_CHECKING:
    from consumers.groups.change import GroupActiveError, GroupChange, GroupMovedError
    from consumers.processes.embedded import NoServerProgramError, embedded_server
    from consumers.settings import InvalidSettingsError, Settings, read_settings
    from consumers.webhook.webhook import FailedRequestError
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "consumers.groups.change": ("GroupActiveError", "GroupChange", "GroupMovedError"),
            "consumers.processes.embedded": ("NoServerProgramError", "embedded_server"),
            "consumers.settings": ("InvalidSettingsError", "Settings", "read_settings"),
            "consumers.webhook.webhook": ("FailedRequestError",),
        },
    )

__all__ = [
    "ConsumersError",
    "FailedRequestError",
    "GroupActiveError",
    "GroupChange",
    "GroupMovedError",
    "InvalidSettingsError",
    "LeaseLostError",
    "MissingSettingError",
    "NoServerProgramError",
    "Settings",
    "TryLaterError",
    "UnknownGroupError",
    "UnprocessableError",
    "embedded_server",
    "read_settings",
]
