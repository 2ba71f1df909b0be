"""When a consumer lives and when it is ready: the rules, without a server."""

import pytest

from consumers.groups.backlog import Backlog
from consumers.monitoring.vitals import (
    Health,
    Problem,
    ServerProbe,
    VitalsSettings,
    liveness_of,
    readiness_of,
)
from consumers.runtime.outcome import Delivery
from consumers.runtime.progress import ConsumerProgress, State
from events.entry.entry_id import EntryId
from events.entry.recorded import Entry
from events.errors import NoGroupError, ServerRefusedError, ServerUnavailableError

SETTINGS = VitalsSettings(stalled_s=60, patience_s=600)
NOTHING_LEFT = ServerProbe(Backlog(lag=0, pending=0, oldest_pending_s=0, lost=0))
LAG = ServerProbe(Backlog(lag=7, pending=0, oldest_pending_s=0, lost=0))
AWAY = ServerProbe(error=ServerUnavailableError("connection refused"))
GONE = ServerProbe(error=NoGroupError("no such group"))
REFUSED = ServerProbe(error=ServerRefusedError("NOPERM"))


def silent_for(
    seconds: float, *, at_work: bool = False, state: State = "consuming"
) -> ConsumerProgress:
    """Return the progress of a consumer that got on last at 0; ask what it is at *seconds*."""
    progress = ConsumerProgress("a-group", 3, "first")
    progress.state = state
    progress.active_at = 1_000 - seconds
    if at_work:
        progress.batch = [Delivery(Entry(EntryId(5, 1), 3, {}))] * 4
    return progress


@pytest.mark.parametrize(
    ("silent_s", "at_work", "probe", "why"),
    [
        (59, True, LAG, None),
        (59, False, LAG, None),
        (61, False, NOTHING_LEFT, None),
        (61, False, LAG, "nothing is read although 7 entries are there, for 61.0 s"),
        (61, True, NOTHING_LEFT, "4 entries from 5-1 on are not settled, for 61.0 s"),
        (61, True, AWAY, "4 entries from 5-1 on are not settled, for 61.0 s"),
        (61, False, AWAY, None),
        (599, False, AWAY, None),
        (601, False, AWAY, "the server is away: connection refused, for 601.0 s"),
        (61, False, GONE, "the group is gone and not made again, for 61.0 s"),
        (61, False, REFUSED, None),
    ],
)
def test_a_consumer_lives_unless_it_does_nothing_although_there_is_something_to_do(
    silent_s: float, *, at_work: bool, probe: ServerProbe, why: str | None
) -> None:
    problem = liveness_of(silent_for(silent_s, at_work=at_work), probe, 1_000, SETTINGS)
    assert (None if problem is None else problem.why) == why


def test_a_problem_names_the_group_the_partition_and_the_time() -> None:
    problem = liveness_of(silent_for(61), LAG, 1_000, SETTINGS)
    assert problem is not None
    assert (problem.group, problem.partition) == ("a-group", 3)
    assert problem.since.endswith("+00:00")


def test_what_last_interrupted_a_consumer_is_told() -> None:
    progress = silent_for(61, state="interrupted")
    progress.problem = "WRONGTYPE"
    problem = liveness_of(progress, LAG, 1_000, SETTINGS)
    assert problem is not None
    assert problem.why.endswith("7 entries are there; last: WRONGTYPE, for 61.0 s")


def test_a_consumer_that_waits_for_its_turn_lives_and_is_ready() -> None:
    waiting = silent_for(10_000, state="waiting")
    assert liveness_of(waiting, LAG, 1_000, SETTINGS) is None
    assert readiness_of(waiting, LAG, 1_000) is None


@pytest.mark.parametrize(("silent_s", "lives"), [(61, True), (599, True), (601, False)])
def test_a_build_of_the_read_model_may_take_longer(silent_s: float, *, lives: bool) -> None:
    progress = silent_for(silent_s)
    progress.is_building = True
    problem = liveness_of(progress, LAG, 1_000, SETTINGS)
    assert (problem is None) is lives


@pytest.mark.parametrize(
    ("state", "probe", "why"),
    [
        ("consuming", NOTHING_LEFT, None),
        ("consuming", LAG, None),
        ("starting", LAG, "the consumer is starting, for 1.0 s"),
        ("interrupted", LAG, "the consumer is interrupted, for 1.0 s"),
        ("consuming", AWAY, "connection refused, for 1.0 s"),
        ("consuming", GONE, "no such group, for 1.0 s"),
        ("consuming", REFUSED, "NOPERM, for 1.0 s"),
        (
            "consuming",
            ServerProbe(LAG.backlog, has_read_model=False),
            "the read model has no live generation, for 1.0 s",
        ),
        ("consuming", ServerProbe(LAG.backlog, has_read_model=True), None),
    ],
)
def test_a_consumer_is_ready_when_it_can_do_its_work_now(
    state: State, probe: ServerProbe, why: str | None
) -> None:
    problem = readiness_of(silent_for(1, state=state), probe, 1_000)
    assert (None if problem is None else problem.why) == why


def test_all_is_well_where_there_is_no_problem() -> None:
    assert Health.of([None, None]) == Health(ok=True, problems=[])
    assert Health.of([None, Problem("it hangs")]) == Health(
        ok=False, problems=[Problem("it hangs")]
    )


@pytest.mark.parametrize(("stalled_s", "patience_s"), [(0, 600), (60, 59)])
def test_limits_that_make_no_sense_are_refused(stalled_s: float, patience_s: float) -> None:
    with pytest.raises(ValueError, match=r"_s must be at least .*, got"):
        VitalsSettings(stalled_s=stalled_s, patience_s=patience_s)
