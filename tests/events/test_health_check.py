from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from events.catalogue.deep_check import DeepCheck
from events.catalogue.endpoint import EndpointHealthCheckUpdatedEvent
from events.catalogue.health_check import HealthCheck, Tls, health_check_from, shown_fields
from events.entry.codec import decode, encode
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import InvalidEventError

E = UUID(int=0xE)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def read_back(check: HealthCheck) -> HealthCheck | None:
    event = EndpointHealthCheckUpdatedEvent(endpoint_id=E, health_check=check)
    decoded = decode(Entry(EntryId(5, 7), 0, encode(event, uuid4(), "test"))).event
    assert isinstance(decoded, EndpointHealthCheckUpdatedEvent)
    return decoded.health_check


@pytest.mark.parametrize(
    "check",
    [
        HealthCheck(path="/"),
        HealthCheck(kind="tcp"),
        HealthCheck(kind="tcp", tls=Tls(verify=False), connect_timeout=0.5),
        HealthCheck(kind="grpc", service="a.B", headers={"x-tenant": "a"}),
        HealthCheck(path="/", tls=Tls(ca=PEM), deep=DeepCheck(model="m", path="/v1/x")),
        HealthCheck(path="/", headers={f"x-{n}": "v" * 4_096 for n in range(16)}),
        HealthCheck(path="/", expected_status="200-299,401", method="HEAD", rise=3),
        HealthCheck(path="/", on_stale="unhealthy", warm_up_time=604_800, refused_retries=1),
    ],
)
def test_a_health_check_within_its_limits_reads_back_as_it_was(check: HealthCheck) -> None:
    assert read_back(check) == check


def test_a_health_check_of_defaults_is_as_small_as_its_path() -> None:
    assert msgspec.json.encode(HealthCheck(path="/up")) == b'{"path":"/up"}'


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({}, "path", "a check of kind http needs one, got none"),
        ({"kind": "tcp", "path": "/"}, "path", "only a check of kind http uses it"),
        ({"kind": "grpc", "path": "/"}, "path", "only a check of kind http uses it"),
        ({"kind": "grpc", "method": "POST"}, "method", "only a check of kind http uses it"),
        ({"kind": "grpc", "expected_status": "200"}, "expected_status", "only a check of kind"),
        ({"kind": "tcp", "body_contains": "ok"}, "body_contains", "only a check of kind http"),
        ({"kind": "tcp", "headers": {"a": "b"}}, "headers", "only a check of kind http or grpc"),
        ({"kind": "tcp", "keep_alive": True}, "keep_alive", "only a check of kind http uses it"),
        ({"path": "/", "service": "a.B"}, "service", "only a check of kind grpc uses it"),
        ({"path": "/", "expected_status": "299-200"}, "expected_status", "299-200 ends before"),
        ({"path": "/", "headers": {"Host": "a"}}, "headers.Host", "the probe sets this header"),
        ({"path": "/", "headers": {"a": "b", "A": "c"}}, "headers.A", "it is given twice"),
        ({"path": "/", "method": "HEAD", "body_contains": "x"}, "body_contains", "an answer to"),
        ({"path": "/", "warm_up_time": float("inf")}, "warm_up_time", "inf is not finite"),
        ({"path": "/", "connect_timeout": float("nan")}, "connect_timeout", "nan is not finite"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_by_name(
    fields: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidEventError) as refused:
        HealthCheck(**fields)
    assert refused.value.field == field
    assert refused.value.problem.startswith(problem)


def test_an_authority_and_no_verification_exclude_each_other() -> None:
    with pytest.raises(InvalidEventError, match="ca: it would not be used: verify is false"):
        Tls(verify=False, ca=PEM)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expected_status": "99"}, "expected_status"),
        ({"expected_status": "600"}, "expected_status"),
        ({"expected_status": "200;300"}, "expected_status"),
        ({"host_header": "a/b"}, "host_header"),
        ({"host_header": "a\r\nb: c"}, "host_header"),
        ({"headers": {"a b": "c"}}, "headers"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"headers": {f"x-{n}": "v" for n in range(17)}}, "headers"),
        ({"headers": {"a": "v" * 4_097}}, "headers"),
        ({"body_contains": ""}, "body_contains"),
        ({"body_contains": "b" * 1_025}, "body_contains"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"rise": 0}, "rise"),
        ({"refused_retries": 0}, "refused_retries"),
        ({"warm_up_time": 0}, "warm_up_time"),
        ({"method": "DELETE"}, "method"),
        ({"on_stale": "drop"}, "on_stale"),
        ({"tls": Tls(ca="no certificate")}, "tls.ca"),
        ({"deep": DeepCheck(interval=0)}, "deep.interval"),
        ({"deep": DeepCheck(path="x")}, "deep.path"),
    ],
)
def test_a_field_beyond_its_limits_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        read_back(HealthCheck(path="/", **fields))
    assert refused.value.field == f"health_check.{field}"


def test_a_refused_header_is_not_shown_since_it_may_be_a_secret() -> None:
    with pytest.raises(InvalidEventError) as refused:
        read_back(HealthCheck(path="/", headers={"authorization": "Bearer s3cret\n"}))
    assert "s3cret" not in str(refused.value)


def test_only_headers_that_hold_no_secrets_are_shown() -> None:
    headers = {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret", "Accept": "text/plain"}
    check = HealthCheck(path="/", headers=headers)
    masked = {"Accept": "text/plain", "Authorization": "***", "X-Api-Key": "***"}
    assert shown_fields(check) == {
        "path": "/",
        "interval": 10.0,
        "max_retries": 10,
        "max_wait_time": 15.0,
        "expected_status_code": 200,
        "headers": masked,
    }


@pytest.mark.parametrize(
    ("expected", "successes"),
    [
        (None, {200}),
        ("204", {204}),
        ("200-202,401,500-501", {200, 201, 202, 401, 500, 501}),
    ],
)
def test_the_expected_statuses_are_exactly_the_ones_named(
    expected: str | None, successes: set[int]
) -> None:
    check = HealthCheck(path="/", expected_status=expected)
    assert {status for status in range(100, 600) if check.expects(status)} == successes


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ({"expected_status": 204}, HealthCheck(path="/", expected_status="204")),
        (
            {"expected_status": [200, "300-399"]},
            HealthCheck(path="/", expected_status="200,300-399"),
        ),
        ({"expected_status": "200, 401"}, HealthCheck(path="/", expected_status="200,401")),
        ({"tls": True}, HealthCheck(path="/", tls=Tls())),
        ({"tls": False}, HealthCheck(path="/")),
    ],
)
def test_a_person_may_write_statuses_and_tls_in_short(
    given: dict[str, object], means: HealthCheck
) -> None:
    assert health_check_from({"path": "/", **given}) == means


def test_a_connection_has_no_more_time_than_the_whole_probe() -> None:
    assert HealthCheck(path="/", max_wait_time=2, connect_timeout=5).connect_timeout_s == 2
    assert HealthCheck(path="/", max_wait_time=2).connect_timeout_s == 2
    assert HealthCheck(path="/", max_wait_time=2, connect_timeout=0.5).connect_timeout_s == 0.5
