"""The sentinels that tests stand on do what they say."""

from tests.support.sentinel_servers import SentinelServers
from tests.support.server_set import ask


async def test_sentinels_replace_a_killed_master_by_a_replica_that_has_all(
    own_sentinels: SentinelServers,
) -> None:
    killed = await own_sentinels.master()
    replicas = await own_sentinels.replicas()
    assert len(replicas) == 2
    await ask(killed, "SET", "key", "kept")
    await own_sentinels.until_replicated()

    own_sentinels.kill(killed)
    master = await own_sentinels.until_promoted(killed)
    assert master in replicas
    assert await own_sentinels.master() is master
    assert await ask(master, "GET", "key") == "kept"


async def test_sentinels_replace_a_master_as_planned_though_one_of_them_is_away(
    patient_sentinels: SentinelServers,
) -> None:
    first = await patient_sentinels.master()
    patient_sentinels.sentinels.kill(patient_sentinels.sentinels.servers[0])
    second = await patient_sentinels.failover()
    assert second is not first
    assert await patient_sentinels.master() is second
