"""Health checks of every kind: given on the command line, and shown by it without secrets."""

import json
import subprocess
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from consumers.cli.endpoints.endpoints import endpoints
from consumers.cli.endpoints.record import create, update
from consumers.cli.endpoints.trace import trace_events
from consumers.cli.endpoints.why import why
from events import EndpointCreatedEvent, Entry, EventLog, HealthCheck, Tls
from events.entry.codec import decode
from projections.read_model.store import ReadModelStore
from projections.replay.build import build
from projections.route_table.route_table import ROUTE_TABLE
from tests.consumers.support.commands import Commands

CHAT = UUID("7ccd26ec-0000-4000-8000-000000000001")
CREATE = ("chat", "--model", "llama-3", "--id", str(CHAT), "--yes")


async def given(run: Commands, check: dict[str, object], *further: str) -> str:
    text = json.dumps(check)
    result = await run(create, *CREATE, "--health-check", text, *further)
    assert result.exit_code == 0, result.output
    return result.stderr


async def recorded(log: EventLog) -> HealthCheck:
    [entry] = await entries(log)
    event = decode(entry).event
    assert isinstance(event, EndpointCreatedEvent)
    assert event.health_check is not None
    return event.health_check


async def shown_by(run: Commands, *words: str) -> str:
    result = await run(endpoints, *words)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


async def entries(log: EventLog) -> list[Entry]:
    return [entry async for chunk in log.read_entries(0) for entry in chunk]


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return the file of a certificate."""
    file = tmp_path / "ca.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=authority", "-days", "2"),
            *("-keyout", tmp_path / "key.pem", "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    return file


async def test_headers_that_may_be_secrets_are_masked_wherever_they_are_shown(
    log: EventLog, run: Commands
) -> None:
    headers = {"Authorization": "Bearer s3cret", "Accept": "text/plain"}
    plan = await given(run, {"path": "/up", "headers": headers, "expected-status": [200, 401]})
    assert '"headers":{"Accept":"text/plain","Authorization":"***"}' in plan
    assert (await recorded(log)).headers == headers
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    shown = await shown_by(run, "show", str(CHAT))
    assert "200,401 within 15s" in shown
    assert "Authorization: ***" in shown
    shown += await shown_by(run, "show", str(CHAT), "-o", "json")
    for command in (why, trace_events):
        result = await run(command, str(CHAT))
        assert "***" in result.output
        shown += result.output
    assert "s3cret" not in plan + shown


async def test_a_check_of_another_kind_needs_no_path(log: EventLog, run: Commands) -> None:
    await given(run, {"kind": "grpc", "service": "a.B", "rise": 2})
    assert await recorded(log) == HealthCheck(kind="grpc", service="a.B", rise=2)
    await build(log, ReadModelStore(log.server, log.keys, ROUTE_TABLE, 0))
    shown = await shown_by(run, "show", str(CHAT))
    assert "gRPC health of a.B every 10s, within 15s" in shown
    assert "healthy after 2 successes in a row" in shown


async def test_an_authority_is_read_from_a_file(
    log: EventLog, run: Commands, authority: Path
) -> None:
    await given(run, {"path": "/up"}, "--health-check-ca", str(authority))
    pem = await anyio.Path(authority).read_text()
    assert await recorded(log) == HealthCheck(path="/up", tls=Tls(ca=pem))


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        ('{"kind": "tcp", "path": "/"}', "health_check.path: only a check of kind http uses it"),
        ('{"headers": {"Host": "a"}}', "health_check.headers.Host: the probe sets this header"),
        ('{"tls": {"verify": false, "ca": "x"}}', "health_check.tls.ca"),
        ('{"tls": {"ca": "PEM"}}', "health_check.tls.ca: it has no certificates that can be read"),
        ('{"knd": "tcp"}', "health_check.knd: it is not known; did you mean kind?"),
    ],
)
async def test_a_wrong_field_is_refused_by_name_and_nothing_is_recorded(
    log: EventLog, run: Commands, check: str, sentence: str
) -> None:
    pem = "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"
    result = await run(create, *CREATE, "--health-check", check.replace("PEM", pem))
    assert result.exit_code != 0
    assert sentence in str(result.exception) + result.output
    assert await entries(log) == []


async def test_an_authority_without_a_check_is_refused(run: Commands, authority: Path) -> None:
    result = await run(update, str(CHAT), "--health-check-ca", str(authority), "--yes")
    assert result.exit_code == 2
    assert "--health-check-ca is used with --health-check alone" in result.output
