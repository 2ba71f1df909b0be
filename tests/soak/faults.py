"""The faults: what may happen in a night. Each is over when its function returns."""

import signal
from collections.abc import Awaitable, Callable
from os import kill
from random import Random

import anyio

from consumers.processes.supervisor import Supervisor
from tests.soak.deployment import CLAIM_IDLE_MS, PARTITIONS, Deployment
from tests.soak.failing_endpoint import endpoint_fails
from tests.soak.soak_server import NO_CLOCK
from tests.soak.stored_faults import STORED_FAULTS
from tests.support.script_calls import call_of

Fault = Callable[[Deployment, Random], Awaitable[str]]
"""Does harm, and undoes what would stay; returns what exactly it did."""


_REQUESTS = {
    "append": call_of("events.log", "append"),
    "apply": call_of("projections.read_model", "apply"),
    "read": b"XREADGROUP",
    "claim": b"XCLAIM",
}

_CLOCK_STEPS_S = (-3_600, -30, 30, 61, 3_600)


async def consumer_killed(deployment: Deployment, random: Random) -> str:
    return _signal(deployment, deployment.consumers, random, signal.SIGKILL)


async def consumer_terminated(deployment: Deployment, random: Random) -> str:
    return _signal(deployment, deployment.consumers, random, signal.SIGTERM)


async def producer_killed(deployment: Deployment, random: Random) -> str:
    return _signal(deployment, deployment.producers, random, signal.SIGKILL)


async def consumer_stands_still(deployment: Deployment, random: Random) -> str:
    return await _stop_for(deployment.consumers, random, random.uniform(0.2, 2.5))


async def producer_stands_still(deployment: Deployment, random: Random) -> str:
    return await _stop_for(deployment.producers, random, random.uniform(0.2, 2.5))


def _signal(deployment: Deployment, of: Supervisor, random: Random, number: signal.Signals) -> str:
    name, pid = random.choice(sorted(of.pids.items()) or [("nobody", 0)])
    if pid:
        deployment.signalled[name] += 1
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


async def clock_set(deployment: Deployment, random: Random) -> str:
    if deployment.server.clock is None:
        return f"left out, {NO_CLOCK}"
    offset_s, seconds = random.choice(_CLOCK_STEPS_S), random.uniform(0.3, 3.0)
    deployment.server.set_clock(offset_s)
    await anyio.sleep(seconds)
    deployment.server.set_clock(0)
    return f"by {offset_s:+d} s for {seconds:.1f} s, and back again"


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
    clock_set,
    endpoint_fails,
    *STORED_FAULTS,
)

assert CLAIM_IDLE_MS < 2_500, "who stands still must stand still for longer than the claim time"
