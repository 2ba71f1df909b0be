"""What the doctor says about a master that sentinels watch."""

from tests.consumers.support.examination import examined, found
from tests.support.sentinel_servers import MASTER, SentinelServers
from tests.support.server_set import ask

ABOUT = "cut off master"


async def test_what_a_failover_can_lose_is_found_with_the_command_that_bounds_it(
    patient_sentinels: SentinelServers,
) -> None:
    before = await examined(patient_sentinels.url())
    assert found(before, ABOUT).severity == "warning"
    assert "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 2" in found(before, ABOUT).to_do
    assert f"SENTINEL FAILOVER {MASTER}" in found(before, "planned failover").what
    assert "all 2 replicas" in found(before, "planned failover").what

    settings = ("min-replicas-to-write", "1", "min-replicas-max-lag", "2")
    await ask(await patient_sentinels.master(), "CONFIG", "SET", *settings)
    assert found(await examined(patient_sentinels.url()), ABOUT).severity == "ok"
