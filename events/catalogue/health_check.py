"""The health check of an endpoint, which says how its routes are probed."""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from events.catalogue.deep_check import DeepCheck, Path
from events.catalogue.expected_status import (
    ExpectedStatus,
    backward_range,
    status_ranges,
    status_text,
)
from events.catalogue.request_headers import RequestHeaders, masked, wrong_header
from events.errors import InvalidEventError

INTERVAL_MIN_S = 0.1
"""The shortest interval that a person or a model may set; older entries may have shorter ones."""

MAX_WAIT_MIN_S = 0.01
"""The shortest time for an answer that a person or a model may set."""

INITIAL_DELAY_S = 60.0
"""The grace of a route whose health check gives none, in seconds."""

CheckKind = Literal["http", "grpc", "tcp"]
"""What a probe does: asks for a path, asks `grpc.health.v1`, or only connects."""

_HOST = r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z(?#be a host, or a host and a port)"
_PEM = (
    r"^(-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----(\r?\n)*)+\Z"
    r"(?#be certificates in PEM form and nothing else)"
)
_USED_BY: dict[str, tuple[tuple[CheckKind, ...], object]] = {
    "path": (("http",), None),
    "method": (("http",), "GET"),
    "expected_status": (("http",), None),
    "body_contains": (("http",), None),
    "service": (("grpc",), ""),
    "headers": (("http", "grpc"), {}),
    "keep_alive": (("http",), False),
}
"""Fields that some kinds of check use alone: which do, and what the fields of others hold."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a route's certificate is verified.

    Attributes:
        verify: Whether it must be signed by an authority that is trusted, and name the host: that
            of `host_header` where there is one, else the route's.
        ca: The authorities trusted, certificates in PEM form; None: those of the checker's system.
    """

    verify: bool = True
    ca: Annotated[str, Meta(pattern=_PEM, max_length=32_768)] | None = None

    def __post_init__(self) -> None:
        if self.ca is not None and not self.verify:
            raise InvalidEventError("ca", "it would not be used: verify is false; give one of them")


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a route is probed, and when it counts as unhealthy.

    Times are in seconds. The defaults of the first six are Backend.AI's (`ModelHealthCheck`,
    release 25.18); those of the others are what was done before there were such fields.

    Attributes:
        path: The path that is requested from the route; begins with a slash. Only with kind http.
        interval: Time between two probes.
        max_retries: Failures in a row after which the route is unhealthy.
        max_wait_time: Time after which a probe without an answer has failed.
        expected_status_code: The one HTTP status that is a success, without `expected_status`.
        initial_delay: Failures before this time since the route started do not count until it is
            healthy for the first time. None if none was given, as in releases before 25.18:
            `INITIAL_DELAY_S` applies then.
        kind: `http` asks for the path (a route that speaks no HTTP is only connected to), `grpc`
            asks grpc.health.v1 whether `service` is serving, `tcp` only connects.
        service: The service that is asked for over gRPC, "": the server as a whole.
        method: The HTTP method.
        host_header: The Host that is asked for, and whose certificate is expected over TLS; None:
            the route's own.
        headers: Further headers of the request, over gRPC its metadata; at most 16.
        expected_status: The HTTP statuses that are a success, as in `200-299,401`.
        body_contains: Text that the first 64 KB of the body must contain, in UTF-8.
        tls: How its certificate is verified; None: without TLS.
        connect_timeout: Time to connect, TLS included, within `max_wait_time`; None: all of it.
        keep_alive: Whether probes use a connection again, except with POST: they are cheaper, and
            do not notice a route that accepts no new ones.
        rise: Successes in a row after which the route is healthy.
        refused_retries: Refused connections in a row after which it is unhealthy; None: they are
            failures like others.
        on_stale: What becomes of a health that nobody has looked at for long: `keep` it, or take
            the route for unhealthy.
        warm_up_time: Time from its start in which a route must have its first success; None: any.
        deep: How its model is asked for a token now and then; None: not at all.
    """

    path: Path | None = None
    interval: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    max_retries: Annotated[int, Meta(ge=1, le=1_000)] = 10
    max_wait_time: Annotated[float, Meta(gt=0, le=3_600)] = 15.0
    expected_status_code: Annotated[int, Meta(ge=100, le=599)] = 200
    initial_delay: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    kind: CheckKind = "http"
    service: Annotated[str, Meta(pattern=r"^[!-~]*\Z(?#have no space)", max_length=256)] = ""
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] = "GET"
    host_header: Annotated[str, Meta(pattern=_HOST, max_length=255)] | None = None
    headers: RequestHeaders = {}
    expected_status: ExpectedStatus | None = None
    body_contains: Annotated[str, Meta(min_length=1, max_length=1_024)] | None = None
    tls: Tls | None = None
    connect_timeout: Annotated[float, Meta(ge=0.01, le=3_600)] | None = None
    keep_alive: bool = False
    rise: Annotated[int, Meta(ge=1, le=1_000)] = 1
    refused_retries: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    on_stale: Literal["keep", "unhealthy"] = "keep"
    warm_up_time: Annotated[float, Meta(gt=0, le=604_800)] | None = None
    deep: DeepCheck | None = None

    def __post_init__(self) -> None:
        for name in ("initial_delay", "connect_timeout", "warm_up_time"):
            value = getattr(self, name)
            if value is not None and not isfinite(value):
                # JSON has no such number: it would be read back as null.
                raise InvalidEventError(name, f"{value} is not finite")
        wrong = _without_use(self) or _wrong_value(self)
        if wrong is not None:
            raise InvalidEventError(*wrong)

    def __hash__(self) -> int:
        return hash((self.path, self.interval, self.kind))  # headers have no hash

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"HealthCheck({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [*shown_fields(self).items()]

    @property
    def grace_s(self) -> float:
        """Seconds since a route's start in which failures before the first success do not count."""
        return INITIAL_DELAY_S if self.initial_delay is None else self.initial_delay

    @property
    def connect_timeout_s(self) -> float:
        """Seconds in which a connection must be made."""
        return min(self.connect_timeout or self.max_wait_time, self.max_wait_time)

    @property
    def expected_text(self) -> str:
        """The HTTP statuses that are a success, as text."""
        return self.expected_status or str(self.expected_status_code)

    def expects(self, status: int) -> bool:
        """Whether the HTTP status is a success."""
        if self.expected_status is None:
            return status == self.expected_status_code
        return any(status in codes for codes in status_ranges(self.expected_status))


def _without_use(check: HealthCheck) -> tuple[str, str] | None:
    """Return the field that a check of its kind needs or has no use for, and why."""
    if check.kind == "http" and check.path is None:
        return "path", "a check of kind http needs one, got none"
    for name, (kinds, unset) in _USED_BY.items():
        if check.kind not in kinds and getattr(check, name) != unset:
            used_by = f"only a check of kind {' or '.join(kinds)} uses it"
            return name, f"{used_by}, this one is of kind {check.kind}: leave it out"
    return None


def _wrong_value(check: HealthCheck) -> tuple[str, str] | None:
    if check.expected_status is not None and (part := backward_range(check.expected_status)):
        return "expected_status", f"{part} ends before it begins"
    if wrong := wrong_header(check.headers):
        return f"headers.{wrong[0]}", wrong[1]
    if check.body_contains is not None and check.method == "HEAD":
        return "body_contains", "an answer to HEAD has no body; use GET"
    return None


def shown_fields(check: HealthCheck) -> dict[str, Any]:
    """Return the fields of *check* as they may be shown: headers that may be secrets are masked.

    The first five are always there, the others where they are not of their default values.
    """
    shown = {name: getattr(check, name) for name in _ALWAYS_SHOWN}
    shown |= msgspec.to_builtins(check)
    if check.headers:
        shown["headers"] = masked(check.headers)
    return shown


_ALWAYS_SHOWN = HealthCheck.__struct_fields__[:5]


class _Requested(msgspec.Struct, frozen=True):
    """Limits of a requested health check, beyond those of a recorded one."""

    interval: Annotated[float, Meta(ge=INTERVAL_MIN_S)] = INTERVAL_MIN_S
    max_wait_time: Annotated[float, Meta(ge=MAX_WAIT_MIN_S)] = MAX_WAIT_MIN_S


def health_check_from(given: Mapping[str, object]) -> HealthCheck:
    """Read a health check in which null means the default.

    A path without a slash gets one, and a number may be quoted or integral, as in Backend.AI. The
    expected status may be a number or a list, and `tls` may be true.

    Raises:
        msgspec.ValidationError: A field breaks its limits; the message names it.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    path = fields.get("path")
    if isinstance(path, str) and not path.startswith("/"):
        fields["path"] = f"/{path}"
    if "expected_status" in fields:
        fields["expected_status"] = status_text(fields["expected_status"])
    if isinstance(fields.get("tls"), bool):
        fields["tls"] = {} if fields["tls"] else None
    msgspec.convert(fields, _Requested, strict=False)
    return msgspec.convert(fields, HealthCheck, strict=False)
