"""The faults: what may happen in a night. Each is over when its function returns."""

import signal
from collections.abc import Awaitable, Callable
from os import kill
from random import Random
from typing import Any
from uuid import UUID

import anyio
from redis.exceptions import RedisError

from consumers.processes.supervisor import Supervisor
from tests.soak.deployment import CLAIM_IDLE_MS, GROUPS, PARTITIONS, Deployment
from tests.support.script_calls import call_of

Fault = Callable[[Deployment, Random], Awaitable[str]]
"""Does harm, and undoes what would stay; returns what exactly it did."""


_REQUESTS = {
    "append": call_of("events.log", "append"),
    "apply": call_of("projections.read_model", "apply"),
    "read": b"XREADGROUP",
    "claim": b"XCLAIM",
}


async def consumer_killed(deployment: Deployment, random: Random) -> str:
    return _signal(deployment.consumers, random, signal.SIGKILL)


async def consumer_terminated(deployment: Deployment, random: Random) -> str:
    return _signal(deployment.consumers, random, signal.SIGTERM)


async def producer_killed(deployment: Deployment, random: Random) -> str:
    return _signal(deployment.producers, random, signal.SIGKILL)


async def consumer_stands_still(deployment: Deployment, random: Random) -> str:
    return await _stop_for(deployment.consumers, random, random.uniform(0.2, 2.5))


async def producer_stands_still(deployment: Deployment, random: Random) -> str:
    return await _stop_for(deployment.producers, random, random.uniform(0.2, 2.5))


def _signal(of: Supervisor, random: Random, number: signal.Signals) -> str:
    name, pid = random.choice(sorted(of.pids.items()) or [("nobody", 0)])
    if pid:
        _send(pid, number)
    return f"{name} {pid}"


def _send(pid: int, number: signal.Signals) -> None:
    """Signal a process of ours that may have ended a moment ago."""
    try:
        kill(pid, number)
    except ProcessLookupError:
        return


async def _stop_for(of: Supervisor, random: Random, seconds: float) -> str:
    name, pid = random.choice(sorted(of.pids.items()) or [("nobody", 0)])
    if pid:
        _send(pid, signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            if pid in of.pids.values():
                _send(pid, signal.SIGCONT)
    return f"{name} {pid} for {seconds:.1f} s"


async def server_killed(deployment: Deployment, random: Random) -> str:
    async with deployment.server_lock:
        deployment.server.kill()
        away_s = random.choice([0.0, random.uniform(0.1, 1.5)])
        await anyio.sleep(away_s)
        await deployment.start_server()
    return f"away for {away_s:.1f} s"


async def server_restarted(deployment: Deployment, _random: Random) -> str:
    async with deployment.server_lock:
        await anyio.to_thread.run_sync(deployment.server.stop)
        await deployment.start_server()
    return "in good order"


async def server_stands_still(deployment: Deployment, random: Random) -> str:
    seconds = random.choice([random.uniform(0.1, 1.0), random.uniform(2.2, 3.5)])
    async with deployment.server_lock:
        deployment.server.pause()
        try:
            await anyio.sleep(seconds)
        finally:
            deployment.server.resume()
        await deployment.insist("PING")
    return f"for {seconds:.1f} s, clients wait 2.0 s"


async def clients_killed(deployment: Deployment, random: Random) -> str:
    about = (await deployment.insist("CLIENT", "LIST", "TYPE", "normal")).splitlines()
    ids = [line.split(b" ")[0].removeprefix(b"id=") for line in about if b"routestream" in line]
    some = random.sample(ids, random.randint(min(1, len(ids)), len(ids)))
    for one in some:
        await deployment.insist("CLIENT", "KILL", "SKIPME", "yes", "ID", one)
    return f"{len(some)} of {len(ids)}"


async def connections_cut(deployment: Deployment, _random: Random) -> str:
    return f"{deployment.proxy.cut()} in the proxy"


async def replies_lost(deployment: Deployment, random: Random) -> str:
    what = random.choice(sorted(_REQUESTS))
    times = random.randint(1, 3)
    for _ in range(times):
        deployment.proxy.lose_next_reply_to(_REQUESTS[what])
    return f"the next {times} to {what}"


async def requests_delayed(deployment: Deployment, random: Random) -> str:
    delay_s = random.uniform(0.05, 0.5)
    deployment.proxy.delay_s = delay_s
    await anyio.sleep(random.uniform(0.5, 2.0))
    deployment.proxy.delay_s = 0.0
    return f"by {delay_s:.2f} s"


async def black_hole(deployment: Deployment, random: Random) -> str:
    seconds = random.uniform(0.5, 3.0)
    deployment.proxy.silent = True
    await anyio.sleep(seconds)
    cut = deployment.proxy.cut()
    deployment.proxy.silent = False
    return f"for {seconds:.1f} s, then {cut} cut"


async def scripts_flushed(deployment: Deployment, _random: Random) -> str:
    await deployment.insist("SCRIPT", "FLUSH")
    return "all"


async def out_of_memory(deployment: Deployment, random: Random) -> str:
    seconds = random.uniform(0.2, 1.5)
    async with deployment.server_lock:
        await deployment.insist("CONFIG", "SET", "maxmemory", "1")
        await anyio.sleep(seconds)
        await deployment.insist("CONFIG", "SET", "maxmemory", "0")
    return f"for {seconds:.1f} s"


async def server_demoted(deployment: Deployment, random: Random) -> str:
    seconds = random.uniform(0.2, 1.5)
    async with deployment.server_lock:
        await deployment.insist("REPLICAOF", "127.0.0.1", "1")
        await anyio.sleep(seconds)
        await deployment.insist("REPLICAOF", "NO", "ONE")
    return f"for {seconds:.1f} s"


async def stream_replaced(deployment: Deployment, random: Random) -> str:
    stream, seconds = deployment.keys.events(random.randrange(PARTITIONS)), random.uniform(0.1, 1.0)
    async with deployment.server_lock:
        replace = deployment.redis.pipeline(transaction=True)
        await replace.rename(stream, f"{stream}:aside").set(stream, "no stream").execute()
        await anyio.sleep(seconds)
        await deployment.insist("RENAME", f"{stream}:aside", stream)
    return f"{stream} by a string for {seconds:.1f} s"


async def group_destroyed(deployment: Deployment, random: Random) -> str:
    group, partition = random.choice(GROUPS), random.randrange(PARTITIONS)
    await _try(deployment, "XGROUP", "DESTROY", deployment.keys.events(partition), group)
    return f"{group} of partition {partition}"


async def group_set_back(deployment: Deployment, random: Random) -> str:
    group, partition = random.choice(GROUPS), random.randrange(PARTITIONS)
    await _try(deployment, "XGROUP", "SETID", deployment.keys.events(partition), group, "0-0")
    return f"{group} of partition {partition}, to the start"


async def generation_deleted(deployment: Deployment, random: Random) -> str:
    group, partition, documents = await _live(deployment, random)
    await deployment.insist("DEL", documents)
    return f"{group} of partition {partition}: {documents}"


async def generation_replaced(deployment: Deployment, random: Random) -> str:
    group, partition, documents = await _live(deployment, random)
    await deployment.insist("SET", documents, "no hash")
    return f"{group} of partition {partition}: {documents} by a string"


async def live_key_deleted(deployment: Deployment, random: Random) -> str:
    group, partition, _ = await _live(deployment, random)
    await deployment.insist("DEL", deployment.keys.live(partition, group))
    return f"{group} of partition {partition}"


async def document_deleted(deployment: Deployment, random: Random) -> str:
    group, partition, documents = await _live(deployment, random)
    endpoint = await _try(deployment, "HRANDFIELD", documents)
    if endpoint is None:
        return "none there"
    await _try(deployment, "HDEL", documents, endpoint)
    return f"{group} of partition {partition}: {UUID(endpoint.decode())}"


async def document_damaged(deployment: Deployment, random: Random) -> str:
    group, partition, documents = await _live(deployment, random)
    endpoint = await _try(deployment, "HRANDFIELD", documents)
    if endpoint is None:
        return "none there"
    junk = random.choice([b"", b"{", b'{"revision":1}', b"\xff\x00", b"[]"])
    await _try(deployment, "HSET", documents, endpoint, junk)
    return f"{group} of partition {partition}: {UUID(endpoint.decode())} is {junk!r}"


async def _live(deployment: Deployment, random: Random) -> tuple[str, int, str]:
    group, partition = random.choice(GROUPS), random.randrange(PARTITIONS)
    live = int(await deployment.insist("GET", deployment.keys.live(partition, group)) or 0)
    return group, partition, deployment.keys.documents(partition, group, live)


async def _try(deployment: Deployment, *command: Any) -> Any:  # noqa: ANN401 - Redis's reply
    """Do what may be impossible: what it is done to may be broken or gone already."""
    try:
        return await deployment.redis.execute_command(*command)
    except (RedisError, OSError):
        return None


FAULTS: tuple[Fault, ...] = (
    consumer_killed,
    consumer_terminated,
    producer_killed,
    consumer_stands_still,
    producer_stands_still,
    server_killed,
    server_restarted,
    server_stands_still,
    clients_killed,
    connections_cut,
    replies_lost,
    requests_delayed,
    black_hole,
    scripts_flushed,
    out_of_memory,
    server_demoted,
    stream_replaced,
    group_destroyed,
    group_set_back,
    generation_deleted,
    generation_replaced,
    live_key_deleted,
    document_deleted,
    document_damaged,
)

assert CLAIM_IDLE_MS < 2_500, "who stands still must stand still for longer than the claim time"
