"""What a scrape of a health checker tells of its probes."""

import pytest
from aiohttp.test_utils import unused_port

from consumers.monitoring.targets import ExposedChecker
from events import EventLog
from events.catalogue.health_check import HealthCheck
from producers.checker.probe import open_session, probe
from producers.checker.probe_result import ProbeResult
from producers.checker.probe_tally import ProbeTally
from producers.checker.probes.address import Address
from tests.consumers.support.exposition import asking
from tests.producers.support.checker_ports import LOOPBACK
from tests.producers.test_probe import model_server, with_status

HTTP = HealthCheck(path="/", max_wait_time=20)
TCP = HealthCheck(kind="tcp", max_wait_time=20)


async def test_probes_are_counted_by_kind_and_by_how_they_ended(log: EventLog) -> None:
    async with (
        open_session(LOOPBACK) as session,
        model_server(with_status(200)) as well,
        model_server(with_status(500)) as ill,
        asking(exposed := ExposedChecker(log)) as asked,
    ):
        exposed.tally = session.tally
        nobody = Address("127.0.0.1", unused_port())
        for address, check in ((well, HTTP), (ill, HTTP), (ill, HTTP), (nobody, HTTP), (well, TCP)):
            await probe(session, address, check)
        samples = await asked.samples()
    assert {name: count for name, count in samples.items() if name.startswith("probes_")} == {
        "probes_total http success": 1,
        "probes_total http status": 2,
        "probes_total http refused": 1,
        "probes_total tcp success": 1,
    }
    assert samples["probe_duration_seconds_count http"] == 4
    assert samples["probe_duration_seconds_bucket tcp +Inf"] == 1
    assert 0 < samples["probe_duration_seconds_sum http"] < 4 * HTTP.max_wait_time


async def test_each_bucket_of_a_duration_counts_all_that_were_not_longer(log: EventLog) -> None:
    tally = ProbeTally()
    for duration_s in (0.001, 0.02, 0.2, 40.0):
        tally.count("grpc", ProbeResult(success=True, duration_s=duration_s))
    async with asking(exposed := ExposedChecker(log)) as asked:
        exposed.tally = tally
        samples = await asked.samples()
    buckets = {
        name.rpartition(" ")[2]: count
        for name, count in samples.items()
        if name.startswith("probe_duration_seconds_bucket grpc")
    }
    assert buckets == {
        "0.001": 1,
        "0.003": 1,
        "0.01": 1,
        "0.03": 2,
        "0.1": 2,
        "0.3": 3,
        "1.0": 3,
        "3.0": 3,
        "10.0": 3,
        "30.0": 3,
        "+Inf": 4,
    }
    assert samples["probe_duration_seconds_sum grpc"] == pytest.approx(40.221)
