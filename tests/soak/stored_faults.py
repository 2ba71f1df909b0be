"""The faults in what is stored: keys that are deleted, replaced, set back or damaged."""

import json
from contextlib import suppress
from random import Random
from typing import Any
from uuid import UUID

import anyio
from redis.exceptions import RedisError

from events import open_log
from events.errors import LayoutError, ServerUnavailableError
from events.log.positions import group_holder
from tests.soak.deployment import GROUPS, MODELS, NAMESPACE, PARTITIONS, Deployment
from tests.soak.verdict import WEBHOOK

_LAYOUT_BACK_S = 90.0
_AGAIN_S = 0.3
_BY_A_CONSUMER = "a consumer that began anew"

_NO_DOCUMENTS = (
    b"",
    b"{",
    b'{"revision":1}',
    b"\xff\x00",
    b"[]",
    b'{"revision":1,"name":"ch\xe9t"}',
    b'{"revision":1,"name":' + b"[" * 100_000,
)
_NO_VALUES = (b"", b"\xff\xfe", b"no number", b"-1", b"9" * 400, b"[" * 10_000)


async def layout_deleted(deployment: Deployment, _random: Random) -> str:
    """What doctor says brings it back, unless a consumer that begins anew was faster."""
    key = deployment.keys.layout
    before = await deployment.insist("HGETALL", key)
    await deployment.insist("DEL", key)
    with suppress(LayoutError, ServerUnavailableError):
        async with open_log(deployment.server.url, namespace=NAMESPACE) as opened:
            if str(opened.layout.identity).encode() != before[b"identity"]:
                deployment.complaints.append("the log was made anew over one without a layout")
    by = _BY_A_CONSUMER
    with anyio.move_on_after(_LAYOUT_BACK_S):
        while not await deployment.insist("EXISTS", key):
            by = await _do_as_doctor_says(deployment)
            await anyio.sleep(_AGAIN_S)
    after = await deployment.insist("HGETALL", key)
    for field in (b"partitions", b"identity"):
        if after.get(field) != before[field]:
            deployment.complaints.append(
                f"the layout's {field.decode()} was {before[field]!r}, is {after.get(field)!r},"
                f" written by {by}"
            )
    return f"written again by {by}"


async def _do_as_doctor_says(deployment: Deployment) -> str:
    said = await deployment.routestream("doctor", "-o", "json")
    try:
        findings = json.loads(said.stdout)
    except ValueError:
        return f"nobody, doctor ended with {said.returncode}: {said.stderr!r}"
    to_do = next((one["to_do"] for one in findings if one["about"] == "layout"), "")
    if to_do.startswith("redis-cli"):
        # N: as many as the log had, which is what only an operator can know.
        command = to_do.replace(" N,", f" {PARTITIONS} ,").split(" ,")[0]
        await deployment.insist(*command.split()[1:])
    return f"`{to_do}`" if to_do else _BY_A_CONSUMER


async def generations_deleted(deployment: Deployment, random: Random) -> str:
    partition = random.randrange(PARTITIONS)
    await deployment.insist("DEL", deployment.keys.generations(partition))
    return f"of partition {partition}"


async def group_destroyed(deployment: Deployment, random: Random) -> str:
    group, partition = random.choice(GROUPS), random.randrange(PARTITIONS)
    await _try(deployment, "XGROUP", "DESTROY", deployment.keys.events(partition), group)
    return f"{group} of partition {partition}"


async def group_set_back(deployment: Deployment, random: Random) -> str:
    group, partition = random.choice(MODELS), random.randrange(PARTITIONS)
    deployment.set_back.add((group, partition))
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
    junk = random.choice(_NO_DOCUMENTS)
    await _try(deployment, "HSET", documents, endpoint, junk)
    return f"{group} of partition {partition}: {UUID(endpoint.decode())} is {junk[:40]!r}"


async def feed_damaged(deployment: Deployment, random: Random) -> str:
    """An entry that no apply wrote, or a last id that is none."""
    model, partition = random.choice(MODELS), random.randrange(PARTITIONS)
    junk = random.choice(_NO_VALUES)
    if random.random() < 0.5:
        fields = ("previous", junk, "generation", "1", "changes", junk)
        await _try(deployment, "XADD", deployment.keys.changes(partition, model), "*", *fields)
        return f"{model} of partition {partition}: an entry with {junk[:20]!r}"
    key = deployment.keys.generations(partition)
    await _try(deployment, "HSET", key, f"{model}:changes", junk)
    return f"{model} of partition {partition}: its last id is {junk[:20]!r}"


async def tries_damaged(deployment: Deployment, random: Random) -> str:
    partition, junk = random.randrange(PARTITIONS), random.choice(_NO_VALUES)
    stream, key = deployment.keys.events(partition), deployment.keys.tries(partition, WEBHOOK)
    try:
        pending = await deployment.redis.xpending_range(stream, WEBHOOK, "-", "+", 5)
    except (RedisError, OSError):
        pending = []
    for entry in pending:
        await _try(deployment, "HSET", key, entry["message_id"], junk)
    await _try(deployment, "HSET", key, "1-1", junk)
    await _try(deployment, "HSET", deployment.keys.aside(partition, WEBHOOK), "sorted", junk)
    return f"of partition {partition}: {len(pending)} pending entries have {junk[:20]!r}"


async def position_damaged(deployment: Deployment, random: Random) -> str:
    group, partition = random.choice(GROUPS), random.randrange(PARTITIONS)
    junk = random.choice(_NO_VALUES)
    await _try(deployment, "HSET", deployment.keys.positions(partition), group_holder(group), junk)
    return f"{group} of partition {partition} is {junk[:20]!r}"


async def _live(deployment: Deployment, random: Random) -> tuple[str, int, str]:
    model, partition = random.choice(MODELS), random.randrange(PARTITIONS)
    live = int(await deployment.insist("GET", deployment.keys.live(partition, model)) or 0)
    return model, partition, deployment.keys.documents(partition, model, live)


async def _try(deployment: Deployment, *command: Any) -> Any:  # noqa: ANN401 - Redis's reply
    """Do what may be impossible: what it is done to may be broken or gone already."""
    try:
        return await deployment.redis.execute_command(*command)
    except (RedisError, OSError):
        return None


STORED_FAULTS = (
    layout_deleted,
    generations_deleted,
    group_destroyed,
    group_set_back,
    generation_deleted,
    generation_replaced,
    live_key_deleted,
    document_deleted,
    document_damaged,
    feed_damaged,
    tries_damaged,
    position_damaged,
)
