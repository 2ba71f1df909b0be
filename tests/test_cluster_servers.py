"""The clusters that tests stand on do what they say."""

import pytest
from redis.exceptions import AskError, MovedError, TryAgainError

from tests.support.cluster_servers import MASTERS, ClusterServers, members, slot_of
from tests.support.server_set import ask

pytestmark = pytest.mark.timeout(300)


async def test_three_masters_serve_all_slots_and_each_has_a_replica(
    cluster: ClusterServers,
) -> None:
    masters = await cluster.masters()
    assert len(masters) == MASTERS
    for master in masters:
        key = await cluster.key_on(master)
        assert await cluster.master_of(key) is master
        assert await ask(master, "SET", key, "there") == "OK"
        [replica] = await cluster.replicas_of(master)
        with pytest.raises(MovedError, match=f":{master.port}$"):
            await ask(replica, "GET", key)


async def test_a_replica_takes_over_from_a_killed_master_which_comes_back_as_its_replica(
    own_cluster: ClusterServers,
) -> None:
    key = "{one}"
    killed = await own_cluster.master_of(key)
    [replica] = await own_cluster.replicas_of(killed)
    await ask(killed, "SET", key, "kept")
    assert await ask(killed, "WAIT", 1, 20_000) == 1

    own_cluster.kill(killed)
    assert await own_cluster.until_promoted(key, killed) is replica
    await own_cluster.until_whole()
    assert await ask(replica, "GET", key) == "kept"
    assert any("fail" in one.flags for one in await members(replica))

    await own_cluster.restart(killed)
    await own_cluster.until_whole()
    assert await own_cluster.replicas_of(replica) == [killed]


async def test_a_replica_takes_over_from_a_paused_master_and_later_as_planned(
    own_cluster: ClusterServers,
) -> None:
    key = "{one}"
    paused = await own_cluster.master_of(key)
    own_cluster.pause(paused)
    assert paused not in own_cluster.answering
    replica = await own_cluster.until_promoted(key, paused)
    own_cluster.resume(paused)
    await own_cluster.until_whole()
    assert await own_cluster.master_of(key) is replica

    assert await own_cluster.failover(key) is paused
    await own_cluster.until_whole()
    assert await own_cluster.master_of(key) is paused


async def test_a_slot_moves_with_its_keys_and_may_be_left_half_moved(
    patient_cluster: ClusterServers,
) -> None:
    key, other = "{one}:a", "{one}:b"
    source = await patient_cluster.master_of(key)
    target = next(one for one in await patient_cluster.masters() if one is not source)
    await ask(source, "MSET", key, "1", other, "2")

    await patient_cluster.begin_move(slot_of(key), target)
    await patient_cluster.move_keys(slot_of(key), target, key)
    with pytest.raises(AskError, match=f":{target.port}$"):
        await ask(source, "GET", key)
    with pytest.raises(TryAgainError):
        await ask(source, "MGET", key, other)
    assert await ask(source, "GET", other) == "2"

    await patient_cluster.move_keys(slot_of(key), target)
    await patient_cluster.end_move(slot_of(key), target)
    assert await patient_cluster.master_of(key) is target
    assert await ask(target, "MGET", key, other) == ["1", "2"]
    await patient_cluster.until_whole()
