"""Decides whether a process is alive, and whether it is ready to do its work."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from consumers.groups.backlog import Backlog
from consumers.runtime.progress import ConsumerProgress
from events.errors import EventsError, NoGroupError, NotAdmittedError, ServerUnavailableError
from events.limits import Limited


class VitalsSettings(Limited, frozen=True):
    """When a process counts as not alive.

    Attributes:
        stalled_s: A consumer is not alive if for this long it had no read answered and no batch
            settled, although there was something to do. Must exceed any handler's deadline.
        patience_s: The same while a read model is built, or while the server is away: a restart
            of the process would not help, unless the cause is in the process after all.
        hung_s: A supervisor restarts a process that has not answered, or has not been alive, for so
            long.
    """

    stalled_s: Annotated[float, Meta(ge=0.001, le=86_400)] = 60.0
    patience_s: Annotated[float, Meta(ge=0.001, le=604_800)] = 600.0
    hung_s: Annotated[float, Meta(ge=5, le=86_400)] = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience_s < self.stalled_s:
            raise ValueError(
                f"patience_s must be at least stalled_s ({self.stalled_s}), got {self.patience_s}"
            )


class ServerProbe(msgspec.Struct, frozen=True):
    """What the server reported of one group in one partition, or why it did not.

    Attributes:
        backlog: What is left to do, None if that is not known.
        error: Why it is not known.
        has_read_model: Whether there is a live generation; None if the group has no read model.
    """

    backlog: Backlog | None = None
    error: EventsError | None = None
    has_read_model: bool | None = None

    @property
    def is_away(self) -> bool:
        """Whether the server did not answer."""
        return isinstance(self.error, ServerUnavailableError)

    @property
    def is_shut(self) -> bool:
        """Whether the server answered that it lets us do nothing."""
        return isinstance(self.error, NotAdmittedError)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a process is not alive or not ready.

    Attributes:
        why: In words.
        since: The RFC 3339 time at which it was last well.
        group: The group of the consumer concerned.
        partition: The partition concerned.
    """

    why: str
    since: str = ""
    group: str = ""
    partition: int | None = None


class Health(msgspec.Struct, frozen=True):
    """Whether all is well, and if not, why; the answer of `/livez` and `/readyz`."""

    ok: bool
    problems: Sequence[Problem] = ()

    @classmethod
    def of(cls, problems: Sequence[Problem | None]) -> "Health":
        """Return ok if there is no problem."""
        found = [problem for problem in problems if problem is not None]
        return cls(ok=not found, problems=found)


def liveness_of(
    progress: ConsumerProgress, probe: ServerProbe, now: float, settings: VitalsSettings
) -> Problem | None:
    """Return why a consumer is not alive, None if it is; *now* is by the monotonic clock.

    | read or settled lately | at work on a batch | server | lag | alive |
    |---|---|---|---|---|
    | yes | any | any | any | yes |
    | no | yes | any | any | no |
    | no | no | answers | 0 | yes: there was nothing to read |
    | no | no | answers | more | no |
    | no | no | has lost the group | any | no: it should have been created again |
    | no | no | away | any | yes, for `patience_s` |
    """
    if not is_silent(progress, now, settings):
        return None
    silent_s = now - progress.active_at
    if not progress.batch and probe.is_away and silent_s < settings.patience_s:
        return None
    why = _stalled_at(progress, probe)
    return None if why is None else _problem(progress, silent_s, why)


def readiness_of(progress: ConsumerProgress, probe: ServerProbe, now: float) -> Problem | None:
    """Return why a consumer is not ready, None if it is.

    It is ready when it consumes or waits for its turn, the server answers, the group exists, and a
    projector's read model has a live generation.
    """
    silent_s = now - progress.active_at
    if progress.state not in {"consuming", "waiting"}:
        why = f": {progress.problem}" if progress.problem else ""
        return _problem(progress, silent_s, f"the consumer is {progress.state}{why}")
    if probe.error is not None:
        return _problem(progress, silent_s, str(probe.error))
    if probe.has_read_model is False:
        return _problem(progress, silent_s, "the read model has no live generation")
    return None


def is_silent(progress: ConsumerProgress, now: float, settings: VitalsSettings) -> bool:
    """Whether a consumer has made no progress for so long that the cause must be found."""
    limit_s = settings.patience_s if progress.is_building else settings.stalled_s
    return progress.state != "waiting" and now - progress.active_at >= limit_s


def _stalled_at(progress: ConsumerProgress, probe: ServerProbe) -> str | None:
    """Return what blocks a silent consumer, None if it has nothing to do."""
    last = f"; last: {progress.problem}" if progress.problem else ""
    if progress.is_building:
        return "a build of the read model does not end"
    if progress.batch:
        first = progress.batch[0].entry_id
        return f"{len(progress.batch)} entries from {first} on are not settled"
    if probe.is_away:
        return f"the server is away: {probe.error}"
    if isinstance(probe.error, NoGroupError):
        return f"the group is gone and not made again{last}"
    if probe.backlog is not None and probe.backlog.lag > 0:
        return f"nothing is read although {probe.backlog.lag} entries are there{last}"
    return None


def _problem(progress: ConsumerProgress, silent_s: float, why: str) -> Problem:
    since = datetime.now(UTC) - timedelta(seconds=silent_s)
    reason = f"{why}, for {silent_s:.1f} s"
    return Problem(reason, since.isoformat(timespec="seconds"), progress.group, progress.partition)
