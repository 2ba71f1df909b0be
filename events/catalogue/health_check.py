"""The health check of an endpoint, which says how its routes are probed."""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import Meta

from events.errors import InvalidEventError

INTERVAL_MIN_S = 0.1
"""The shortest interval that a person or a model may set; older entries may have shorter ones."""

MAX_WAIT_MIN_S = 0.01
"""The shortest time for an answer that a person or a model may set."""

INITIAL_DELAY_S = 60.0
"""The grace of a route whose health check gives none, in seconds."""


_PATH = r"^/[^\s]*\Z(?#begin with a slash and have no space)"


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a route is probed, and when it counts as unhealthy.

    Times are in seconds. The defaults are Backend.AI's
    (`ModelHealthCheck`, release 25.18).

    Attributes:
        path: The path that is requested from the route; begins with a slash.
        interval: Time between two probes.
        max_retries: Failures in a row after which the route is unhealthy.
        max_wait_time: Time after which a probe without an answer has failed.
        expected_status_code: The one HTTP status that is a success.
        initial_delay: Failures before this time since the route started do not count. None if none
            was given, as in releases before 25.18: `INITIAL_DELAY_S` applies then.
    """

    path: Annotated[str, Meta(pattern=_PATH, max_length=2048)]
    interval: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    max_retries: Annotated[int, Meta(ge=1, le=1_000)] = 10
    max_wait_time: Annotated[float, Meta(gt=0, le=3_600)] = 15.0
    expected_status_code: Annotated[int, Meta(ge=100, le=599)] = 200
    initial_delay: Annotated[float, Meta(ge=0, le=86_400)] | None = None

    def __post_init__(self) -> None:
        if self.initial_delay is not None and not isfinite(self.initial_delay):
            # JSON has no such number: it would be read back as null.
            raise InvalidEventError("initial_delay", f"{self.initial_delay} is not finite")

    @property
    def grace_s(self) -> float:
        """Seconds since a route's start in which its failures do not count."""
        return INITIAL_DELAY_S if self.initial_delay is None else self.initial_delay


class _Requested(msgspec.Struct, frozen=True):
    """Limits of a requested health check, beyond those of a recorded one."""

    interval: Annotated[float, Meta(ge=INTERVAL_MIN_S)] = INTERVAL_MIN_S
    max_wait_time: Annotated[float, Meta(ge=MAX_WAIT_MIN_S)] = MAX_WAIT_MIN_S


def health_check_from(given: Mapping[str, object]) -> HealthCheck:
    """Read a health check in which null means the default.

    A path without a slash gets one, and a number may be quoted or integral, as in Backend.AI.

    Raises:
        msgspec.ValidationError: A field breaks its limits; the message names it.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    path = fields.get("path")
    if isinstance(path, str) and not path.startswith("/"):
        fields["path"] = f"/{path}"
    msgspec.convert(fields, _Requested, strict=False)
    return msgspec.convert(fields, HealthCheck, strict=False)
