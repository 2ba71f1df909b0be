"""How a rebuild goes live beside a group that never rests, and a log that is trimmed meanwhile."""

from uuid import uuid4

import anyio

from events import EventLog
from events.entry.codec import encode
from projections.replay.folding import Folding
from projections.replay.rebuild import PAUSE_AFTER, SWAP_TRIES_MAX, Rebuild
from projections.route_table.route_table import ROUTE_TABLE
from tests.support.appending import Appending, truth
from tests.support.histories import E, created, observed
from tests.support.projectors import member, rebuild, settled, store_of
from tests.support.running_consumer import consuming, states, until_settled
from tests.support.waiting import wait_until

_REBUILDS_MAX = 40


async def test_a_group_that_is_never_at_rest_waits_a_moment_for_the_swap(log: EventLog) -> None:
    appending = Appending(log, 1, [uuid4() for _ in range(5)])
    async with consuming(member(log, ROUTE_TABLE)):
        await until_settled(log, ROUTE_TABLE.read_model)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(appending.run, 100_000)
            await wait_until(lambda: len(appending.acknowledged) > 100, "events arrive")
            done = [await rebuild(log)]
            # How often it is too late by itself depends on the machine.
            while done[-1].swap_tries <= PAUSE_AFTER and len(done) < _REBUILDS_MAX:
                done.append(await rebuild(log))
            tasks.cancel_scope.cancel()
        await log.append(created())
        await until_settled(log, ROUTE_TABLE.read_model)
    assert [one.before for one in done[1:]] == [one.generation for one in done[:-1]]
    assert all(one.swap_tries <= SWAP_TRIES_MAX for one in done)
    assert done[-1].swap_tries > PAUSE_AFTER, "the group was never busy"
    assert [one.comparison.mismatches for one in done if one.comparison] == [[]] * len(done)


async def test_what_is_folded_again_needs_nothing_that_was_trimmed_after_it_was_folded(
    log: EventLog,
) -> None:
    appending = Appending(log, 3, [E, uuid4()])
    await appending.run(30)
    async with settled(log):
        pass
    store = store_of(log)
    real = store.new_generation

    async def trimmed_and_broken() -> int:
        fields = encode(observed("unhealthy"), uuid4(), "test")
        flat = [part for name in fields for part in (name, fields[name])]
        flat[-1] = flat[-1].replace(b'"unhealthy"', b'"no such"')
        broken = await log.server.client.call("XADD", log.keys.events(0), "*", *flat)
        await log.server.client.call("XTRIM", log.keys.events(0), "MINID", broken)
        return await real()

    store.new_generation = trimmed_and_broken  # type: ignore[method-assign]
    done = await Rebuild(log, store, Folding(ROUTE_TABLE, 0)).run()
    assert done.generation == await store.live_generation()
    assert await states(log, ROUTE_TABLE) == truth(ROUTE_TABLE, [appending])
