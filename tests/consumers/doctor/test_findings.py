"""The findings that no server can be brought to at will, made from what it would tell."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.doctor.finding import Finding, counted, size_in_words, worst_first, worst_of
from consumers.doctor.log_facts import GroupFacts
from consumers.doctor.log_findings import group_findings
from consumers.doctor.server_facts import ServerFacts
from consumers.doctor.server_findings import server_findings

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def of(**facts: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401
    """Return severity, subject and figure of all that is not well."""
    findings = server_findings(ServerFacts(**facts))
    return [(one.severity, one.about, one.figure) for one in findings if one.severity != "ok"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"aof_enabled": 1}, []),
        (
            {"aof_enabled": 1, "aof_last_write_status": "err"},
            [("error", "append-only file", "err")],
        ),
        (
            {"aof_enabled": 1, "aof_last_bgrewrite_status": "err"},
            [("warning", "append-only file", "err")],
        ),
        ({"aof_enabled": 1, "rdb_last_bgsave_status": "err"}, [("warning", "last save", "err")]),
        (
            {"aof_enabled": 1, "loading": 1, "loading_eta_seconds": 7},
            [("error", "loading", "7 s left")],
        ),
    ],
)
def test_what_goes_wrong_with_the_disk(
    told: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert of(persistence=told) == expected


@pytest.mark.parametrize(
    ("slave", "expected"),
    [
        ({"state": "online", "lag": 1}, []),
        ({"state": "online", "lag": 11}, [("warning", "online, 11 s without a sign")]),
        ({"state": "wait_bgsave", "lag": 0}, [("warning", "wait_bgsave, 0 s without a sign")]),
    ],
)
def test_a_replica_that_does_not_keep_up(
    slave: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    told = {"role": "master", "connected_slaves": 1, "slave0": {"ip": "::1", "port": 1, **slave}}
    assert of(replication=told) == [(s, "replica ::1:1", figure) for s, figure in expected]


@pytest.mark.parametrize(
    ("needed", "lag_s", "severity"),
    [("0", "10", "warning"), ("1", "10", "warning"), ("1", "2", None), ("2", "2", "error")],
)
def test_how_long_a_master_that_is_cut_off_takes_appends(
    needed: str, lag_s: str, severity: str | None
) -> None:
    online = {"ip": "::1", "port": 1, "state": "online", "lag": 0}
    told = {"role": "master", "connected_slaves": 1, "slave0": online}
    settings = {"min-replicas-to-write": needed, "min-replicas-max-lag": lag_s}
    figure = f"min-replicas-to-write {needed}, min-replicas-max-lag {lag_s}"
    expected = [] if severity is None else [(severity, "cut off master", figure)]
    assert of(replication=told, settings=settings, watched_as="routes") == expected
    assert of(replication=told, settings=settings) == []


def test_sentinels_without_a_replica_have_none_to_make_the_master() -> None:
    told = {"role": "master", "connected_slaves": 0}
    assert of(replication=told, watched_as="routes") == [("error", "failover", "0 replicas")]


@pytest.mark.parametrize(
    ("version", "how"),
    [
        ({"redis_version": "8.2.0"}, "CLIENT PAUSE 20000 WRITE on the master, then SENTINEL"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "CLIENT PAUSE 20000 WRITE"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, "FAILOVER routes COORDINATED"),
    ],
)
def test_how_to_plan_a_failover_depends_on_the_server(version: dict[str, str], how: str) -> None:
    online = {"ip": "::1", "port": 1, "state": "online", "lag": 0}
    told = {"role": "master", "connected_slaves": 1, "slave0": online}
    facts = ServerFacts(server=version, replication=told, watched_as="routes")
    [planned] = [one for one in server_findings(facts) if one.about == "planned failover"]
    assert how in planned.what


@pytest.mark.parametrize(
    ("ahead_s", "severity"),
    [(0.5, None), (-1.9, None), (2.0, "warning"), (-59, "warning"), (60, "error"), (-61, "error")],
)
def test_a_clock_that_differs(ahead_s: float, severity: str | None) -> None:
    expected = [] if severity is None else [(severity, "clock", f"{ahead_s:+.1f} s")]
    assert of(clock_ahead_s=ahead_s) == expected


def test_a_server_that_is_too_old() -> None:
    assert of(server={"redis_version": "6.2.14"}) == [("error", "version", "6.2.14")]
    assert of(server={"redis_version": "7.0.15"}) == []
    assert of(server={"redis_version": "7.2.4", "valkey_version": "8.0.1"}) == []


def test_a_server_that_fills_its_machine_without_a_limit() -> None:
    told = {"used_memory": 90, "maxmemory": 0, "total_system_memory": 100}
    assert of(memory=told) == [("warning", "memory", "90 bytes of 100 bytes (90%)")]


@pytest.mark.parametrize(
    ("ago", "trimmed", "severity"),
    [
        (timedelta(hours=1), 0, "error"),
        (timedelta(days=2), 0, "warning"),
        (timedelta(days=2), 4, "error"),
        (None, 0, "error"),
    ],
)
def test_a_loss_is_an_error_while_it_is_new_or_goes_on(
    ago: timedelta | None, trimmed: int, severity: str
) -> None:
    lost_at = None if ago is None else NOW - ago
    group = GroupFacts(name="g", lost=3, lost_at=lost_at, trimmed_unread=trimmed)
    findings = list(group_findings(group, 2, NOW))
    [loss] = [one for one in findings if one.about == "loss of g, partition 2"]
    assert loss.severity == severity
    assert loss.figure.startswith(f"{3 + trimmed}, last noticed ")
    assert loss.to_do.endswith("groups losses g --ack --reason WHY")


def test_the_worst_comes_first() -> None:
    findings = [Finding("ok", "a", ""), Finding("warning", "b", ""), Finding("error", "c", "")]
    assert [one.about for one in worst_first(findings)] == ["c", "b", "a"]
    assert worst_of(findings) == "error"
    assert worst_of([]) == "ok"


def test_things_are_counted_in_words() -> None:
    assert [counted(1, "entry"), counted(2, "entry"), counted(0, "error")] == [
        *("1 entry", "2 entries", "0 errors"),
    ]


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (1_000_000, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**11, "500.0 GB"),
        (10**21, "1,000.0 EB"),
    ],
)
def test_a_size_is_told_in_the_largest_unit_that_it_fills(size_bytes: int, words: str) -> None:
    assert size_in_words(size_bytes) == words
